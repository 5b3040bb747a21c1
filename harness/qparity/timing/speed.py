"""Faster, slower, or not resolved: decided in one place, from an interval and the noise of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from qparity.timing.intervals import Interval

NOISE = 0.02
"""Relative difference below which two programs count as equally fast, where nothing was calibrated."""


class Speed(StrEnum):
    """What may be said of a ratio to the reference."""

    FASTER = "faster"
    SLOWER = "slower"
    NOT_RESOLVED = "not resolved"


def decide(ratio: Interval, noise: float = NOISE) -> Speed:
    """The verdict on a ratio of times: the whole interval must lie beyond the noise on one side of 1."""
    if ratio.high < 1 / (1 + noise):
        return Speed.FASTER
    if ratio.low > 1 + noise:
        return Speed.SLOWER
    return Speed.NOT_RESOLVED


def calibrated_noise(ratios: Sequence[float], quantile: float = 0.95) -> float:
    """The relative difference that a variant shows against itself at most, `quantile` of the times (A/A calibration).

    Raises:
        ValueError: there are no ratios, or one is not positive.
    """
    values = np.asarray(ratios, dtype=np.float64)
    if not values.size or not (values > 0).all():
        raise ValueError("calibration needs positive ratios")
    return float(np.expm1(np.quantile(np.abs(np.log(values)), quantile)))
