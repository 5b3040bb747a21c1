"""Data re-uploading: trainable rotations between repeated encodings of the same data.

On one wire the prediction is a Fourier series in the input, of degree `layers` and frequencies in multiples
of `scaling` (Schuld, Sweke, Meyer, Phys. Rev. A 103, 032430): what the tutorial's model learns.
"""

from __future__ import annotations

from typing import Any

import pennylane as qml

from qparity.circuit.definition import CircuitError, quantum_circuit
from qparity.circuit.library._parts import ENTANGLERS, encode, ring, rotate


@quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers + 1, wires, 3)})
def data_reuploading(
    weights: Any, inputs: Any, wires: int, layers: int, scaling: float = 1.0, entangler: str = "cnot"
) -> Any:
    """Rot, entangling ring and encoding in each layer, a last Rot; measures Z of wire 0.

    Args:
        weights: angles (layers + 1, wires, 3), radians.
        inputs: (..., features), any number of them, radians.
        wires: number of wires.
        layers: number of encodings.
        scaling: factor on the inputs.
        entangler: `cnot`, `cz` or `none`: the gate of the ring between Rot and encoding.
    """
    if entangler not in (*ENTANGLERS, "none"):
        raise CircuitError(f"entangler = {entangler!r}: expected cnot, cz or none")
    for layer in range(layers):
        rotate(weights, wires, layer)
        if entangler != "none":
            ring(ENTANGLERS[entangler], wires)
        encode(inputs, wires, scaling)
    rotate(weights, wires, layers)
    return qml.expval(qml.Z(0))
