"""Intervals: of a median by order statistics, and of a geometric mean over scenarios."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between `low` and `high`; infinite ends say that there were too few samples for one."""

    low: float
    estimate: float
    high: float

    def contains(self, value: float) -> bool:
        """Whether the value lies inside, ends included."""
        return self.low <= value <= self.high

    @property
    def half_width(self) -> float:
        """The larger distance from the estimate to an end."""
        return max(self.high - self.estimate, self.estimate - self.low)

    def exp(self) -> Interval:
        """The interval of exp(value): from a log-ratio to a ratio."""
        return Interval(*(math.exp(v) if v < 700 else math.inf for v in (self.low, self.estimate, self.high)))


ONE = Interval(1.0, 1.0, 1.0)
"""The ratio of the reference to itself."""


def median_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """The median of `values` (n,) with its distribution-free interval, in the unit of the values.

    The interval runs from the k-th smallest to the k-th largest value, k the largest with
    2 P(Binomial(n, 1/2) < k) <= 1 - confidence (David & Nagaraja, Order Statistics, 7.1). Its ends are infinite below
    n = 6 at 95%: fewer values cannot carry that confidence.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).reshape(-1))
    if not ordered.size or not np.isfinite(ordered).all():
        raise ValueError("a median needs finite values")
    n = len(ordered)
    below = special.bdtr(np.arange(n // 2), n, 0.5)  # P(Binomial(n, 1/2) <= k) for k = 0, 1, ...
    k = int(np.count_nonzero(2 * below <= 1 - confidence))
    ends = (ordered[k - 1], ordered[n - k]) if k else (-math.inf, math.inf)
    return Interval(float(ends[0]), float(np.median(ordered)), float(ends[1]))


def geometric_mean(ratios: Sequence[Interval]) -> Interval:
    """The geometric mean of independent ratios over the scenarios that all variants share, with its interval.

    In logarithms the mean's distances to its ends are the root of the summed squares over the count.

    Raises:
        ValueError: there are no ratios, or one is not positive.
    """
    if not ratios or any(not ratio.estimate > 0 for ratio in ratios):
        raise ValueError("a geometric mean needs positive ratios")
    logs = np.log([(max(ratio.low, 0.0), ratio.estimate, ratio.high) for ratio in ratios if ratio.low > 0])
    centre = float(np.mean(np.log([ratio.estimate for ratio in ratios])))
    if len(logs) < len(ratios) or not np.isfinite(logs).all():
        return Interval(0.0, math.exp(centre), math.inf)
    down, up = (np.sqrt(np.sum(np.square(logs[:, 1] - logs[:, end]))) / len(logs) for end in (0, 2))
    return Interval(centre - float(down), centre, centre + float(up)).exp()
