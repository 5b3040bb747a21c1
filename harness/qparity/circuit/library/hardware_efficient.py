"""A hardware-efficient ansatz with a dead light cone: the null-gradient case.

Only wire 0 is measured, and a CZ chain spreads its light cone by one wire a layer, going backwards. What
lies outside cannot move the prediction: its exact gradient is zero, and Adam turns the rounding noise that a
backend computes instead into steps of the size of the learning rate. Weights of correct backends drift apart
there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.definition import quantum_circuit
from qparity.circuit.library._parts import chain, encode


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires, 2)})
def hardware_efficient(weights: Any, inputs: Any, wires: int, layers: int) -> Any:
    """Encoding, then layers of RY and RZ on every wire and a CZ chain; measures Z of wire 0.

    Args:
        weights: angles (layers, wires, 2) of RY and RZ, radians; `dead_weights` says which have no effect.
        inputs: (..., features), any number of them, radians.
        wires: number of wires.
        layers: number of layers.
    """
    encode(inputs, wires)
    for layer in range(layers):
        for wire in range(wires):
            qml.RY(weights[layer, wire, 0], wires=wire)
            qml.RZ(weights[layer, wire, 1], wires=wire)
        chain(qml.CZ, wires)
    return qml.expval(qml.Z(0))


def dead_weights(wires: int, layers: int) -> Any:
    """Which weights have an exactly zero gradient for every input: bool (layers, wires, 2).

    Seen backwards from Z of wire 0, layer `layers - 1 - d` finds an observable on wires 0..d that is Z or the
    identity on wire d: RY acts on it, RZ does not, and wires beyond d are not touched.
    """
    reach = layers - 1 - np.arange(layers)[:, None, None]
    wire = np.arange(wires)[None, :, None]
    is_rz = np.array([False, True])
    return (wire > reach) | ((wire == reach) & is_rz)
