"""What Keras' constraints make of a weight after an update, and how far that may round.

The definitions are those of keras/src/constraints/constraints.py, in the precision of the argument. All are
contractions or nearly so: what the weight is off before, it is off after, at most twice (MaxNorm and UnitNorm divide by
a norm, which moves as well).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qparity.oracle.program import NotCovered

EPSILON = 1e-7
"""Keras' own, beside every norm."""
KNOWN = ("NonNeg", "MaxNorm", "UnitNorm", "MinMaxNorm")


def constrained(weight: np.ndarray, name: str, config: Mapping[str, Any], dtype: str) -> np.ndarray:
    """The weight as its constraint leaves it; `config` is as Keras writes it.

    Raises:
        NotCovered: a constraint that is not Keras' own.
    """
    real = weight.dtype.type
    if name not in KNOWN:
        raise NotCovered(f"the constraint {name} has no reference")
    if name == "NonNeg":
        return np.where(weight >= 0, weight, real(0))
    axis = config.get("axis", 0)
    axes = tuple(int(a) for a in axis) if isinstance(axis, list | tuple) else int(axis)
    norms = np.sqrt(np.sum(weight * weight, axis=axes, keepdims=True))
    quantum = np.dtype(dtype).type
    small = real(quantum(EPSILON))
    if name == "UnitNorm":
        return np.asarray(weight / (small + norms))
    if name == "MaxNorm":
        return np.asarray(weight * (np.clip(norms, 0, real(quantum(config.get("max_value", 2)))) / (small + norms)))
    low, high, rate = (real(quantum(config.get(k, d))) for k, d in (("min_value", 0), ("max_value", 1), ("rate", 1)))
    desired = rate * np.clip(norms, low, high) + (1 - rate) * norms
    return np.asarray(weight * (desired / (small + norms)))


def rounding(bound: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The bound of a weight after its constraint, in units of u: twice that before, and eight roundings of its own."""
    return 2 * bound + 8 * np.abs(weight) + 2 * np.max(bound, initial=0.0)
