"""A circuit that is written out as data (`scenario/written.py`) as PennyLane code: the gates that the cell ran."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qparity.scenario.written import WEIGHTS, Angle, Gate, Measurement, Written

HELPER = '''def decomposed(make):
    """Apply PennyLane's own decomposition of an operation in its place."""
    with qml.QueuingManager.stop_recording():
        parts = make().decomposition()
    for part in parts:
        qml.apply(part)


'''


def circuit(written: Written, name: str = "circuit", weights: str = f"{WEIGHTS}[0]") -> str:
    """The quantum function `circuit(weights, x)`: a line for each gate; `weights` is what it calls the weight array."""
    lines = [_line(gate, weights) for gate in written.gates]
    measured = ", ".join(_measurement(each, weights) for each in written.measured)
    body = "".join(f"    {line}\n" for line in lines)
    return f"{helper(written)}def {name}(weights, x):\n{body}    return [{measured}]"


def helper(written: Written) -> str:
    """The function that a circuit needs where it decomposes gates; else nothing."""
    return HELPER if any(gate.spelled for gate in written.gates) else ""


def _line(gate: Gate, weights: str) -> str:
    text = _plain(gate, weights)
    if gate.power != 1:
        text = f"qml.pow({text}, {gate.power})"
    if gate.adjoint:
        text = f"qml.adjoint({text})"
    if gate.control:
        text = f"qml.ctrl({text}, control={list(gate.control)}, control_values={list(gate.values)})"
    return f"decomposed(lambda: {text})" if gate.spelled else text


def _plain(gate: Gate, weights: str) -> str:
    wires, angles = list(gate.wires), [_angle(angle, weights) for angle in gate.angles]
    name, stacked = gate.gate, f"qml.math.stack([{', '.join(angles)}]"
    if name == "PauliRot":
        return f"qml.PauliRot({angles[0]}, {gate.word!r}, wires={wires})"
    if name in ("BasicEntanglerLayers", "StronglyEntanglingLayers"):
        shape = (1, len(wires), *((3,) if name.startswith("Strongly") else ()))
        return f"qml.{name}(qml.math.reshape({stacked}), {shape}), wires={wires})"
    if name in ("StatePrep", "AmplitudeEmbedding"):
        return f"qml.{name}({stacked}, axis=-1), wires={wires}, normalize=True)"
    if name == "BasisState":
        return f"qml.BasisState(np.array({[int(bit) for bit in gate.numbers]}), wires={wires})"
    if gate.numbers:
        matrices = _matrices(gate.numbers, 2 ** len(wires), name == "DiagonalQubitUnitary")
        given = f"[{', '.join(matrices)}]" if name == "QubitChannel" else matrices[0]
        return f"qml.{name}({given}, wires={wires})"
    return f"qml.{name}({', '.join([*angles, f'wires={wires}'])})"


def _matrices(numbers: Sequence[float], size: int, diagonal: bool = False) -> list[str]:
    parts = np.array(numbers).reshape(-1, *(size,) * (1 if diagonal else 2), 2)
    return [f"np.array({(m[..., 0] + 1j * m[..., 1]).tolist()})" for m in parts]


def _angle(angle: Angle, weights: str) -> str:
    def factor(name: str) -> str:
        return f"{weights}[{int(name[1:])}]" if name[0] == "w" else f"x[..., {int(name[1:])}]"

    terms = []
    for coefficient, names in angle:
        factors = [factor(name) for name in names]
        if not factors or coefficient != 1:
            factors.insert(0, repr(coefficient))
        terms.append(" * ".join(factors))
    return " + ".join(terms)


def _measurement(m: Measurement, weights: str) -> str:
    wires = list(m.wires)
    if m.kind == "purity":
        return f"qml.purity(wires={wires})"
    if m.kind == "probs" and not m.terms and m.observable == "word":
        return f"qml.probs(wires={wires})"
    observable = _observable(m, weights)
    return f"qml.probs(op={observable})" if m.kind == "probs" else f"qml.{m.kind}({observable})"


def _observable(m: Measurement, weights: str) -> str:
    wires = list(m.wires)
    if m.observable == "hermitian":
        return f"qml.Hermitian({_matrices(m.numbers, 2 ** len(wires))[0]}, wires={wires})"
    if m.observable == "projector":
        return f"qml.Projector({[int(bit) for bit in m.numbers]}, wires={wires})"
    words = [_word(word, on) for _, word, on in m.terms]
    if m.coefficients:
        coefficients = ", ".join(_angle(each, weights) for each in m.coefficients)
        return f"qml.dot([{coefficients}], [{', '.join(words)}])"
    numbers = [coefficient for coefficient, _, _ in m.terms]
    return words[0] if numbers == [1.0] else f"qml.dot({numbers}, [{', '.join(words)}])"


def _word(word: str, wires: Sequence[int]) -> str:
    letters = [f"qml.{letter}({wire})" for letter, wire in zip(word, wires, strict=True)]
    return letters[0] if len(letters) == 1 else f"qml.prod({', '.join(letters)})"
