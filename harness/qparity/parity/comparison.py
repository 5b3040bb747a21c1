"""One recorded tensor against what the oracle expects of it, over all audited steps.

A tensor's rows belong to steps through `offsets`: predictions have a row for each sample, gradients one for
each step.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from qparity.parity.types import Stage, StageSeries

ORACLE, REFERENCE = "oracle", "reference"
"""Who says what is right: our own simulator and optimizers, or Keras and PennyLane on NumPy."""
SMALL = 1 << 16
"""Numbers that are looked at side by side: of more, each comparison alone."""
Worst = tuple[np.ndarray, np.ndarray]
BITS_SEEN = 64.0
"""Effective bits are cut off here: the oracle itself has no more."""


@dataclass(frozen=True)
class Comparison:
    """A tensor at one stage. `got`, `expected`, `tolerance`, `lower` and `scale` are (rows, elements).

    `lower` is the tolerance one precision class below (infinitely strict, zero, where there is none);
    `scale` is what effective bits and ULPs are counted at; `steps` (audited,) are the numbers of the steps
    that `offsets` (audited + 1,) delimits; `shape` is that of one row; `by` says whose values are expected,
    `ORACLE` or `REFERENCE`.
    """

    stage: Stage
    tensor: str
    got: np.ndarray
    expected: np.ndarray
    tolerance: np.ndarray
    lower: np.ndarray
    scale: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    shape: tuple[int, ...]
    by: str = ORACLE

    @cached_property
    def residual(self) -> np.ndarray:
        """|got - expected|, infinite where one of them is not a number."""
        return apart(self.got, self.expected)

    @cached_property
    def r(self) -> np.ndarray:
        """residual / tolerance; a residual of zero is always 0."""
        return ratio(self.residual, self.tolerance)

    @cached_property
    def worst(self) -> Worst:
        """For each audited step the flat position (in rows x elements) of the largest r, and that r."""
        return self._largest(self.r)

    @cached_property
    def worst_of_class_below(self) -> Worst:
        """The same where what one precision class below may be off is allowed."""
        return self._largest(ratio(self.residual, np.maximum(self.tolerance, self.lower)))

    def _largest(self, values: np.ndarray) -> Worst:
        return largest(values[None], self.offsets)[0]

    @cached_property
    def fewest_bits(self) -> np.ndarray:
        """For each audited step the effective bits of the entry that has fewest."""
        if not self.got.size:
            return np.full(len(self.steps), BITS_SEEN)
        return np.asarray(fewest(self.residual[None], self.scale[None], self.offsets)[0])

    def index(self, position: int) -> tuple[int, ...]:
        """A flat position as an index into the step's tensor: a sample's row first where rows are samples."""
        row, element = divmod(position, self.got.shape[1])
        start = self.offsets[np.searchsorted(self.offsets, row, side="right") - 1]
        inner = tuple(int(i) for i in np.unravel_index(element, self.shape)) if self.shape else ()
        by_sample = len(self.got) != len(self.steps) or self.stage == Stage.FORWARD
        return (int(row - start), *inner) if by_sample else inner


def compare(
    stage: Stage,
    tensor: str,
    got: np.ndarray,
    expected: np.ndarray,
    tolerances: tuple[np.ndarray, np.ndarray | None],
    scale: np.ndarray | float,
    steps: np.ndarray,
    offsets: np.ndarray | None = None,
    by: str = ORACLE,
) -> Comparison:
    """A comparison of arrays (rows, ...); tolerances are (declared class, class below or None)."""
    rows, shape = len(got), got.shape[1:]
    width = prod(shape)

    def flat(array: np.ndarray | float) -> np.ndarray:
        whole = np.asarray(array, np.float64)
        return (whole if whole.shape == got.shape else np.broadcast_to(whole, got.shape)).reshape(rows, width)

    tolerance, lower = tolerances
    return Comparison(
        stage,
        tensor,
        got.reshape(rows, width),
        np.asarray(expected).reshape(rows, width),
        flat(tolerance),
        flat(0.0 if lower is None else lower),
        flat(scale),
        steps,
        np.arange(rows + 1) if offsets is None else offsets,
        shape,
        by,
    )


def look_together(comparisons: Iterable[Comparison]) -> None:
    """Compute residuals, largest r and fewest bits of comparisons that are alike side by side; they then have them.

    Every number is computed alone, so they are the same as if each comparison had been asked; calls are saved.
    """
    groups: dict[Hashable, list[Comparison]] = {}
    for c in comparisons:
        if 0 < c.got.size <= SMALL:
            kinds = c.got.dtype, c.expected.dtype
            groups.setdefault((c.got.shape, kinds, c.offsets.tobytes()), []).append(c)
    for group in groups.values():
        alike = group[: SMALL // group[0].got.size]
        if len(alike) > 1:
            _look(alike)


def _look(alike: Sequence[Comparison]) -> None:
    names = ("got", "expected", "tolerance", "lower", "scale")
    got, expected, tolerance, lower, scale = (np.stack([getattr(c, name) for c in alike]) for name in names)
    offsets, residual = alike[0].offsets, apart(got, expected)
    r = ratio(residual, tolerance)
    worst, below = largest(r, offsets), largest(ratio(residual, np.maximum(tolerance, lower)), offsets)
    bits = fewest(residual, scale, offsets)
    for k, c in enumerate(alike):
        known = {"residual": residual[k], "r": r[k], "worst": worst[k], "worst_of_class_below": below[k]}
        c.__dict__.update(known, fewest_bits=bits[k])


def apart(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|got - expected| in float64, infinite where one of them is not a number."""
    residual = np.abs(got - expected).astype(np.float64)
    residual[np.isnan(residual)] = np.inf
    return residual


