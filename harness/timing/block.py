"""The recorded rounds of one block (`timings/<scenario>.json`) turned into ratios, verdicts and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.timing.breakeven import BreakEven, break_even
from harness.timing.contention import CPU_SHARE, outliers
from harness.timing.intervals import Interval
from harness.timing.ratios import paired_ratio
from harness.timing.speed import NOISE, Speed, decide

UNSTABLE_WIDTH = 0.10
STOLEN = 0.05


@dataclass(frozen=True, slots=True)
class LaneTiming:
    """One variant of a block. Times in seconds; `ratio` is its time over the reference's, None for the reference.

    `unstable` says that the numbers should not be relied on, `notes` why (and what else there is to know).
    `inference_s` is that of a batch of `predict`, unpaired; `recompilations` counts all timed rounds of all processes.
    """

    reference: str
    step_s: float
    start_s: float
    rounds: int
    dropped: int
    unstable: bool
    notes: tuple[str, ...]
    ratio: Interval | None = None
    speed: Speed | None = None
    break_even: BreakEven | None = None
    inference_s: float | None = None
    recompilations: int = 0


@dataclass(frozen=True, slots=True)
class BlockTiming:
    """All timed variants of a block by name, and why the others were left out."""

    reference: str | None
    lanes: Mapping[str, LaneTiming]
    left_out: Mapping[str, str]


def read_block(document: Mapping[str, Any], reference: str | None = None, noise: float = NOISE) -> BlockTiming:
    """What the rounds say. `reference` is the variant others are compared with: by default the first that was timed.

    Only rounds whose sentinel stood still count, and for a ratio only those in which both were measured.

    Raises:
        KeyError, TypeError, ValueError: the document is not as docs/architecture.md says.
    """
    rounds = [each for each in document["rounds"] if each["kept"]]
    dropped = len(document["rounds"]) - len(rounds)
    timed = [name for name in document["lanes"] if any(name in each["samples"] for each in rounds)]
    left_out = {str(name): str(reason) for name, reason in document["left_out"].items()}
    if not timed:
        return BlockTiming(None, {}, left_out)
    base = reference if reference is not None and reference in timed else timed[0]
    beside = [name for name in timed if any({name, base} <= each["samples"].keys() for each in rounds)]
    left_out |= {name: f"never measured beside {base}" for name in timed if name not in beside}
    lanes = {name: _lane(document, rounds, name, base, dropped, noise) for name in beside}
    return BlockTiming(base, lanes, left_out)


def samples_s(document: Mapping[str, Any], name: str) -> list[float]:
    """Seconds a step of a variant in each round that counts; none where nothing can be read."""
    try:
        kept = [each["samples"] for each in document["rounds"] if each["kept"]]
        return [float(samples[name]["step_s"]) for samples in kept if name in samples]
    except (KeyError, TypeError, ValueError):
        return []


def _lane(
    document: Mapping[str, Any], rounds: list[dict[str, Any]], name: str, base: str, dropped: int, noise: float
) -> LaneTiming:
    mine = [each for each in rounds if name in each["samples"]]
    times = [float(each["samples"][name]["step_s"]) for each in mine]
    step = float(np.median(times))
    starts = _starts(document, name, step)
    recompilations = sum(int(child.get("recompilations") or 0) for child in document["lanes"][name]["children"])
    notes = _warnings(document, name, mine)
    if recompilations:
        notes.append(f"recompiled {recompilations} times while it was timed")
    if dropped > len(rounds):
        notes.append(f"{dropped} of {dropped + len(rounds)} rounds were disturbed")
    ratio = speed = pays = None
    if name != base:
        pairs = [each for each in mine if base in each["samples"]]
        theirs = [float(each["samples"][base]["step_s"]) for each in pairs]
        own = [float(each["samples"][name]["step_s"]) for each in pairs]
        ratio = paired_ratio(own, theirs, [each["child"] for each in pairs])
        speed = decide(ratio, noise)
        if ratio.half_width > UNSTABLE_WIDTH * ratio.estimate:
            notes.append(f"interval wider than {UNSTABLE_WIDTH:.0%}")
        reference_step = float(np.median(theirs))
        pays = break_even(starts, _starts(document, base, reference_step), reference_step, ratio)
    inference = [t for child in document["lanes"][name]["children"] if (t := child.get("inference_s"))]
    return LaneTiming(
        reference=base,
        step_s=step,
        start_s=float(np.median(starts)),
        rounds=len(mine),
        dropped=dropped,
        unstable=bool(notes),
        notes=(*notes, *_remarks(times, [each["samples"][name] for each in mine])),
        ratio=ratio,
        speed=speed,
        break_even=pays,
        inference_s=float(np.median(inference)) if inference else None,
        recompilations=recompilations,
    )


def _starts(document: Mapping[str, Any], name: str, step_s: float) -> list[float]:
    """Seconds of each fresh child before its steady training: build and first execution, less the steps in it."""
    lane = document["lanes"][name]
    return [
        max(0.0, float(child["build_s"]) + float(child["first_s"]) - int(lane["steps_per_execution"]) * step_s)
        for child in lane["children"]
    ]


def _share(sample: Mapping[str, float]) -> float:
    """CPU time over the time for which no other process had the core."""
    return float(sample["cpu_s"]) / max(float(sample["wall_s"]) - _delayed_s(sample), 1e-9)


def _delayed_s(sample: Mapping[str, float]) -> float:
    return float(sample.get("delayed_s") or 0.0)


def _remarks(times: Sequence[float], samples: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """What else there is to know, and takes nothing from the numbers."""
    taken = sum(map(_delayed_s, samples)) / sum(float(sample["wall_s"]) for sample in samples)
    if taken > STOLEN:
        yield f"others had its core for {taken:.0%} of the time, which is not counted"
    if strays := int(outliers(times).sum()):
        yield f"outliers: {strays} of {len(times)} rounds"


def _warnings(document: Mapping[str, Any], name: str, mine: list[dict[str, Any]]) -> list[str]:
    """Why the numbers of a lane should not be relied on."""
    notes = []
    children = document["lanes"][name]["children"]
    if not all(child["finite"] for child in children):
        notes.append("the timed training left the finite numbers")
    if len({child["weights_sha256"] for child in children}) > 1:
        notes.append("repetitions of the timed training ended at different weights")
    share = float(np.median([_share(each["samples"][name]) for each in mine]))
    if share < CPU_SHARE:
        notes.append(f"used only {share:.0%} of its core")
    if throttled := sum(bool(each.get("throttled")) for each in mine):
        notes.append(f"the processor throttled in {throttled} of {len(mine)} rounds")
    walls = [sum(sample["wall_s"] for sample in each["samples"].values()) for each in mine]
    stolen = sum(float(each.get("stolen_s") or 0.0) for each in mine) / sum(walls)
    if stolen > STOLEN:
        notes.append(f"the host took {stolen:.0%} of the core")
    return notes
