"""The state of the measured cores: what else runs there, how fast they are clocked, and what a host takes from them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

THROTTLE = "/sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"


def condition(cpus: list[int]) -> dict[str, Any]:
    """Load of the machine, clock, throttling events and stolen seconds of these cores so far; None where not shown."""
    clocks = psutil.cpu_freq(percpu=True) if hasattr(psutil, "cpu_freq") else []
    times = psutil.cpu_times(percpu=True)
    throttled = [_number(Path(THROTTLE.format(cpu))) for cpu in cpus]
    stolen = [getattr(times[cpu], "steal", None) for cpu in cpus if cpu < len(times)]
    return {
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "frequency_mhz": float(np.mean([clocks[cpu].current for cpu in cpus])) if len(clocks) > max(cpus) else None,
        "throttled": _sum(throttled),
        "stolen_s": _sum(stolen),
    }


def between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The condition during a round: load and clock at its end, throttling and stolen seconds within it."""
    counted = ("throttled", "stolen_s")
    return after | {k: None if None in (before[k], after[k]) else after[k] - before[k] for k in counted}


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
