"""The quantum function of a circuit that is written out as data (`scenario/written.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pennylane as qml

from qparity.scenario.written import Angle, Gate, Measurement, read


def written(weights: Any, inputs: Any, gates: Sequence[Any], measured: Sequence[Any]) -> list[Any]:
    """Apply the gates and return the measurements; weights (W,), inputs (..., features).

    Raises:
        ScenarioError: it is no such circuit.
    """
    circuit = read({"gates": gates, "measured": measured})
    for gate in circuit.gates:
        _apply(gate, weights, inputs)
    return [_measurement(each, weights, inputs) for each in circuit.measured]


def operation(gate: Gate, weights: Any, inputs: Any) -> Any:
    """The gate as an operation of PennyLane, without its decomposition."""
    angles = [_value(angle, weights, inputs) for angle in gate.angles]
    made = _plain(gate, angles)
    if gate.power != 1:
        made = qml.pow(made, gate.power)
    if gate.adjoint:
        made = qml.adjoint(made)
    if gate.control:
        made = qml.ctrl(made, control=list(gate.control), control_values=list(gate.values))
    return made


def _apply(gate: Gate, weights: Any, inputs: Any) -> None:
    if not gate.spelled:
        operation(gate, weights, inputs)
        return
    with qml.QueuingManager.stop_recording():
        parts = operation(gate, weights, inputs).decomposition()
    for part in parts:
        qml.apply(part)


def _plain(gate: Gate, angles: list[Any]) -> Any:
    kind, wires, name = getattr(qml, gate.gate), list(gate.wires), gate.gate
    if name == "PauliRot":
        return kind(*angles, gate.word, wires=wires)
    if name in ("BasicEntanglerLayers", "StronglyEntanglingLayers"):
        shape = (1, len(wires), *((3,) if name.startswith("Strongly") else ()))
        return kind(qml.math.reshape(qml.math.stack(angles), shape), wires=wires)
    if name in ("StatePrep", "AmplitudeEmbedding"):
        return kind(qml.math.stack(angles, axis=-1), wires=wires, normalize=True)
    if name == "BasisState":
        return kind(np.array(gate.numbers, int), wires=wires)
    if gate.numbers:
        matrices = complex_matrices(gate.numbers, 2 ** len(wires), name == "DiagonalQubitUnitary")
        return kind(list(matrices) if name == "QubitChannel" else matrices[0], wires=wires)
    return kind(*angles, wires=wires)


def complex_matrices(numbers: Sequence[float], size: int, diagonal: bool = False) -> np.ndarray:
    """Real and imaginary parts in turn as matrices (count, size, size), or diagonals (count, size)."""
    parts = np.array(numbers).reshape(-1, *(size,) * (1 if diagonal else 2), 2)
    found: np.ndarray = parts[..., 0] + 1j * parts[..., 1]
    return found


def _value(angle: Angle, weights: Any, inputs: Any) -> Any:
    def factor(name: str) -> Any:
        number = int(name[1:])
        return weights[number] if name[0] == "w" else inputs[..., number]

    terms = []
    for coefficient, names in angle:
        factors = [factor(name) for name in names]
        if factors and coefficient != 1:
            factors.insert(0, coefficient)
        terms.append(prod(factors[1:], start=factors[0]) if factors else coefficient)
    return sum(terms[1:], start=terms[0])


def _measurement(m: Measurement, weights: Any, inputs: Any) -> Any:
    wires = list(m.wires)
    if m.kind == "purity":
        return qml.purity(wires=wires)
    if m.kind == "probs" and not m.terms and m.observable == "word":
        return qml.probs(wires=wires)
    observable = _observable(m, weights, inputs)
    return qml.probs(op=observable) if m.kind == "probs" else getattr(qml, m.kind)(observable)


def _observable(m: Measurement, weights: Any, inputs: Any) -> Any:
    wires = list(m.wires)
    if m.observable == "hermitian":
        return qml.Hermitian(complex_matrices(m.numbers, 2 ** len(wires))[0], wires=wires)
    if m.observable == "projector":
        return qml.Projector([int(bit) for bit in m.numbers], wires=wires)
    words = [_word(word, on) for _, word, on in m.terms]
    if m.coefficients:
        return qml.dot([_value(each, weights, inputs) for each in m.coefficients], words)
    numbers = [coefficient for coefficient, _, _ in m.terms]
    return words[0] if numbers == [1.0] else qml.dot(numbers, words)


def _word(word: str, wires: Sequence[int]) -> Any:
    letters = [getattr(qml, letter)(wire) for letter, wire in zip(word, wires, strict=True)]
    return letters[0] if len(letters) == 1 else qml.prod(*letters)
