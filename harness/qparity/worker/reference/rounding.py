"""Noise as rounding would make it, in everything that the reference computes: how far rounding alone may move a number.

What a layer computes inside is disturbed too. A normalisation takes the difference of numbers that may be equal (a
batch of one row and its mean): then all that a backend gets is their rounding, which no noise in the layer's inputs or
outputs shows.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROUNDS = (
    "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "average", "cbrt", "cos",
    "cosh", "cumprod", "cumsum", "divide", "dot", "einsum", "exp", "exp2", "expm1", "hypot", "inner", "log",
    "log10", "log1p", "log2", "logaddexp", "matmul", "mean", "multiply", "outer", "power", "prod", "reciprocal",
    "sin", "sinh", "sqrt", "square", "std", "subtract", "sum", "tan", "tanh", "tensordot", "true_divide", "var",
    "vdot",
)  # fmt: skip
"""The functions of NumPy whose results are rounded."""


@dataclass
class Disturbance:
    """Every weight, input, layer output and result of an operation times 1 + size * (something in -1..1).

    The same for every evaluation with the same seed: what is disturbed stays a smooth function of its arguments.
    """

    size: float
    seed: int
    rng: np.random.Generator = field(init=False)

    def restart(self) -> None:
        """From the first number on again."""
        self.rng = np.random.Generator(np.random.PCG64(self.seed))

    def __call__(self, value: Any, floor: float = 0.0) -> Any:
        """Floating-point numbers disturbed, all else as it is; `floor` is noise that does not vanish with a number."""
        if not (isinstance(value, np.ndarray | np.floating) and np.issubdtype(value.dtype, np.floating)):
            return value
        disturbed = value * (1 + self.size * self.rng.uniform(-1, 1, value.shape))
        return disturbed + floor * self.size * self.rng.uniform(-1, 1, value.shape) if floor else disturbed


_active: list[Disturbance] = []


@contextlib.contextmanager
def disturbed_by(disturbance: Disturbance | None) -> Iterator[None]:
    """While this holds, `disturb` and what `numpy` computes are disturbed, from the first random number on."""
    if disturbance is None:
        yield
        return
    disturbance.restart()
    _active.append(disturbance)
    try:
        yield
    finally:
        _active.pop()


def disturb(value: Any, floor: float = 0.0) -> Any:
    """The value as it is, or disturbed."""
    return _active[-1](value, floor) if _active else value


def _rounded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def rounded(*arguments: Any, **options: Any) -> Any:
        return disturb(function(*arguments, **options))

    return rounded


numpy = types.ModuleType("numpy")
"""NumPy for the modules of Keras' backend: results are disturbed while something is, and single precision is double.

Keras computes the softmax of an attention in float32 whatever a model asks for; the reference must not.
"""
vars(numpy).update(vars(np), float32=np.float64)
vars(numpy).update({name: _rounded(getattr(np, name)) for name in ROUNDS})
