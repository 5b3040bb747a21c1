"""About how long the oracle takes for a cell, told from its gate programs and its rows before it begins.

What `benchmarks/oracle_cost.py` measured, as two numbers: an operation on one row costs the time of its calls and that
of its amplitudes. Within a factor of three from 1 to 12 wires, in long double; a machine of its own is no better known.
"""

from __future__ import annotations

from qparity.oracle.program import MAX_WIRES
from qparity.parity import Observation
from qparity.parity.audit import most_steps
from qparity.records import Program
from qparity.records.trace import Trace

CALLS_S, AMPLITUDE_S = 4e-7, 5e-8
TURNS = 32
"""Of an entropy, by an entry of its matrix: it is taken apart twice, for the value and the slope."""


def seconds(o: Observation) -> float:
    """About how long the audit of a cell takes; 0 where no gate program can be simulated."""
    offsets = o.recorded.find(Trace.offsets) if o.trace else None
    if offsets is None or len(offsets) < 2:
        return 0.0
    programs = o.outcome.resolved.programs if o.whole_model else (o.program,)
    return sum(_seconds(p, int(offsets[-1]), len(offsets) - 1) for p in programs if p and not p.not_covered)


def _seconds(program: Program, rows: int, steps: int) -> float:
    wires = program.axes
    if wires > MAX_WIRES:  # refused, and at once
        return 0.0
    rows = rows * most_steps(wires, steps) // steps
    angles = [angle for gate in program.gates for angle in gate.params]
    operations = len(program.gates) + len(angles)
    terms = sum(angle.terms for angle in angles)
    words = sum(len(m.terms or ()) + 2 ** min(len(m.wires or ()), 30) for m in program.measurements)
    sizes = [2 ** len(wires) for m in program.measurements for _, wires in m.parts or ()]
    turned = TURNS * sum(size**2 * (CALLS_S + AMPLITUDE_S * size) for size in sizes)
    return rows * (CALLS_S * (operations + terms) + AMPLITUDE_S * 2**wires * (operations + words) + turned)
