"""The judge: do the backends agree with the oracle, which one does not, and where first."""

from qparity.parity.expectation import as_expected, expected_verdict
from qparity.parity.methods import compare_methods
from qparity.parity.types import (
    PASSES,
    STAGES,
    Judgement,
    Observation,
    PairDifference,
    Stage,
    StageSeries,
    Verdict,
)
from qparity.parity.verdict import UNREADABLE, judge, unreadable

__all__ = [
    "PASSES",
    "STAGES",
    "UNREADABLE",
    "Judgement",
    "Observation",
    "PairDifference",
    "Stage",
    "StageSeries",
    "Verdict",
    "as_expected",
    "compare_methods",
    "expected_verdict",
    "judge",
    "unreadable",
]
