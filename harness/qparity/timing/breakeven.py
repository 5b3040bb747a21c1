"""From how many steps on compiling pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qparity.timing.intervals import Interval


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The step from which the compiled variant has overtaken; infinite where it never does.

    The interval is conservative: its ends combine the worst ends of what it is made of.
    """

    low: float
    step: float
    high: float


def break_even(
    start_s: Sequence[float], reference_start_s: Sequence[float], reference_step_s: Interval, ratio: Interval
) -> BreakEven:
    """Steps n at which start + n step = reference start + n reference step.

    Args:
        start_s: seconds before steady training (build, trace, compile, without the steps), one a fresh child; its
            imports are over by then.
        reference_start_s: the same of the reference.
        reference_step_s: the reference's seconds a step, with its interval: drift cancels in the ratio, not here.
        ratio: the variant's time a step over the reference's.

    Raises:
        ValueError: a start is missing or the step is not positive.
    """
    if not len(start_s) or not len(reference_start_s) or not reference_step_s.estimate > 0:
        raise ValueError("break-even needs starts and a positive step time")
    costs = (
        min(start_s) - max(reference_start_s),
        float(np.median(start_s) - np.median(reference_start_s)),
        max(start_s) - min(reference_start_s),
    )
    slow, step_s, fast = reference_step_s.high, reference_step_s.estimate, max(reference_step_s.low, 0.0)
    savings = (slow * (1 - max(ratio.low, 0.0)), step_s * (1 - ratio.estimate), fast * (1 - ratio.high))
    low, step, high = map(_steps, costs, savings)
    return BreakEven(min(low, step), step, high)


def surely_ahead(
    start_s: Sequence[float], other_start_s: Sequence[float], other_step_s: Interval, most: float
) -> tuple[float, float]:
    """Between which numbers of steps a training is shorter than another one even in the worst case; (inf, inf): none.

    Args:
        start_s: seconds before steady training, one a fresh child; imports are over by then.
        other_start_s: the same of the other.
        other_step_s: the other's seconds a step, with its interval.
        most: the largest that this one's time a step over the other's may be.
    """
    late = max(start_s) - min(other_start_s)
    longest = max(other_step_s.low, 0.0) * (most - 1) if most <= 1 else other_step_s.high * (most - 1)
    if longest < 0:  # every step wins back at least so much
        return max(0.0, late / -longest), math.inf
    if late >= 0 or math.isnan(longest):
        return math.inf, math.inf
    return 0.0, -late / longest if longest else math.inf


def _steps(cost_s: float, saving_s: float) -> float:
    """Steps until a saving has paid for a cost: none for no cost, never for no saving."""
    if not saving_s > 0:  # nor where there are too few rounds for an interval
        return math.inf
    return max(0.0, cost_s / saving_s)
