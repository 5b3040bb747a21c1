"""How large must a slowdown be for the rounds that were timed to show it? The power of the test in `speed.decide`.

A slowdown is called one where the lower end of its interval lies beyond the noise: log estimate - w > log(1 + noise),
w being the half-width of the 95% interval of the log-ratio. The estimate's own error is taken as normal with the
standard deviation w / 1.96 that such an interval has, so a true slowdown by the factor d is found with probability
Phi((log d - log(1 + noise) - w) 1.96 / w). (Power of a one-sided test: Lehmann and Romano, *Testing Statistical
Hypotheses*, section 3.1.) `benchmarks/aa_calibration.py` measures how often that is so: intervals allow for what two
processes may differ by, so on real rounds (`--budget 12s`, torch and jax-jit) it was 20 of 20.
"""

from __future__ import annotations

import math

from scipy import special

from qparity.timing.intervals import Interval
from qparity.timing.speed import NOISE

FOUND = 0.9
"""A slowdown that a measurement is said to show is found at least so often."""
_TWO_SIDED = 1.959964
"""Standard deviations in the half-width of a 95% interval."""


def found(slowdown: float, ratio: Interval, noise: float = NOISE) -> float:
    """The probability that a slowdown by this factor would have been called one, with an interval like this one.

    Args:
        slowdown: 1.1 is a step that takes a tenth longer.
        ratio: of two step times, as measured; its width counts, its place does not.
        noise: relative difference that counts as none.
    """
    width = _half_width(ratio)
    if math.isinf(width):
        return 0.0
    beyond = math.log(slowdown) - math.log1p(noise) - width
    return float(special.ndtr(beyond * _TWO_SIDED / width)) if width else float(beyond > 0)


def smallest(ratio: Interval, noise: float = NOISE, share: float = FOUND) -> float:
    """The factor of a slowdown that is found with probability `share`; infinite where none is."""
    width = _half_width(ratio)
    beyond = math.log1p(noise) + width * (1 + float(special.ndtri(share)) / _TWO_SIDED)
    return math.exp(beyond) if beyond < 700 else math.inf


def _half_width(ratio: Interval) -> float:
    """Of the logarithm, towards slower."""
    return math.log(ratio.estimate / ratio.low) if ratio.low > 0 and math.isfinite(ratio.estimate) else math.inf
