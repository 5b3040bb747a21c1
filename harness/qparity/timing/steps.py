"""Where a series of ratios took a step, such as the same cell's over many runs.

The strongest split of the series in two, by the difference of the two weighted means over its standard error, counts as
a step if it is beyond Student's t with n - 2 degrees of freedom at LEVEL over the number of splits tried (Bonferroni;
Hawkins, *Testing a sequence of observations for a shift in location*, JASA 72, 1977), and beyond the noise. Each
value's variance is that of its own interval, and what the runs scatter beyond it: from the median of the absolute
differences of neighbours, of which a step touches one. Both sides need TWO values, and those beside the split lie
nearer to their own side's mean, so a step is told from the second run with it on, and a single run that stands out is
none. Then each side is searched by itself.

False steps in histories without one (benchmarks/false_steps.py; 4,000 each; 6 to 20 runs): none of those drawn from 20
real ratios of torch to itself and 20 of jax-jit; of simulated ones, with a scatter between runs of 0, 1 and 3 times the
intervals', at most 0.4% of normal ones and 1.0% of heavy-tailed ones (t with 5 degrees of freedom).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

from qparity.timing.intervals import Interval
from qparity.timing.speed import NOISE

LEVEL = 0.002
TWO = 2
_NORMAL_MAD = 1.4826
"""Standard deviation of a normal variable over the median of its absolute deviations."""
_TWO_SIDED = 1.959964
"""Standard deviations in the half-width of a 95% interval."""


def steps(ratios: Sequence[Interval], noise: float = NOISE) -> list[int]:
    """The places, in order, from which on the ratio is another one; those without finite ends count as they are.

    Args:
        ratios: positive, in order of time.
        noise: relative difference that counts as none.
    """
    logs = np.array([math.log(ratio.estimate) for ratio in ratios])
    widths = np.array([_half_width(ratio) for ratio in ratios]) / _TWO_SIDED
    return sorted(_search(logs, widths, 0, noise))


def _search(logs: np.ndarray, deviations: np.ndarray, first: int, noise: float) -> list[int]:
    split = _strongest(logs, deviations, noise)
    if split is None:
        return []
    before = _search(logs[:split], deviations[:split], first, noise)
    return [*before, first + split, *_search(logs[split:], deviations[split:], first + split, noise)]


def _strongest(logs: np.ndarray, deviations: np.ndarray, noise: float) -> int | None:
    splits = range(TWO, len(logs) - TWO + 1)
    if len(logs) <= 2 * TWO:
        return None
    scatter = (_NORMAL_MAD * float(np.median(np.abs(np.diff(logs))))) ** 2 / 2
    between = max(0.0, scatter - float(np.median(deviations**2)))
    weights = 1 / np.maximum(deviations**2 + between, 1e-12)
    found = []
    for k in splits:
        before, after = (float(np.average(logs[part], weights=weights[part])) for part in (slice(k), slice(k, None)))
        first, last = logs[k], logs[k - 1]
        if abs(first - after) >= abs(first - before) or abs(last - before) >= abs(last - after):
            continue  # it would be a step elsewhere, or a single run that stands out
        error = math.sqrt(1 / float(weights[:k].sum()) + 1 / float(weights[k:].sum()))
        found.append((abs(after - before) / error, abs(after - before), k))
    z, size, split = max(found, default=(0.0, 0.0, 0))
    beyond = float(special.stdtrit(len(logs) - 2, 1 - LEVEL / (2 * len(splits))))
    return split if z > beyond and size > math.log1p(noise) else None


def _half_width(ratio: Interval) -> float:
    """Of the logarithm; 0 where an end is missing."""
    width = math.log(ratio.high / ratio.low) / 2 if 0 < ratio.low <= ratio.high < math.inf else 0.0
    return width
