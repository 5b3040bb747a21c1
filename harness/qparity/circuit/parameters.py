"""Parameters of gates and observables, compared: numbers, arrays, sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse


def dense(parameter: Any) -> np.ndarray:
    """A parameter as an array."""
    return np.asarray(parameter.toarray() if issparse(parameter) else parameter)


def same(one: Any, other: Any) -> bool:
    """Whether two parameters are equal, element by element."""
    return np.array_equal(dense(one), dense(other))
