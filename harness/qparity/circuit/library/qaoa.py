"""A QAOA-like circuit: a cost layer that multiplies weights by features, a mixer, two weight arrays.

The cost is H(x) = sum over ring edges Z_i Z_j + sum over wires x_i Z_i (Farhi, Goldstone, Gutmann,
arXiv:1411.4028).
"""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import CircuitError, quantum_circuit
from qparity.circuit.library._parts import edges


@quantum_circuit(weight_shapes=lambda wires, layers: {"gamma": (layers,), "beta": (layers,)})
def qaoa(gamma: Any, beta: Any, inputs: Any, wires: int, layers: int) -> Any:
    """exp(-i gamma H(x)), exp(-i beta sum X) in turn; measures Z Z of every ring edge, then Z of every wire.

    Args:
        gamma: angles of the cost layers (layers,), radians.
        beta: angles of the mixers (layers,), radians.
        inputs: (..., features), at most one a wire: the fields x, used round the wires.
        wires: number of wires.
        layers: number of cost and mixer layers.
    """
    features = inputs.shape[-1]
    if features > wires:
        raise CircuitError(f"qaoa: {features} features on {wires} wires: expected at most one a wire")
    for wire in range(wires):
        qml.Hadamard(wires=wire)
    for layer in range(layers):
        for edge in edges(wires):
            qml.IsingZZ(2 * gamma[layer], wires=edge)
        for wire in range(wires):
            qml.RZ(2 * gamma[layer] * inputs[..., wire % features], wires=wire)
        for wire in range(wires):
            qml.RX(2 * beta[layer], wires=wire)
    couplings = [qml.expval(qml.Z(i) @ qml.Z(j)) for i, j in edges(wires)]
    return couplings + [qml.expval(qml.Z(wire)) for wire in range(wires)]
