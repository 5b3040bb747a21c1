"""The independent reference: simulator, differentiator, losses and optimizers in plain NumPy.

It judges the backends, so it shares no code with them and imports none, and computes one dtype above theirs.
"""

from qparity.oracle.adjoint import chunk_rows, predict, reference_dtype, vjp
from qparity.oracle.constraints import constrained
from qparity.oracle.losses import evaluate as evaluate_loss
from qparity.oracle.optimizers import declared_hyperparameters, law_of, quantise
from qparity.oracle.program import GateProgram, NotCovered, flatten_weights
from qparity.oracle.rounding import chain_factors, norms, operation_counts, smoothing, steepness

__all__ = [
    "GateProgram",
    "NotCovered",
    "chain_factors",
    "chunk_rows",
    "constrained",
    "declared_hyperparameters",
    "evaluate_loss",
    "flatten_weights",
    "law_of",
    "norms",
    "operation_counts",
    "predict",
    "quantise",
    "reference_dtype",
    "smoothing",
    "steepness",
    "vjp",
]
