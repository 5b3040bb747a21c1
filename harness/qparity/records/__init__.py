"""What stands in a run folder, as typed and frozen records: a field's name, type and meaning stand here alone.

`Outcome`, `Timing` and `RunRecord` are documents (`document.py`): they keep what was read as `raw`, which is what is
written again, and read their parts when somebody asks for one. What is in the parts are plain frozen dataclasses.
"""

from qparity.records.diagnosis import Diagnosed
from qparity.records.document import Document, Part
from qparity.records.kinds import Unreadable, read
from qparity.records.outcome import Hashes, Outcome, QuantumLayer, Reference, Resolved, Variable
from qparity.records.plan import Block, Place, Plan, PlannedCell
from qparity.records.program import Program
from qparity.records.run import Environment, RunRecord, Source, Worker
from qparity.records.timing import Timing

__all__ = [
    "Block",
    "Diagnosed",
    "Document",
    "Environment",
    "Hashes",
    "Outcome",
    "Part",
    "Place",
    "Plan",
    "PlannedCell",
    "Program",
    "QuantumLayer",
    "Reference",
    "Resolved",
    "RunRecord",
    "Source",
    "Timing",
    "Unreadable",
    "Variable",
    "Worker",
    "read",
]
