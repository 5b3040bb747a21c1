"""What the measured cores can do: copy bandwidth and floating-point rate, found by a process of its own.

Run by path, so that thread limits stand before NumPy is imported: `python -P harness/qparity/runner/machine.py 0 2`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from qparity.records.document import Table

SIZES = tuple(2**power for power in (15, 18, 21, 25))
ORDER = 384
READINGS, READING_S = 20, 5e-4


def machine_rates(cpus: list[int]) -> Table | None:
    """`{"flops": {dtype: a second}, "copy": {bytes: bytes a second}}` of these cores; None if it cannot be found."""
    from qparity.runner.pool import THREADS

    environment = os.environ | dict.fromkeys(THREADS, str(len(cpus)))
    command = [sys.executable, "-P", __file__, *map(str, cpus)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        found: Table = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return found


def main() -> None:
    """Measure on the cores named on the command line."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, list(map(int, sys.argv[1:])))
    flops = {name: 2 * ORDER**3 / matrix_product_s(name) for name in ("float64", "float32")}
    copy = {size: 2 * size / copy_s(size) for size in SIZES}
    print(json.dumps({"flops": flops, "copy": copy}))


def matrix_product_s(dtype: str) -> float:
    """Seconds of a product of two matrices of `ORDER`."""
    a, out = np.ones((ORDER, ORDER), dtype), np.empty((ORDER, ORDER), dtype)
    return fastest(lambda: np.matmul(a, a, out=out))


def copy_s(size: int) -> float:
    """Seconds to copy an array of so many bytes."""
    source, target = np.ones(size // 8), np.empty(size // 8)
    return fastest(lambda: np.copyto(target, source))


def fastest(work: Callable[[], object]) -> float:
    """Seconds of one of the fastest calls: a limit is what can be reached, not what is usual.

    By the processor's clock, which stands still while something else has the core; many calls a reading where they
    are short, because the clock takes its time too.
    """
    work()  # the first touch of fresh memory costs page faults
    calls = max(1, int(READING_S / seconds(work, 1)))
    readings = [seconds(work, calls) for _ in range(READINGS)]
    return min(readings) / calls


def seconds(work: Callable[[], object], calls: int) -> float:
    """Processor seconds of so many calls."""
    start = time.thread_time()
    for _ in range(calls):
        work()
    return max(time.thread_time() - start, 1e-9)


if __name__ == "__main__":
    main()
