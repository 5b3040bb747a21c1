"""What the documents of a run folder may hold, as docs/architecture.md states them; read with suspicion.

Every entry may be missing, further ones are left alone, but an entry that is there has its type: numbers are finite,
integers fit into 64 bits, names are names. Whoever reads a document after that need not ask again.
"""

from qparity.store.documents.entries import fault
from qparity.store.documents.outcome import Outcome
from qparity.store.documents.program import Program
from qparity.store.documents.record import Record
from qparity.store.documents.timing import Timing

__all__ = ["Outcome", "Program", "Record", "Timing", "fault"]
