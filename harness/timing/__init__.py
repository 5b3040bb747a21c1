"""How fast: paired ratios with intervals, verdicts, break-even and scaling. Pure functions over recorded samples."""

from harness.timing.block import BlockTiming, LaneTiming, read_block, samples_s
from harness.timing.breakeven import BreakEven, break_even
from harness.timing.intervals import ONE, Interval, geometric_mean, median_interval
from harness.timing.limit import Machine, least_step_s
from harness.timing.ratios import paired_ratio, quotient
from harness.timing.scaling import Crossing, Growth, Point, PowerLaw, crossings, fit_power_law, growths
from harness.timing.speed import NOISE, Speed, calibrated_noise, decide

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
]
