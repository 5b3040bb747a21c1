"""Is it one circuit that all variants ran? A scenario's function may queue other gates where it is traced elsewhere.

Each cell has the gate program that its own worker read from the user's function, and the reference (a process without
any framework) has its own: witnesses, one for each backend and one for the reference. A cell must never be judged by
what it says of itself alone, so all are compared, and a majority of the witnesses says which circuit is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qparity.oracle.expressions import formula
from qparity.oracle.program import Gate, Parameter
from qparity.parity.setup import ExactFault
from qparity.parity.types import Observation, Stage
from qparity.records import Program
from qparity.records.program import Measurement

SAME = 1e-12
"""Two readings of a coefficient may differ by rounding."""
NUMPY = "NumPy"

Programs = Sequence[Program]


def circuit_faults(block: Sequence[Observation]) -> dict[str, ExactFault | str]:
    """For each cell whose circuit is not that of a majority: a fault that names the gate, or why nobody can say.

    Cells without a recorded program are left out.
    """
    read = {o.cell: programs_of(o) for o in block}
    cells = [o for o in block if read[o.cell] is not None]
    witnesses: list[tuple[str, Programs]] = []
    for o in cells:
        mine = read[o.cell]
        assert mine is not None
        if not any(name == o.backend and same(mine, other) for name, other in witnesses):
            witnesses.append((o.backend, mine))
    told = next((found for o in block if (found := reference_programs(o)) is not None), None)
    if told is not None:
        witnesses.append((NUMPY, told))
    groups: list[tuple[set[str], Programs]] = []
    for name, programs in witnesses:
        for names, other in groups:
            if same(programs, other):
                names.add(name)
                break
        else:
            groups.append(({name}, programs))
    if len(groups) < 2:
        return _alone(cells) if len(witnesses) == 1 else {}
    everybody = {name for name, _ in witnesses}
    names, meant = max(groups, key=lambda group: len(group[0]))
    alone = [n for n in names if sum(n in other for other, _ in groups) == 1]  # a backend of two minds is no witness
    if 2 * len(alone) <= len(everybody):
        sides = "; ".join(f"{', '.join(sorted(group))}: {difference(meant, p) or 'so'}" for group, p in groups)
        return {
            o.cell: f"the circuit is not the same everywhere, and no majority says which is meant ({sides})"
            for o in cells
        }
    odd: dict[str, ExactFault | str] = {}
    for o in cells:
        mine = read[o.cell]
        assert mine is not None
        if not same(mine, meant):
            what = difference(meant, mine)
            reason = f"its function gives another circuit than for {', '.join(sorted(names))}: {what}"
            odd[o.cell] = ExactFault(Stage.SETUP, None, "circuit", str(what), "the circuit of the others", reason)
    return odd


def _alone(cells: Sequence[Observation]) -> dict[str, ExactFault | str]:
    """The reason for cells whose circuit one backend alone has read: the reference could not confirm it."""
    found: dict[str, ExactFault | str] = {}
    for o in cells:
        said = o.outcome.reference
        if said.reason is not None and said.programs is None:
            who = f"only {o.backend} itself has read the circuit, so nobody says that it is the one meant"
            found[o.cell] = f"{who} ({said.reason})"
    return found


def programs_of(o: Observation) -> Programs | None:
    """The circuits as the cell's own worker read them."""
    if o.outcome.resolved.quantum_layers:
        return o.outcome.resolved.programs
    return None if o.program is None else (o.program,)


def reference_programs(o: Observation) -> Programs | None:
    """The circuits as the reference read them."""
    return o.outcome.reference.programs


def same(one: Programs, other: Programs) -> bool:
    """Whether two readings are of the same circuits."""
    return difference(one, other) is None


def difference(meant: Programs, other: Programs) -> str | None:
    """Where `other` first differs from what is meant, in a few words; None where it does not."""
    if len(meant) != len(other):
        return f"{len(other)} quantum layers, not {len(meant)}"
    for number, (a, b) in enumerate(zip(meant, other, strict=True)):
        if found := next(_differences(a, b), None):
            return found if len(meant) == 1 else f"quantum layer {number}: {found}"
    return None


def _differences(a: Program, b: Program) -> Iterator[str]:
    if a is b:
        return
    if a.not_covered or b.not_covered:
        if bool(a.not_covered) != bool(b.not_covered):
            yield b.not_covered or f"it can be read as gates, elsewhere not: {a.not_covered}"
        return
    for k, (mine, theirs) in enumerate(zip(a.gates, b.gates, strict=False)):
        if (mine.name, mine.wires, mine.controls) != (theirs.name, theirs.wires, theirs.controls):
            yield f"gate {k} is {_gate(theirs)}, not {_gate(mine)}"
            return
        if not _close(_numbers(mine.params), _numbers(theirs.params)):
            yield f"gate {k}, {_gate(theirs)}, has the angle {_angles(theirs)}, not {_angles(mine)}"
            return
        if not _close(mine.numbers, theirs.numbers):
            yield f"gate {k}, {_gate(theirs)}, has another matrix"
            return
    if len(a.gates) != len(b.gates):
        yield f"{len(b.gates)} gates, not {len(a.gates)}"
    elif not _close(*(list(map(_measured, p.measurements)) for p in (a, b))):
        yield "it measures something else"
    elif [w.shape for w in a.weights] != [w.shape for w in b.weights]:
        yield "its weights have other shapes"


def _measured(m: Measurement) -> tuple[object, ...]:
    return m.kind, m.terms, m.wires, _numbers(m.coefficients), m.parts, m.base


def _numbers(parameters: Sequence[Parameter] | None) -> list[object]:
    return [
        (p.constant, p.weights, p.inputs, p.products, [(n.name, n.of, n.number) for n in p.expression])
        for p in parameters or ()
    ]


def _close(one: object, other: object) -> bool:
    if isinstance(one, bool | str) or isinstance(other, bool | str) or one is None or other is None:
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= SAME * max(1.0, abs(one), abs(other))
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one) == len(other) and all(_close(a, b) for a, b in zip(one, other, strict=True))
    return False


def _gate(gate: Gate) -> str:
    return f"{gate.name} on {', '.join(map(str, gate.wires))}"


def _angles(gate: Gate) -> str:
    return ", ".join(map(_form, gate.params)) or "none"


def _form(p: Parameter) -> str:
    """An angle as a formula, w and x being weights and inputs."""
    names = {"w": "w", "i": "x"}
    if p.expression:
        try:
            return formula(p.expression, lambda kind, index: f"{names[kind]}{index}")
        except ValueError:
            return f"an expression of {len(p.expression)} terms"
    terms = [f"{c:.9g} w{i}" for i, c in p.weights] + [f"{c:.9g} x{i}" for i, c in p.inputs]
    terms += [f"{c:.9g} {names[a]}{i} {names[b]}{j}" for a, i, b, j, c in p.products]
    return " + ".join([*terms, *([f"{p.constant:.9g}"] if p.constant or not terms else [])])
