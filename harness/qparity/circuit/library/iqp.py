"""IQP embedding: gate angles that are products of features (Havlicek et al., Nature 567, 209)."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires)}, features=lambda wires: wires)
def iqp(weights: Any, inputs: Any, wires: int, repeats: int = 1) -> Any:
    """PennyLane's `IQPEmbedding`, then `BasicEntanglerLayers`; measures Z of wire 0.

    Args:
        weights: angles (layers, wires), radians.
        inputs: (..., wires): exactly one feature a wire.
        wires: number of wires.
        repeats: how often the embedding is applied.
    """
    qml.IQPEmbedding(inputs, wires=range(wires), n_repeats=repeats)
    qml.BasicEntanglerLayers(weights, wires=range(wires), rotation=qml.RY)
    return qml.expval(qml.Z(0))
