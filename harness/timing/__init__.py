"""How fast: paired ratios with intervals, verdicts, break-even and scaling. Pure functions over recorded samples."""

from harness.timing.block import BlockTiming, LaneTiming, read_block
from harness.timing.breakeven import BreakEven, break_even
from harness.timing.intervals import Interval, geometric_mean, median_interval
from harness.timing.limit import Machine, least_step_s
from harness.timing.ratios import paired_ratio
from harness.timing.scaling import PowerLaw, crossover, fit_power_law
from harness.timing.speed import NOISE, Speed, calibrated_noise, decide

__all__ = [
    "NOISE",
    "BlockTiming",
    "BreakEven",
    "Interval",
    "LaneTiming",
    "Machine",
    "PowerLaw",
    "Speed",
    "break_even",
    "calibrated_noise",
    "crossover",
    "decide",
    "fit_power_law",
    "geometric_mean",
    "least_step_s",
    "median_interval",
    "paired_ratio",
    "read_block",
]
