"""Numbers that carry how far rounding can have moved them: running error analysis.

Every operation adds what it rounds itself to what its operands carry (Higham, *Accuracy and Stability of Numerical
Algorithms*, 2nd edition, section 3.3), to first order in u. Errors are in units of u, the roundoff of what is judged,
so the same analysis serves its own precision and the next lower one. Write a recurrence in the form that contracts
(`mixed`): the error of `m + (g - m)(1 - b)`, taken literally, would grow without limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Operand: TypeAlias = "Bounded | np.ndarray | np.floating | float | int"
POWER = 4.0
"""Roundings of a power: libraries promise a few units in the last place, not a correct rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A value in the reference's real dtype and, of the same shape, its error in units of u (float64).

    `unit` is u itself, which only what is not smooth needs: a sign that may fall either way, a root at zero.
    """

    value: np.ndarray
    error: np.ndarray
    unit: float

    __array_ufunc__ = None  # NumPy's own operators step back

    @classmethod
    def exact(cls, value: np.ndarray, unit: float) -> Bounded:
        """A number as it was recorded."""
        value = np.asarray(value)
        return cls(value, np.zeros(value.shape), unit)

    def _lift(self, other: Operand) -> Bounded:
        return other if isinstance(other, Bounded) else Bounded.exact(np.asarray(other, self.value.dtype), self.unit)

    def _rounded(self, value: np.ndarray, carried: np.ndarray, roundings: float = 1.0) -> Bounded:
        return Bounded(value, carried + roundings * size(value), self.unit)

    def __add__(self, other: Operand) -> Bounded:
        b = self._lift(other)
        return self._rounded(self.value + b.value, self.error + b.error)

    def __sub__(self, other: Operand) -> Bounded:
        b = self._lift(other)
        return self._rounded(self.value - b.value, self.error + b.error)

    def __rsub__(self, other: Operand) -> Bounded:
        return self._lift(other) - self

    def __mul__(self, other: Operand) -> Bounded:
        b = self._lift(other)
        return self._rounded(self.value * b.value, size(self.value) * b.error + size(b.value) * self.error)

    def __truediv__(self, other: Operand) -> Bounded:
        b = self._lift(other)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.value / b.value
            carried = (self.error + size(value) * b.error) / size(b.value)
        return self._rounded(value, carried)

    def __rtruediv__(self, other: Operand) -> Bounded:
        return self._lift(other) / self

    def __matmul__(self, other: Bounded) -> Bounded:
        a, b, n = self, other, self.value.shape[-1]
        carried = size(a.value) @ b.error + a.error @ size(b.value) + summing(n) * (size(a.value) @ size(b.value))
        return self._rounded(a.value @ b.value, carried)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Bounded:
        return Bounded(-self.value, self.error, self.unit)

    def __getitem__(self, index: Any) -> Bounded:
        return Bounded(self.value[index], self.error[index], self.unit)

    @property
    def transposed(self) -> Bounded:
        """The last two axes exchanged."""
        return Bounded(self.value.swapaxes(-1, -2), self.error.swapaxes(-1, -2), self.unit)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the value."""
        return self.value.shape

    def stored(self) -> Bounded:
        """Rounded once more: as a variable, or between two programs."""
        return self._rounded(self.value, self.error)


def size(value: np.ndarray) -> np.ndarray:
    """The absolute value, float64."""
    return np.asarray(np.abs(value), np.float64)


def summing(terms: int) -> float:
    """What a sum of so many numbers rounds, in units of its terms' sizes: roundings add like a random walk."""
    return float(np.sqrt(max(terms, 1)))


def absolute(x: Bounded) -> Bounded:
    """|x|, which rounds nothing."""
    return Bounded(np.abs(x.value), x.error, x.unit)


def maximum(x: Bounded, other: Operand) -> Bounded:
    """The larger one; it moves no further than either of them."""
    y = x._lift(other)
    return Bounded(np.maximum(x.value, y.value), np.maximum(x.error, y.error), x.unit)


def clipped(x: Bounded, low: float | np.floating, high: float | np.floating) -> Bounded:
    """x between two numbers."""
    return Bounded(np.clip(x.value, low, high), x.error, x.unit)


def sign(x: Bounded) -> Bounded:
    """-1, 0 or 1; where x may have either sign, any of them."""
    either = size(x.value) <= x.error * x.unit
    return Bounded(np.sign(x.value), np.where(either & (x.error > 0), 2 / x.unit, 0.0), x.unit)


def root(x: Bounded) -> Bounded:
    """The square root; near zero it moves at most by the root of what x moves by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.sqrt(x.value)
        steep = np.sqrt(x.error / x.unit)
        carried = np.where(x.error > 0, np.fmin(x.error / (2 * size(value)), steep), 0.0)
    return x._rounded(value, carried)


def power(x: Bounded, exponent: float | np.floating) -> Bounded:
    """x to a constant power."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = x.value**exponent
        slope = size(exponent * x.value ** (exponent - 1))
    return x._rounded(value, np.where(x.error > 0, slope * x.error, 0.0), POWER)


def total(x: Bounded, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Bounded:
    """The sum over all elements or along axes."""
    value = x.value.sum(axis=axis, keepdims=keepdims)
    terms = x.value.size // max(1, value.size)
    sizes = size(x.value).sum(axis=axis, keepdims=keepdims)
    carried = x.error.sum(axis=axis, keepdims=keepdims) + summing(terms) * sizes
    return Bounded(np.asarray(value), np.asarray(carried), x.unit)


def mean(x: Bounded, axis: int | None = None, keepdims: bool = False) -> Bounded:
    """The mean over all elements or along an axis."""
    added = total(x, axis, keepdims)
    return added / np.asarray(x.value.size // max(1, added.value.size), x.value.dtype)


def mixed(old: Bounded, new: Bounded, gain: np.floating) -> Bounded:
    """A moving average, `old + (new - old) gain`, however it is written.

    As (1 - gain) old + gain new, or as above: the sum and 1 - gain round, new - old and the product too. The error of
    the average itself shrinks by 1 - gain.
    """
    value = old.value + (new.value - old.value) * gain
    g = abs(float(gain))
    carried = abs(1 - g) * old.error + g * new.error + 3 * g * (size(old.value) + size(new.value))
    return old._rounded(value, carried, 2.0)
