"""Cross-check of the whole gate table with PennyLane, the only test of the oracle that imports it."""

import numpy as np
import pytest

from qparity.oracle import predict
from qparity.oracle.program import parameter_values

from .programs import NAMES, arguments, random_program, read

qml = pytest.importorskip("pennylane")

ABSENT = {"H": "Hadamard", "CPhase": "ControlledPhaseShift"}


def pennylane_predictions(data, weights, x, offsets):
    program = read(data)
    theta = parameter_values(program, np.concatenate([w.reshape(1, -1) for w in weights], axis=1), x, offsets)

    @qml.qnode(qml.device("default.qubit", wires=data["wires"]))
    def circuit(row):
        k = 0
        for gate in data["gates"]:
            name, adjoint = gate["name"], gate["name"].startswith("Adjoint(")
            name = name[8:-1] if adjoint else name
            operation = getattr(qml, ABSENT.get(name, name))
            angles = theta[k : k + len(gate["params"]), row]
            k += len(gate["params"])
            made = operation(*angles, wires=gate["wires"])
            if adjoint:
                qml.adjoint(made)
        words = [
            qml.prod(*[getattr(qml, p)(w) for p, w in word]) if word else qml.Identity(0)
            for _, word in data["measurements"][0]["terms"]
        ]
        coefficients = [c for c, _ in data["measurements"][0]["terms"]]
        observable = qml.dot(coefficients, words)
        return qml.expval(observable), qml.probs(wires=data["measurements"][1]["wires"])

    return np.array([np.concatenate([np.atleast_1d(m) for m in circuit(row)]) for row in range(len(x))])


@pytest.mark.parametrize("name", NAMES)
def test_gate_is_pennylanes(name):
    data = random_program(11, 3, 5, [name])
    for k, gate in enumerate(data["gates"][3:]):
        gate["name"] = name if k % 2 else f"Adjoint({name})"
        if name == "GlobalPhase":
            gate["wires"] = []
    weights, x, _, offsets = arguments(11, rows=2)
    ours = predict(read(data), weights, x, offsets)
    assert np.abs(ours - pennylane_predictions(data, weights, x, offsets)).max() < 1e-14


@pytest.mark.parametrize("seed", range(6))
def test_random_circuits_are_pennylanes(seed):
    data = random_program(seed, 4, 25, [n for n in NAMES if n != "GlobalPhase"])
    weights, x, _, offsets = arguments(seed, rows=2)
    ours = predict(read(data), weights, x, offsets)
    assert np.abs(ours - pennylane_predictions(data, weights, x, offsets)).max() < 1e-13
