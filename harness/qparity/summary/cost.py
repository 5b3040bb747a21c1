"""About how long the oracle takes for a cell, told from its gate programs and its rows before it begins.

What `benchmarks/oracle_cost.py` measured, as two numbers: an operation on one row costs the time of its calls and that
of its amplitudes. Within a factor of three from 1 to 12 wires, in long double; a machine of its own is no better known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qparity.oracle.program import MAX_WIRES
from qparity.parity import Observation
from qparity.parity.audit import most_steps

CALLS_S, AMPLITUDE_S = 4e-7, 5e-8


def seconds(o: Observation) -> float:
    """About how long the audit of a cell takes; 0 where no gate program can be simulated."""
    offsets = (o.trace or {}).get("offsets")
    if offsets is None or len(offsets) < 2:
        return 0.0
    if o.scenario.get("model"):
        layers = (o.outcome.get("resolved") or {}).get("quantum_layers") or ()
        programs = [layer.get("program") for layer in layers]
    else:
        programs = [o.program]
    return sum(_seconds(p, int(offsets[-1]), len(offsets) - 1) for p in programs if p and not p.get("not_covered"))


def _seconds(program: Mapping[str, Any], rows: int, steps: int) -> float:
    wires = int(program.get("wires", 0))
    if wires > MAX_WIRES:  # refused, and at once
        return 0.0
    rows = rows * most_steps(wires, steps) // steps
    gates = program.get("gates", ())
    operations = sum(1 + len(gate.get("params", ())) for gate in gates)
    terms = sum(
        len(angle.get(kind, ()))
        for gate in gates
        for angle in gate.get("params", ())
        for kind in ("weights", "inputs", "products")
    )
    words = sum(
        len(m.get("terms", ())) + 2 ** min(len(m.get("wires", ())), 30) for m in program.get("measurements", ())
    )
    return rows * (CALLS_S * (operations + terms) + AMPLITUDE_S * 2**wires * (operations + words))
