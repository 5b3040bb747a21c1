"""How fast: paired ratios with intervals, verdicts, break-even and scaling. Pure functions over recorded samples.

`energy` alone looks at the machine: at the processor's counters.
"""

from qparity.timing.block import BlockTiming, LaneTiming, read_block, samples_s
from qparity.timing.breakeven import BreakEven, break_even, surely_ahead
from qparity.timing.intervals import ONE, Interval, geometric_mean, median_interval
from qparity.timing.limit import Machine, least_step_s
from qparity.timing.ratios import paired_ratio, quotient
from qparity.timing.scaling import Crossing, Growth, Point, PowerLaw, crossings, fit_power_law, growths
from qparity.timing.speed import NOISE, Speed, calibrated_noise, decide

__all__ = [
    "NOISE",
    "ONE",
    "BlockTiming",
    "BreakEven",
    "Crossing",
    "Growth",
    "Interval",
    "LaneTiming",
    "Machine",
    "Point",
    "PowerLaw",
    "Speed",
    "break_even",
    "calibrated_noise",
    "crossings",
    "decide",
    "fit_power_law",
    "geometric_mean",
    "growths",
    "least_step_s",
    "median_interval",
    "paired_ratio",
    "quotient",
    "read_block",
    "samples_s",
    "surely_ahead",
]
