"""Several expectation values: angle embedding, basic entangler layers, Z of every wire."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires)}, features=lambda wires: wires)
def basic_entangler(weights: Any, inputs: Any, wires: int) -> Any:
    """RY embedding, then PennyLane's `BasicEntanglerLayers` (RX and a CNOT ring); measures Z of every wire.

    Args:
        weights: angles (layers, wires), radians.
        inputs: (..., wires), radians.
        wires: number of wires, and of outputs.
    """
    qml.AngleEmbedding(inputs, wires=range(wires), rotation="Y")
    qml.BasicEntanglerLayers(weights, wires=range(wires))
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]
