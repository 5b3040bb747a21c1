"""Writes docs/circuits.md, the page of the circuit library, from the circuits themselves.

python docs/make_circuits.py
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pennylane as qml

from qparity.circuit.definition import BoundCircuit, bind, output_size, resolve
from qparity.circuit.program import gate_program
from qparity.scenario.registry import CIRCUITS

WIRES, LAYERS, WIDTH = 3, 2, 100
PAGE = Path(__file__).with_name("circuits.md")
HEAD = f"""# The circuit library

Made by `python docs/make_circuits.py`; a test says when it is out of date. A scenario names a circuit by
`circuit = "..."`; what stands under *options* goes into `circuit_options`. Numbers are for {WIRES} wires and
{LAYERS} layers, drawings for one layer; a circuit that takes any number of features is shown with one. A circuit
of your own is `circuit = "package.module:function"`.
"""

TAIL = """
## A circuit of your own whose gates depend on values

The oracle simulates one list of gates, whose angles are read as expressions of weights and inputs
([coverage](coverage.md)). What that means for a function, or a QNode's transform, that looks at its numbers:

| | judged by |
|---|---|
| `merge_rotations` (of `RX`, `RY`, `RZ`), `cancel_inverses`, `compile`: the same gates at all generic values | oracle |
| `merge_rotations` of `Rot`s, `single_qubit_fusion`: angles of several cases | reference |
| `where`, `clip`, `maximum` in an angle | reference |
| a branch on the data, `if inputs[0] > 0:` | reference |
| a branch on a weight | reference |

The cell says why: a parameter of a gate "is no expression of weights and inputs that can be read", or "gate list
depends on the values of the inputs" (of the weights, of both).

The reference runs the function itself, sample by sample, and the oracle simulates the gates that come of it, so
whatever branch a sample takes is the one that is judged:
predictions and loss as they are, gradients along one random direction of each weight, at up to eight steps (`whole
model judged by the reference` says how many). Where the branch changes along that direction there is no slope to judge
by. In a compiled JAX program JAX refuses a branch on a traced number: the cell is `unsupported`, with that line.
"""


def page() -> str:
    """The whole page as Markdown."""
    rows = ["| circuit | features | weights | outputs | gates |", "|---|---|---|---|---|"]
    sections = []
    for name, path in CIRCUITS.items():
        function = resolve(path)
        own = bind(function, WIRES, LAYERS, {}).features
        bound = bind(function, WIRES, LAYERS, {}, features=own or 1)
        weights = ", ".join(f"`{weight}` {shape}" for weight, shape in bound.weight_shapes.items())
        gates = len(gate_program(bound)["gates"])
        rows.append(f"| [`{name}`](#{name}) | {own or 'any'} | {weights} | {output_size(bound)} | {gates} |")
        why = (inspect.getdoc(inspect.getmodule(function)) or "").strip()
        what = (inspect.getdoc(function) or "").strip().replace("Args:\n", "").replace("    ", "- ")
        picture = draw(bind(function, WIRES, 1, {}))
        sections.append(f"## {name}\n\n{why}\n\n{what}\n\nOptions: {options(bound, function)}\n\n{picture}")
    return "\n".join([HEAD, *rows, "", "\n\n".join(sections), TAIL.rstrip()]) + "\n"


def options(bound: BoundCircuit, function: object) -> str:
    """Further arguments with their defaults."""
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    found = [f"`{p.name} = {p.default!r}`" for p in parameters if p.default is not p.empty]
    return ", ".join(found) or "none"


def draw(bound: BoundCircuit) -> str:
    """The first line of PennyLane's drawing, templates taken apart."""
    qnode = qml.QNode(bound.function, qml.device("default.qubit", wires=bound.wires))
    text = qml.draw(qnode, decimals=None, show_matrices=False, max_length=WIDTH, level="device")(*bound.example())
    first, *rest = text.split("\n\n")
    first = "\n".join(line.rstrip() for line in first.splitlines())
    return f"```\n{first}\n```" + ("\n\n(and so on)" if rest else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
