"""The slope of a smooth function of one variable from its values alone, with an estimate of its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WIDTHS = (2.0**-8, 2.0**-12, 2.0**-16, 2.0**-20)
"""Of the steps to try: the wide ones are the most exact, the narrow ones pass between the kinks of a ReLU."""
GOOD = 2.0**-36
"""An error, relative to slope and value, with which no narrower step is tried."""
UNIT = 2.0**-53
"""The unit roundoff of float64, in which the reference computes."""
ROUNDING = 4 * UNIT
AMPLIFIED = 2 * (672 + 168 + 32 + 3) / 840
"""What an error of every value by 1 may make of the differences, times the width."""
CURVED = 30
"""How often the difference of the two orders both are off where the curvature jumps at 0: 20 times, if nothing else."""
BENT = 2 * (56 + 28 + 8 + 1) + 70
"""What an error of every value by 1 may make of the eighth difference."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivative at 0, how far it may be off, and the width it was found with."""

    value: float
    error: float
    width: float


def slope(function: Callable[[float], float], noise: float = 0.0, at_zero: float | None = None) -> Slope:
    """The derivative at 0 by central differences of eighth order (Fornberg, Math. Comp. 51, 1988, table 1).

    The error is some times the difference to sixth order, and what the rounding of the values makes of it: `noise` is
    how far a value may be off, at least a few units of its size. With order six, no wide step was good enough for a
    normalisation, and a narrow one off by twice the error that was told.

    A kink inside the stencil (a ReLU's, a tie of a maximum) can leave both orders alike: one at 0 always does, and then
    there is no slope. The eighth difference of the values shows it: of a smooth function it is rounding alone. Where no
    width is without one, the error is the largest that any width tells.
    """
    here = function(0.0) if at_zero is None else at_zero
    best: Slope | None = None
    kinked: list[Slope] = []
    for width in WIDTHS:
        pairs = [(function(n * width), function(-n * width)) for n in (1, 2, 3, 4)]
        d1, d2, d3, d4 = (above - below for above, below in pairs)
        e1, e2, e3, e4 = (above + below - 2 * here for above, below in pairs)
        eighth = (672 * d1 - 168 * d2 + 32 * d3 - 3 * d4) / (840 * width)
        sixth = (45 * d1 - 9 * d2 + d3) / (60 * width)
        size = float(np.max(np.abs(pairs)))
        rounded = noise + ROUNDING * size
        bent = max(abs(e4 - 8 * e3 + 28 * e2 - 56 * e1) - BENT * rounded, 0.0)
        error = CURVED * abs(eighth - sixth) + (AMPLIFIED * rounded + bent) / width
        found = Slope(eighth, error if np.isfinite(error) else np.inf, width)
        if bent > 0 or found.error == np.inf:
            kinked.append(found)
            continue
        if best is None or found.error < best.error:
            best = found
        if best.error <= GOOD * max(abs(eighth), size):
            break
    return best or Slope(kinked[-1].value, max(each.error for each in kinked), kinked[-1].width)


def simple_slope(function: Callable[[float], float], width: float) -> float:
    """The derivative at 0 of second order: enough to see how it moves when the function is disturbed."""
    return (function(width) - function(-width)) / (2 * width)