def largest(values: np.ndarray, offsets: np.ndarray) -> list[Worst]:
    """Of each of several comparisons, (comparisons, rows, elements): see `Comparison.worst`."""
    count, rows, elements = values.shape
    width, starts = max(elements, 1), offsets[:-1]
    if values.size and bool((np.diff(offsets) == 1).all()):  # a row a step
        where = starts * width + values.argmax(axis=2)
    else:
        pairs = zip(starts, offsets[1:], strict=True)
        steps = [a * width + values[:, a:b].reshape(count, -1).argmax(axis=1) for a, b in pairs]
        where = np.array(steps, np.int64).reshape(-1, count).T
    flat = values.reshape(count, rows * elements)
    return [(at, each[at]) for at, each in zip(where, flat, strict=True)]


def fewest(residual: np.ndarray, scale: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Of each of several comparisons, (comparisons, rows, elements): see `Comparison.fewest_bits`."""
    return np.asarray(np.minimum.reduceat(effective_bits(residual, scale).min(axis=2), offsets[:-1], axis=1))


def ratio(residual: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """residual / tolerance; 0 where the residual is 0, infinite where only the tolerance is 0 or is not a number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.asarray(residual / tolerance)
    r[np.isnan(r)] = np.inf
    r[residual == 0] = 0.0
    return r


def effective_bits(residual: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """-log2(residual / scale), cut to 0..64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.asarray(-np.log2(residual / scale))
    bits[np.isnan(bits)] = 0.0
    bits[residual == 0] = BITS_SEEN
    return np.clip(bits, 0.0, BITS_SEEN)


def series(comparisons: Sequence[Comparison], steps: int) -> StageSeries:
    """All tensors of one stage as one series over `steps` steps."""
    residual, tolerance, fewest = (np.full(steps, np.nan) for _ in range(3))
    r = np.full(steps, np.nan)
    for c in comparisons:
        where, largest = c.worst
        better = ~(largest <= r[c.steps])
        at, position = c.steps[better], where[better]
        r[at] = largest[better]
        residual[at] = c.residual.reshape(-1)[position]
        tolerance[at] = c.tolerance.reshape(-1)[position]
        fewest[c.steps] = np.fmin(fewest[c.steps], c.fewest_bits)
    known = ~np.isnan(r)
    worst = int(np.where(known, r, -1.0).argmax()) if known.any() else None
    return StageSeries(residual, tolerance, r, fewest, worst)
