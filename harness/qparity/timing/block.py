"""The recorded rounds of one block (`timings/<scenario>.json`) turned into ratios, verdicts and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qparity.records import Timing
from qparity.records.timing import Profile, Round, Sample, TimedLane
from qparity.timing.breakeven import BreakEven, break_even
from qparity.timing.contention import CPU_SHARE, outliers
from qparity.timing.intervals import Interval, median_interval
from qparity.timing.ratios import ALONE_SD, BETWEEN_SD, paired_ratio
from qparity.timing.speed import NOISE, Speed, decide

UNSTABLE_WIDTH = 0.10
STOLEN = 0.05


@dataclass(frozen=True, slots=True)
class LaneTiming:
    """One variant of a block. Times in seconds; `ratio` is its time over the reference's, None for the reference.

    A step's time has the interval that drift and all give it (of a median; infinite where rounds are few). A start is
    what a fresh child needs before its steady training, imports not counted: the median, and both ends. `unstable` says
    that the numbers should not be relied on, `notes` why (and what else there is to know); differences below `noise`
    are none. `inference_s` is that of a batch of `predict`, unpaired; `recompilations` counts all timed rounds of all
    processes. `profile` is of one process, after its rounds. `energy_j` is what the machine's processors used during a
    step, the median over rounds; None where it has no counters.
    """

    reference: str
    batch_size: int
    step_s: float
    step_ends_s: tuple[float, float]
    start_s: float
    start_ends_s: tuple[float, float]
    rounds: int
    dropped: int
    unstable: bool
    notes: tuple[str, ...]
    noise: float = NOISE
    ratio: Interval | None = None
    speed: Speed | None = None
    break_even: BreakEven | None = None
    inference_s: float | None = None
    recompilations: int = 0
    profile: Profile | None = None
    energy_j: float | None = None


@dataclass(frozen=True, slots=True)
class BlockTiming:
    """All timed variants of a block by name, and why the others were left out."""

    reference: str | None
    lanes: Mapping[str, LaneTiming]
    left_out: Mapping[str, str]


def read_block(found: Timing, reference: str | None = None) -> BlockTiming:
    """What the rounds say. `reference` is the variant others are compared with: by default the first that was timed.

    Only rounds whose sentinel stood still count, and for a ratio only those in which both were measured. A training
    that left the finite numbers has no times: what it computed after that is not what was asked for.

    Raises:
        Unreadable, ArithmeticError: the rounds are not as docs/architecture.md says.
    """
    left_out = dict(found.left_out)
    for name, lane in found.lanes.items():
        if not all(child.finite for child in lane.children):
            left_out[name] = "the timed training left the finite numbers"
    lanes = [name for name in found.lanes if name not in left_out]
    timed = [name for name in lanes if any(name in each.samples for each in found.kept)]
    if not timed:
        return BlockTiming(None, {}, left_out)
    base = reference if reference is not None and reference in timed else timed[0]
    beside = [name for name in timed if any({name, base} <= each.samples.keys() for each in found.kept)]
    left_out |= {name: f"never measured beside {base}" for name in timed if name not in beside}
    return BlockTiming(base, {name: _lane(found, name, base) for name in beside}, left_out)


def samples_s(found: Timing | None, name: str) -> list[float]:
    """Seconds a step of a variant in each round that counts."""
    return [each.samples[name].step_s for each in found.kept if name in each.samples] if found else []


def _lane(found: Timing, name: str, base: str) -> LaneTiming:
    mine = [each for each in found.kept if name in each.samples]
    lane, times = found.lanes[name], _times(mine, name)
    starts = _starts(lane, float(np.median(times)))
    notes = [*_of_lane(found, name), *_of_rounds(mine)]
    remarks = list(_remarks(times, [each.samples[name] for each in mine]))
    noise, wanted = (_asked(found, *each) for each in (("noise", NOISE), ("target_width", math.inf)))
    ratio = speed = pays = None
    if name != base:
        pairs = [each for each in mine if base in each.samples]
        notes += [f"{base}, the reference: {note}" for note in _of_lane(found, base)]
        theirs = _times(pairs, base)
        children = [each.child for each in pairs]
        ratio = paired_ratio(_times(pairs, name), theirs, children)
        speed = decide(ratio, noise)
        seen = paired_ratio(_times(pairs, name), theirs, children, alone_sd=BETWEEN_SD)  # not what is allowed for
        width, scatter = (each.half_width / each.estimate for each in (ratio, seen))
        if scatter > UNSTABLE_WIDTH:
            notes.append(f"interval wider than {UNSTABLE_WIDTH:.0%}")
        elif width > wanted:
            remarks.append(f"interval of {width:.1%}, {wanted:.1%} was asked for")
        if len(set(children)) == 1:
            remarks.append(f"one process of each: a difference of {ALONE_SD:.0%} between two of them is allowed for")
        others = _starts(found.lanes[base], float(np.median(theirs)))
        pays = break_even(starts, others, median_interval(theirs), ratio)
    within = median_interval(times)
    inference = [child.inference_s for child in lane.children if child.inference_s]
    return LaneTiming(
        reference=base,
        batch_size=lane.batch_size,
        step_s=float(np.median(times)),
        step_ends_s=(within.low, within.high),
        start_s=float(np.median(starts)),
        start_ends_s=(min(starts), max(starts)),
        rounds=len(mine),
        dropped=_dropped(found, name),
        unstable=bool(notes),
        notes=(*notes, *remarks),
        noise=noise,
        ratio=ratio,
        speed=speed,
        break_even=pays,
        inference_s=float(np.median(inference)) if inference else None,
        recompilations=_recompilations(lane),
        profile=next((child.profile for child in lane.children if child.profile), None),
        energy_j=_energy_j(lane, [each.samples[name] for each in mine]),
    )


def _asked(found: Timing, option: str, default: float) -> float:
    value = found.options.get(option)
    return default if value is None else float(value)


def _times(rounds: Sequence[Round], name: str) -> list[float]:
    return [float(each.samples[name].step_s) for each in rounds]


def _energy_j(lane: TimedLane, samples: Sequence[Sample]) -> float | None:
    """Joules a step: the median over the rounds that have any."""
    used = [sample.energy_j for sample in samples if sample.energy_j is not None]
    return float(np.median(used)) / lane.steps if used and lane.steps else None


def _starts(lane: TimedLane, step_s: float) -> list[float]:
    """Seconds of each fresh child before its steady training: build and first execution, less the steps in it."""
    steps_s = lane.steps_per_execution * step_s
    return [max(0.0, float(child.build_s) + float(child.first_s) - steps_s) for child in lane.children]


def _share(sample: Sample) -> float:
    """CPU time over the time for which no other process had the core."""
    return sample.cpu_s / max(sample.wall_s - (sample.delayed_s or 0.0), 1e-9)


def _remarks(times: Sequence[float], samples: Sequence[Sample]) -> Iterator[str]:
    """Notes that do not make the numbers less reliable."""
    taken = sum(sample.delayed_s or 0.0 for sample in samples) / sum(sample.wall_s for sample in samples)
    if taken > STOLEN:
        yield f"others had its core for {taken:.0%} of the time, which is not counted"
    if strays := int(outliers(times).sum()):
        yield f"outliers: {strays} of {len(times)} rounds"


def _dropped(found: Timing, name: str) -> int:
    return sum(name in each.samples and not each.kept for each in found.rounds)


def _recompilations(lane: TimedLane) -> int:
    return sum(child.recompilations or 0 for child in lane.children)


def _of_lane(found: Timing, name: str) -> Iterator[str]:
    """Why the numbers of a lane should not be relied on. On a GPU a process waits, and sums in any order."""
    lane, mine = found.lanes[name], [each for each in found.kept if name in each.samples]
    on_gpu = lane.variant.endswith("@gpu")
    if len({child.weights_sha256 for child in lane.children}) > 1 and not on_gpu:
        yield "repetitions of the timed training ended at different weights"
    share = float(np.median([_share(each.samples[name]) for each in mine]))
    if share < CPU_SHARE and not on_gpu:
        yield f"used only {share:.0%} of its core"
    if recompilations := _recompilations(lane):
        yield f"recompiled {recompilations} times while it was timed"
    if (dropped := _dropped(found, name)) > len(mine):
        yield f"{dropped} of {dropped + len(mine)} rounds were disturbed"


def _of_rounds(rounds: Sequence[Round]) -> Iterator[str]:
    """Why no number of these rounds should be relied on."""
    if throttled := sum(bool(each.throttled) for each in rounds):
        yield f"the processor throttled in {throttled} of {len(rounds)} rounds"
    walls = [sum(sample.wall_s for sample in each.samples.values()) for each in rounds]
    stolen = sum(each.stolen_s or 0.0 for each in rounds) / sum(walls)
    if stolen > STOLEN:
        yield f"the host took {stolen:.0%} of the core"
