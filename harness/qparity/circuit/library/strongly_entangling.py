"""A classifier: angle embedding and strongly entangling layers (Schuld et al., Phys. Rev. A 101, 032308)."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires, 3)}, features=lambda wires: wires)
def strongly_entangling(weights: Any, inputs: Any, wires: int) -> Any:
    """A feature a wire, then PennyLane's `StronglyEntanglingLayers`; measures Z of wire 0.

    Args:
        weights: angles (layers, wires, 3), radians.
        inputs: (..., wires), radians.
        wires: number of wires.
    """
    qml.AngleEmbedding(inputs, wires=range(wires))
    qml.StronglyEntanglingLayers(weights, wires=range(wires))
    return qml.expval(qml.Z(0))
