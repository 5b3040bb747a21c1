"""A circuit for `training_matrix.py`: one output or several, between -1 and 1 or as probabilities."""

from __future__ import annotations

from typing import Any

import pennylane as qml


def circuit(weights: Any, inputs: Any, wires: int, returns: str) -> Any:
    """Weights (layers, wires, 3), inputs (..., 2); `returns` is `one` or `several`, with ` likely` if probabilities."""
    for layer in weights:
        for wire in range(wires):
            qml.RX(inputs[..., wire], wires=wire)
            qml.Rot(*layer[wire], wires=wire)
        qml.CNOT([0, 1])
    if returns == "several likely":
        return qml.probs(wires=0)
    if returns == "several":
        return [qml.expval(qml.Z(0)), qml.expval(qml.X(1))]
    if returns == "one likely":
        return qml.expval(qml.dot([0.5, 0.5], [qml.I(0), qml.Z(0)]))
    return qml.expval(qml.Z(0))
