"""How much memory a cell must at least hold, and how much there is: what cannot fit is refused before it starts.

The estimate is a lower bound (the states that exist at the same time), so nothing that would run is refused; a cell
that takes more all the same meets the limit of its own process (worker/server.py), not the machine's.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from qparity.scenario.registry import CIRCUITS
from qparity.scenario.schema import Scenario

RESOLVED = {"default.qubit": "backprop", "default.mixed": "backprop", "lightning.qubit": "adjoint"}
ADJOINT_STATES = 3  # bra, ket and the derivative between them
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def least_bytes(scenario: Scenario) -> int:
    """The bytes that the states of one step take at least: 2^wires amplitudes x batch x what the method keeps.

    Back-propagation runs the batch at once and keeps the state after every parametrised gate (one a wire and layer at
    the least in shipped circuits; unknown in a user's); all other methods may run sample by sample.
    """
    amplitude = 16 if scenario.dtype == "float64" else 8
    state = amplitude * 2 ** (scenario.wires * (2 if scenario.device == "default.mixed" else 1))
    method = scenario.diff_method
    if (RESOLVED.get(scenario.device) if method == "best" else method) != "backprop":
        return ADJOINT_STATES * state
    kept = scenario.layers * scenario.wires if scenario.circuit in CIRCUITS and not scenario.model else 0
    batch = min(scenario.training.batch_size, scenario.data.samples)
    return state * batch * (2 + kept)


def free_bytes() -> int:
    """What may be used on this machine now: the free memory, or what this process' control group still allows."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    try:
        most, used = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return min(free, int(most) - int(used))
    except (OSError, ValueError):  # no control groups, or no limit ("max")
        return free


def parse_bytes(text: str) -> int:
    """`512M`, `8G`, `1.5G` or plain bytes. Raises ValueError on anything else, or if it is not positive and finite."""
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in UNITS else ""
    found = int(float(number.removesuffix(unit) if unit else number) * UNITS[unit])
    if found <= 0:
        raise ValueError(text)
    return found


def words(count: int) -> str:
    """Bytes for people."""
    for unit in ("T", "G", "M"):
        if count >= UNITS[unit]:
            return f"{count / UNITS[unit]:.3g} {unit}iB"
    return f"{count} bytes"
