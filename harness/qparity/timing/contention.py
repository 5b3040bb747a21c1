"""When to measure on, and which rounds to trust: the stop rule and the contention sentinel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qparity.timing.intervals import median_interval

MOVED = 0.25
CPU_SHARE = 0.9


def moved(before_s: float, after_s: float, history_s: Sequence[float], threshold: float = MOVED) -> bool:
    """Whether something else took the core during a round: the fixed kernel beside it moved by more than `threshold`.

    `history_s` are all the kernel's times so far (seconds). A kernel slower than their median, or one that changed
    from before the round to after it, says so; a whole block under steady load does not, since ratios are paired.
    """
    usual = float(np.median(np.asarray([*history_s, before_s, after_s])))
    slowest = max(before_s, after_s)
    return slowest > (1 + threshold) * usual or slowest > (1 + threshold) * min(before_s, after_s)


def enough(logs: np.ndarray, target: float, child: int, children: int) -> bool:
    """Whether child pair number `child` (from 0, of `children`) of a variant has been measured for long enough.

    `logs` (rounds,) are the variant's log-ratios of all pairs so far. Their interval narrows with the root of the
    rounds, so the pairs still to come are allowed for: the half-width may yet be sqrt(children / (child + 1)) times the
    target (a relative half-width of the final ratio).
    """
    allowed = target * math.sqrt(children / (child + 1))
    return len(logs) > 0 and median_interval(logs).half_width <= allowed


def outliers(times_s: Sequence[float] | np.ndarray, spread: float = 1.5) -> np.ndarray:
    """(rounds,) bool: times beyond Tukey's fences, `spread` interquartile ranges outside the quartiles. Noted, kept."""
    values = np.asarray(times_s, dtype=np.float64)
    low, high = np.quantile(values, [0.25, 0.75])
    reach = spread * (high - low)
    return np.asarray((values < low - reach) | (values > high + reach))
