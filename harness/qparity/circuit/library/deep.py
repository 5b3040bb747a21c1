"""A mid-size deep circuit, for timing: many gates an encoding."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit
from qparity.circuit.library._parts import encode, ring, rotate

BLOCKS = 8


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, BLOCKS, wires, 3)})
def deep(weights: Any, inputs: Any, wires: int, layers: int) -> Any:
    """In each layer an encoding and 8 blocks of Rot and a CNOT ring; measures Z of wire 0.

    Args:
        weights: angles (layers, 8, wires, 3), radians.
        inputs: (..., features), any number of them, radians.
        wires: number of wires.
        layers: number of encodings; the circuit has layers * (17 wires) gates, from two wires on.
    """
    for layer in range(layers):
        encode(inputs, wires)
        for block in range(BLOCKS):
            rotate(weights, wires, layer, block)
            ring(qml.CNOT, wires)
    return qml.expval(qml.Z(0))
