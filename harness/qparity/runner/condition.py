"""The state of the measured cores: what else runs there, how fast they are clocked, and what a host takes from them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

THROTTLE = "/sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"


@dataclass(frozen=True, slots=True)
class Condition:
    """Load of the machine, clock, throttling events and stolen seconds of some cores; None where not shown."""

    load: float | None
    frequency_mhz: float | None
    throttled: float | None
    stolen_s: float | None


def condition(cpus: list[int]) -> Condition:
    """The condition of these cores so far."""
    clocks = psutil.cpu_freq(percpu=True) if hasattr(psutil, "cpu_freq") else []
    times = psutil.cpu_times(percpu=True)
    throttled = [_number(Path(THROTTLE.format(cpu))) for cpu in cpus]
    stolen = [getattr(times[cpu], "steal", None) for cpu in cpus if cpu < len(times)]
    return Condition(
        os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        float(np.mean([clocks[cpu].current for cpu in cpus])) if len(clocks) > max(cpus) else None,
        _sum(throttled),
        _sum(stolen),
    )


def between(before: Condition, after: Condition) -> Condition:
    """The condition during a round: load and clock at its end, throttling and stolen seconds within it."""

    def within(early: float | None, late: float | None) -> float | None:
        return None if early is None or late is None else late - early

    throttled = within(before.throttled, after.throttled)
    return replace(after, throttled=throttled, stolen_s=within(before.stolen_s, after.stolen_s))


def sentinel(cpus: list[int]) -> float:
    """Seconds of a fixed small kernel on the cores that are measured: what else runs there shows in it."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if before:
        os.sched_setaffinity(0, cpus)
    try:
        start = time.perf_counter()
        values = np.arange(20_000.0)
        for _ in range(40):
            values = np.sqrt(values * values + 1.0)
        return time.perf_counter() - start
    finally:
        if before:
            os.sched_setaffinity(0, before)


def _sum(counts: list[Any]) -> float | None:
    return None if None in counts or not counts else float(sum(counts))


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
