"""The timed rounds of a scenario: `timings/<scenario>.json`."""

from __future__ import annotations

from typing_extensions import TypedDict

from qparity.store.documents.entries import Count, Name, Number, Seconds, Text, Whole, table
from qparity.store.documents.outcome import Memory


@table
class TimedChild(TypedDict, total=False):
    """One process that was timed."""

    build_s: Number
    first_s: Number
    finite: bool
    weights_sha256: Text
    recompilations: Count | None
    inference_s: Number | None
    phases: Seconds
    wall_s: Number
    memory: Memory


@table
class TimedLane(TypedDict, total=False):
    """One variant that was timed."""

    id: Text
    variant: Name
    steps: Count
    steps_per_execution: Count
    batch_size: Count
    children: list[TimedChild]


@table
class Sample(TypedDict, total=False):
    """One variant in one round."""

    step_s: Number
    wall_s: Number
    cpu_s: Number
    delayed_s: Number | None


@table
class Round(TypedDict, total=False):
    """One round."""

    child: Whole
    kept: bool
    order: list[Name]
    sentinel_s: list[Number]
    load: Number | None
    frequency_mhz: Number | None
    throttled: Number | None
    stolen_s: Number | None
    samples: dict[Name, Sample]


@table
class Rates(TypedDict, total=False):
    """What the measured cores can do."""

    flops: dict[Name, Number]
    copy: dict[Name, Number]


@table
class Timing(TypedDict, total=False):
    """`timings/<scenario>.json`."""

    scenario: Name
    cpus: list[Count]
    threads: Count
    options: dict[Name, Number | None]
    machine: Rates | None
    sentinel_s: list[Number]
    lanes: dict[Name, TimedLane]
    rounds: list[Round]
    left_out: dict[Name, Text]
    run: Text
    node: Text
