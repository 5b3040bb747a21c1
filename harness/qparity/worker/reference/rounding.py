"""Noise as rounding would make it, in everything that the reference computes: how far rounding alone may move a number.

What a layer computes inside is disturbed too. A normalisation takes the difference of numbers that may be equal (a
batch of one row and its mean): then all that a backend gets is their rounding, which no noise in the layer's inputs or
outputs shows.

A backward pass rounds by itself, and what cancels in it need not cancel in the forward pass: the slope of a saturated
tanh is taken as 1 - y^2, that of a normalisation as a difference of sums. So every result also moves by a multiple of
how far it is from what it was at the first evaluation: its value there stays, its slope is disturbed.
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
    """Every weight, input, layer output and result of an operation times 1 + size * (something in -1..1); so its slope.

    The same for every evaluation with the same seed: what is disturbed stays a smooth function of its arguments. Slopes
    are disturbed about the first evaluation.
    """

    size: float
    seed: int
    rng: np.random.Generator = field(init=False)
    centres: list[np.ndarray] = field(default_factory=list)

    def restart(self) -> None:
        """From the first number on again."""
        self.rng = np.random.Generator(np.random.PCG64(self.seed))
        self.first, self.number = not self.centres, 0

    def __call__(self, value: Any, floor: float = 0.0, argument: Any = None, saved: Any = 0.0) -> Any:
        """Floating-point numbers disturbed, all else as it is.

        Args:
            value: an array or a number.
            floor: noise that does not vanish with a number.
            argument: what `value` was computed from, element by element.
            saved: how far a derivative that is taken from a rounded `value` is off, over the unit roundoff.
        """
        if not (isinstance(value, np.ndarray | np.floating) and np.issubdtype(value.dtype, np.floating)):
            return value
        moves = value * self._noise(value) + self._moved(value) * self._noise(value)
        if argument is not None:
            moves = moves + saved * self._moved(np.asarray(argument)) * self._noise(value)
        if floor:
            moves = moves + floor * self._noise(value)
        return value + self.size * moves

    def _noise(self, value: Any) -> np.ndarray:
        return self.rng.uniform(-1, 1, value.shape)

    def _moved(self, value: Any) -> Any:
        """How far a value is from what it was at the first evaluation; zero in that one."""
        if self.first:
            self.centres.append(np.array(value))
        known = self.number < len(self.centres) and self.centres[self.number].shape == value.shape
        self.number += 1
        return value - self.centres[self.number - 1] if known else np.zeros_like(value)


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


def disturbing() -> bool:
    """Whether anything is disturbed."""
    return bool(_active)


def disturb(value: Any, floor: float = 0.0) -> Any:
    """The value as it is, or disturbed."""
    return _active[-1](value, floor) if _active else value


def rounded(function: Callable[..., Any], saved: Callable[[Any], Any] | None = None) -> Callable[..., Any]:
    """A function whose results are disturbed while something is.

    `saved` maps a result of a function of one array to how far its derivative is off (see Disturbance), where backends
    take that from the result.
    """

    @functools.wraps(function)
    def disturbed(*arguments: Any, **options: Any) -> Any:
        value = function(*arguments, **options)
        if not _active:
            return value
        return _active[-1](value, argument=arguments[0], saved=saved(value)) if saved else _active[-1](value)

    return disturbed


SAVED: dict[str, Callable[[Any], Any]] = {"tanh": lambda y: 2 * y * y, "expm1": np.abs, "sigmoid": np.abs}
"""Functions whose derivative is a difference of rounded results: 1 - y^2, y + 1, y (1 - y)."""


numpy = types.ModuleType("numpy")
"""NumPy for the modules of Keras' backend: results are disturbed while something is, and single precision is double.

Keras computes the softmax of an attention in float32 whatever a model asks for; the reference must not.
"""
vars(numpy).update(vars(np), float32=np.float64)
vars(numpy).update({name: rounded(getattr(np, name), SAVED.get(name)) for name in ROUNDS})
