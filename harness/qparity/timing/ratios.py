"""Paired ratios: two variants measured in the same round share its drift, which their ratio therefore does not see."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import special

from qparity.timing.intervals import CONFIDENCE, Interval, median_interval

BETWEEN_SD = 0.013 * math.sqrt(2)
"""Standard deviation of the log-ratio of two fresh processes of one program: 1.3% a process, measured."""

ALONE_SD = 0.10
"""The same where only one pair was measured, so that its difference cannot be seen: on a machine that others were using
for most of the time, 3 of 10 intervals of a program against itself that took 1.3% for granted did not hold 1."""

DIFFER = 0.05
"""Level of the F-test that says that process pairs differ by more than their rounds explain."""


def paired_ratio(
    times: Sequence[float] | np.ndarray,
    reference: Sequence[float] | np.ndarray,
    children: Sequence[Hashable],
    between_sd: float = BETWEEN_SD,
    alone_sd: float = ALONE_SD,
    confidence: float = CONFIDENCE,
) -> Interval:
    """How many times the reference's time a variant takes: the median over rounds of the paired ratios.

    Rounds repeat within one pair of processes; another pair differs by its memory layout, and no number of rounds shows
    that. So the order-statistic interval over all rounds is widened, in quadrature, by the spread between the pairs
    over the root of their number: never less than `between_sd`, since three pairs often look alike by chance, and more
    where the pairs' means differ by more than rounds explain (F-test of a one-way random-effects analysis at 5%): then
    the spread found, times Student's t. Of a single pair nothing is seen of it, and `alone_sd` is allowed for.

    Args:
        times: (rounds,) seconds a step of the variant, one a round.
        reference: (rounds,) of the reference in the same rounds.
        children: (rounds,) which pair of processes a round was measured on.
        between_sd: least standard deviation between pairs, of log-ratios.
        alone_sd: the one that is taken where there is a single pair.
        confidence: of the interval.

    Raises:
        ValueError: lengths differ, nothing was measured, or a time is not positive.
    """
    logs = log_ratios(times, reference)
    if len(children) != len(logs):
        raise ValueError("one pair of processes a round")
    within = median_interval(logs, confidence)
    extra = between_half_width(logs, children, between_sd, alone_sd, confidence)
    down, up = (math.hypot(end - within.estimate, extra) for end in (within.low, within.high))
    return Interval(within.estimate - down, within.estimate, within.estimate + up).exp()


def quotient(a: Interval, b: Interval) -> Interval:
    """The ratio of two independent ratios (of two runs): in logarithms, their half-widths add in quadrature."""
    if not (a.low > 0 and b.low > 0 and math.isfinite(a.high) and math.isfinite(b.high)):
        return Interval(0.0, a.estimate / b.estimate, math.inf)
    (low, centre, high), (their_low, theirs, their_high) = (
        [math.log(end) for end in (each.low, each.estimate, each.high)] for each in (a, b)
    )
    middle = centre - theirs
    down, up = math.hypot(centre - low, their_high - theirs), math.hypot(high - centre, theirs - their_low)
    return Interval(middle - down, middle, middle + up).exp()


def log_ratios(times: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray) -> np.ndarray:
    """log(times / reference), (rounds,)."""
    a, b = (np.asarray(each, dtype=np.float64).reshape(-1) for each in (times, reference))
    if a.shape != b.shape or not a.size or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a paired ratio needs as many finite times of either side")
    if not ((a > 0).all() and (b > 0).all()):
        raise ValueError("a time is positive")
    return np.log(a) - np.log(b)


def between_half_width(
    logs: np.ndarray,
    children: Sequence[Hashable],
    floor_sd: float = BETWEEN_SD,
    alone_sd: float = ALONE_SD,
    confidence: float = CONFIDENCE,
) -> float:
    """Half-width that the spread between process pairs adds to the interval of a mean log-ratio."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for child, value in zip(children, logs, strict=True):
        groups[child].append(float(value))
    count = len(groups)
    z = float(special.ndtri((1 + confidence) / 2))
    if count == 1:
        return z * max(alone_sd, floor_sd)
    floor = z * floor_sd / math.sqrt(count)
    repeated = [np.asarray(group) for group in groups.values() if len(group) > 1]
    if not repeated:
        return floor
    degrees = sum(len(group) - 1 for group in repeated)
    within = sum(float(np.sum((group - group.mean()) ** 2)) for group in repeated) / degrees
    explained = within * float(np.mean([1 / len(group) for group in groups.values()]))
    seen = float(np.var([np.mean(group) for group in groups.values()], ddof=1))
    if seen <= explained or special.fdtrc(count - 1, degrees, seen / explained if explained else math.inf) > DIFFER:
        return floor
    t = float(special.stdtrit(count - 1, (1 + confidence) / 2))
    return max(floor, t * math.sqrt((seen - explained) / count))
