"""Many outputs of one measurement: the probabilities of all basis states, as in a Born machine."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit
from qparity.circuit.library._parts import encode, ring, rotate


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires, 3)})
def probabilities(weights: Any, inputs: Any, wires: int, layers: int) -> Any:
    """Encoding, Rot and a CNOT ring in each layer; measures 2^wires probabilities, wire 0 most significant.

    Args:
        weights: angles (layers, wires, 3), radians.
        inputs: (..., features), any number of them, radians.
        wires: number of wires.
        layers: number of layers.
    """
    for layer in range(layers):
        encode(inputs, wires)
        rotate(weights, wires, layer)
        ring(qml.CNOT, wires)
    return qml.probs(wires=range(wires))
