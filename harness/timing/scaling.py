"""How a step time grows with wires, layers or batch: a fitted exponent, and where two variants cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.timing.intervals import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """`time = scale * size ** exponent` (seconds); `sizes` is the range it was fitted over."""

    scale: float
    exponent: Interval
    sizes: tuple[float, float]

    def at(self, size: float) -> float:
        """Seconds at a size."""
        return self.scale * size**self.exponent.estimate


def fit_power_law(sizes: Sequence[float], times_s: Sequence[float], confidence: float = CONFIDENCE) -> PowerLaw:
    """Least squares of log(time) on log(size), with Student's interval of the slope (n - 2 degrees of freedom).

    For wires give the state's size, 2 ** wires: exponent 1 is then "linear in the statevector". With two sizes the
    interval is infinite.

    Raises:
        ValueError: fewer than two different sizes, or a size or time that is not positive.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    if x.shape != y.shape or len(np.unique(x)) < 2 or not ((x > 0).all() and (y > 0).all()):
        raise ValueError("a fit needs two different positive sizes and a positive time for each")
    x, y = np.log(x), np.log(y)
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    intercept = float(y.mean() - slope * x.mean())
    degrees = len(x) - 2
    half = math.inf
    if degrees > 0:
        variance = float(np.sum((y - intercept - slope * x) ** 2)) / degrees
        half = float(special.stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(variance / spread)
    ends = math.exp(x.min()), math.exp(x.max())
    return PowerLaw(math.exp(intercept), Interval(slope - half, slope, slope + half), ends)


def crossover(a: PowerLaw, b: PowerLaw) -> float | None:
    """The size at which two fitted variants take the same time; None if that is not inside both fitted ranges."""
    difference = a.exponent.estimate - b.exponent.estimate
    if difference == 0:
        return None
    power = math.log(b.scale / a.scale) / difference
    low, high = max(a.sizes[0], b.sizes[0]), min(a.sizes[1], b.sizes[1])
    inside = low > 0 and math.log(low) <= power <= math.log(high)
    return math.exp(power) if inside else None
