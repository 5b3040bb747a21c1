"""Memory of this process: what it holds, and the most it has held since it became this program."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import psutil


def resident_bytes() -> int:
    """Bytes in memory now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """Highest resident size of this process image (VmHWM).

    Not `ru_maxrss` where that can be avoided: Linux hands it on over `exec`, so that a spawned child would show its
    parent's peak.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
