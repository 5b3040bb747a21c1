"""Pieces of a reproducer as Python source: numbers that round-trip, and a gate program as PennyLane code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from qparity.oracle import GateProgram
from qparity.oracle.program import Expval, Gate, Parameter, Probs
from qparity.scenario.text import printable


def comment(text: str) -> str:
    """Any text as one line that Python passes over."""
    return f"# {printable(text)}"


def literal(array: np.ndarray) -> str:
    """An array as source, exactly: `repr` of a float64 round-trips, and every float32 is one."""
    array = np.asarray(array)
    numbers = ", ".join(repr(float(v)) for v in array.reshape(-1))
    body = textwrap.fill(numbers, 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    shape = f".reshape({array.shape})" if array.ndim != 1 else ""
    return f'np.array([\n{body}\n], "{array.dtype}"){shape}'


def call(name: str, options: Mapping[str, Any], *arguments: str) -> str:
    """`name(argument, ..., key=value, ...)`."""
    return f"{name}({', '.join([*arguments, *(f'{key}={value}' for key, value in options.items())])})"


def circuit(program: GateProgram) -> str:
    """The quantum function `circuit(weights, x)`: one line a gate, `weights` a list of arrays, `x` (..., features)."""
    lines = gate_lines(program)
    measured = ", ".join(_measurement(m) for m in program.measurements)
    return "def circuit(weights, x):\n" + "".join(f"    {line}\n" for line in lines) + f"    return [{measured}]"


def sizes(program: GateProgram) -> list[int]:
    """Number of outputs of each measurement."""
    return [2 ** len(m.wires) if isinstance(m, Probs) else 1 for m in program.measurements]


def reads_inputs(parameter: Parameter) -> bool:
    """Whether a gate parameter depends on the inputs."""
    return bool(parameter.inputs) or any("i" in (a, b) for a, _, b, _, _ in parameter.products)


def reads_weights(parameter: Parameter) -> bool:
    """Whether a gate parameter depends on the weights."""
    return bool(parameter.weights) or any("w" in (a, b) for a, _, b, _, _ in parameter.products)


def gate_lines(program: GateProgram) -> list[str]:
    """Each gate as a line of PennyLane code."""
    places = [
        f"weights[{k}][{', '.join(map(str, index))}]" if shape else f"weights[{k}]"
        for k, shape in enumerate(program.weight_shapes)
        for index in np.ndindex(*shape)
    ]

    def line(gate: Gate) -> str:
        angles = [_angle(p, places) for p in gate.params]
        wires = f"wires={gate.wires[0] if len(gate.wires) == 1 else list(gate.wires)}"
        name = gate.name.removeprefix("Adjoint(").removesuffix(")")
        inner = f"qml.{name}({', '.join([*angles, wires])})"
        return f"qml.adjoint({inner})" if name != gate.name else inner

    return [line(gate) for gate in program.gates]


def _angle(p: Parameter, places: list[str]) -> str:
    def variable(kind: str, index: int) -> str:
        return places[index] if kind == "w" else f"x[..., {index}]"

    terms = [_term(c, variable("w", i)) for i, c in p.weights] + [_term(c, variable("i", i)) for i, c in p.inputs]
    terms += [_term(c, f"{variable(a, i)} * {variable(b, j)}") for a, i, b, j, c in p.products]
    if p.constant or not terms:
        terms.append(repr(p.constant))
    return " + ".join(terms)


def _term(coefficient: float, text: str) -> str:
    return text if coefficient == 1 else f"{coefficient!r} * {text}"


def _measurement(m: Expval | Probs) -> str:
    if isinstance(m, Probs):
        return f"qml.probs(wires={list(m.wires)})"
    return f"qml.expval({' + '.join(_word(c, word) for c, word in m.terms)})"


def _word(coefficient: float, word: tuple[tuple[str, int], ...]) -> str:
    letters = " @ ".join(f"qml.{letter}({wire})" for letter, wire in word) or "qml.I(0)"
    return letters if coefficient == 1 else f"{coefficient!r} * ({letters})"
