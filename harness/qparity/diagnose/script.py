"""Pieces of a reproducer as Python source: numbers that round-trip, and a gate program as PennyLane code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from qparity.oracle import GateProgram
from qparity.oracle.expressions import formula
from qparity.oracle.maps import PREPARATIONS
from qparity.oracle.program import (
    Entropy,
    Expval,
    Gate,
    Measured,
    NotCovered,
    Parameter,
    Probs,
    Purity,
    State,
    Variance,
    outputs_of,
)
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
    measured = ", ".join(_measurement(m, _places(program)) for m in program.measurements)
    return "def circuit(weights, x):\n" + "".join(f"    {line}\n" for line in lines) + f"    return [{measured}]"


def sizes(program: GateProgram) -> list[int]:
    """Number of outputs of each measurement."""
    return [outputs_of(m, program.wires) for m in program.measurements]


def reads_inputs(parameter: Parameter) -> bool:
    """Whether a gate parameter depends on the inputs."""
    return any(kind == "i" for kind, _ in parameter.reads)


def reads_weights(parameter: Parameter) -> bool:
    """Whether a gate parameter depends on the weights."""
    return any(kind == "w" for kind, _ in parameter.reads)


def gate_lines(program: GateProgram) -> list[str]:
    """Each gate as a line of PennyLane code."""
    places = _places(program)
    return [_line(gate, places) for gate in program.gates]


def _places(program: GateProgram) -> list[str]:
    """What each scalar weight is called."""
    return [
        f"weights[{k}][{', '.join(map(str, index))}]" if shape else f"weights[{k}]"
        for k, shape in enumerate(program.weight_shapes)
        for index in np.ndindex(*shape)
    ]


def _line(gate: Gate, places: list[str]) -> str:
    targets = gate.wires[gate.controls :]
    wires = f"wires={targets[0] if len(targets) == 1 else list(targets)}"
    angles = [_angle(p, places) for p in gate.params]
    name = gate.name.removeprefix("Adjoint(").removesuffix(")") if gate.name.startswith("Adjoint(") else gate.name
    if gate.name.startswith("PauliError("):
        name, angles = "PauliError", [repr(gate.name[len("PauliError(") : -1]), *angles]
    elif gate.name in PREPARATIONS and gate.params:
        angles = [_amplitudes(gate, angles)]
        wires += ", normalize=True" if gate.name == "AmplitudeEmbedding" else ", validate_norm=False"
        name = "StatePrep"
    elif gate.numbers:
        matrices = _matrices(gate)
        angles = [f"[{', '.join(matrices)}]" if gate.name == "QubitChannel" else matrices[0]]
    inner = f"qml.{name}({', '.join([*angles, wires])})"
    if gate.name.startswith("Adjoint("):
        inner = f"qml.adjoint({inner})"
    return f"qml.ctrl({inner}, control={list(gate.wires[: gate.controls])})" if gate.controls else inner


def _amplitudes(gate: Gate, angles: list[str]) -> str:
    """The amplitudes of a prepared state as one tensor; `x` sets its batch where an amplitude reads a feature."""
    batched = any(reads_inputs(p) for p in gate.params)
    constant = all(not reads_inputs(p) and not reads_weights(p) for p in gate.params)
    if constant:
        numbers = np.array([p.constant for p in gate.params])
        parts = numbers.reshape(2, -1) if len(numbers) > 2 ** len(gate.wires) else numbers[None]
        return f"np.array({(parts[0] + 1j * parts[1]).tolist() if len(parts) == 2 else parts[0].tolist()})"
    if batched:
        angles = [a if reads_inputs(p) else f"{a} + 0 * x[..., 0]" for a, p in zip(angles, gate.params, strict=True)]
    size = 2 ** len(gate.wires)
    stacked = [f"qml.math.stack([{', '.join(angles[k : k + size])}], axis=-1)" for k in range(0, len(angles), size)]
    return " + 1j * ".join(stacked)


def _matrices(gate: Gate) -> list[str]:
    """The constant matrices of a gate."""
    size = 2 ** (len(gate.wires) - gate.controls)
    parts = np.array(gate.numbers).reshape(-1, size, size, 2)
    return [f"np.array({(m[..., 0] + 1j * m[..., 1]).tolist()})" for m in parts]


def _angle(p: Parameter, places: list[str]) -> str:
    def variable(kind: str, index: int) -> str:
        return places[index] if kind == "w" else f"x[..., {index}]"

    if p.expression:
        try:
            return formula(p.expression, variable, "qml.math.")
        except ValueError as error:
            raise NotCovered(f"no source is written of it: {error}") from None
    terms = [_term(c, variable("w", i)) for i, c in p.weights] + [_term(c, variable("i", i)) for i, c in p.inputs]
    terms += [_term(c, f"{variable(a, i)} * {variable(b, j)}") for a, i, b, j, c in p.products]
    if p.constant or not terms:
        terms.append(repr(p.constant))
    return " + ".join(terms)


def _term(coefficient: float, text: str) -> str:
    return text if coefficient == 1 else f"{coefficient!r} * {text}"


def _measurement(m: Measured, places: list[str]) -> str:
    if isinstance(m, State):
        return "qml.state()"
    if isinstance(m, Probs | Purity):
        return f"qml.{'probs' if isinstance(m, Probs) else 'purity'}(wires={list(m.wires)})"
    if isinstance(m, Entropy):
        base = "" if m.base is None else f", log_base={m.base!r}"
        (_, one), *more = m.parts
        if not more:
            return f"qml.vn_entropy(wires={list(one)}{base})"
        return f"qml.mutual_info(wires0={list(one)}, wires1={list(more[0][1])}{base})"
    if isinstance(m, Expval) and m.coefficients:
        coefficients = ", ".join(_angle(p, places) for p in m.coefficients)
        return f"qml.expval(qml.dot([{coefficients}], [{', '.join(_word(1, word) for _, word in m.terms)}]))"
    kind = "var" if isinstance(m, Variance) else "expval"
    return f"qml.{kind}({' + '.join(_word(c, word) for c, word in m.terms)})"


def _word(coefficient: float, word: tuple[tuple[str, int], ...]) -> str:
    letters = " @ ".join(f"qml.{letter}({wire})" for letter, wire in word) or "qml.I(0)"
    return letters if coefficient == 1 else f"{coefficient!r} * ({letters})"
