"""A variational eigensolver: the energy of the transverse-field Ising chain."""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import quantum_circuit
from qparity.circuit.library._parts import chain


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers + 1, wires)})
def vqe(weights: Any, inputs: Any, wires: int, layers: int, coupling: float = 1.0, field: float = 1.0) -> Any:
    """RY and a CNOT chain in each layer, a last RY; measures the energy -coupling sum ZZ - field sum X.

    The chain is open. The ground state of this Hamiltonian is real, so RY and CNOT suffice.

    Args:
        weights: angles (layers + 1, wires), radians.
        inputs: (..., features): no value is used, only their batch shape.
        wires: number of wires.
        layers: number of CNOT layers.
        coupling: strength of the Ising term.
        field: strength of the transverse field.
    """
    # An energy depends on no data, but a layer returns one value a sample: a rotation by 0 * x changes no
    # state and gives every prediction the batch shape of the inputs, on every device and interface.
    qml.RZ(0.0 * inputs[..., 0], wires=0)
    for layer in range(layers):
        for wire in range(wires):
            qml.RY(weights[layer, wire], wires=wire)
        chain(qml.CNOT, wires)
    for wire in range(wires):
        qml.RY(weights[layers, wire], wires=wire)
    bonds = [qml.Z(wire) @ qml.Z(wire + 1) for wire in range(wires - 1)]
    fields = [qml.X(wire) for wire in range(wires)]
    return qml.expval(qml.Hamiltonian([-coupling] * len(bonds) + [-field] * wires, bonds + fields))
