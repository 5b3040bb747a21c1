"""A circuit of each kind that the oracle covers beside rotations, for benchmarks/detection_limits.py.

Two wires, six weights, two features, one output; every weight and feature moves what is measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml

SHAPES = {"weights": [6]}
WORDS = {
    "prepared": "a state prepared from features and weights, normalised",
    "matrices": "constant matrices between rotations",
    "controlled": "gates controlled by 0 and 1, Pauli rotations",
    "computed": "angles computed by functions of weights and features",
    "noisy": "channels with trained strengths, as a density matrix",
    "variance": "the variance of a sum of words",
    "hermitian": "the mean of a matrix",
    "coefficients": "trained coefficients of an observable",
    "purity": "the purity of a wire",
    "entropy": "the von Neumann entropy of a wire",
    "information": "the mutual information of two wires of a noisy state",
}


def _rotated(weights: Any, inputs: Any, first: int = 0) -> None:
    for wire in range(2):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[first + wire], wires=wire)
    qml.CNOT([0, 1])
    for wire in range(2):
        qml.RX(weights[first + 2 + wire], wires=wire)


def prepared(weights: Any, inputs: Any) -> Any:
    """Amplitudes."""
    amplitudes = [inputs[..., 0], 0.5 + inputs[..., 1], weights[4] + 0 * inputs[..., 0], weights[5] + inputs[..., 0]]
    qml.AmplitudeEmbedding(qml.math.stack(amplitudes, axis=-1), wires=[0, 1], normalize=True)
    _rotated(weights, inputs)
    return qml.expval(qml.Z(0))


def matrices(weights: Any, inputs: Any) -> Any:
    """The Fourier transform of two wires, as a matrix."""
    _rotated(weights, inputs)
    powers = np.outer(np.arange(4), np.arange(4))
    qml.QubitUnitary(1j**powers / 2, wires=[0, 1])
    qml.RY(weights[4], wires=0)
    qml.RX(weights[5], wires=1)
    return qml.expval(qml.Z(0))


def controlled(weights: Any, inputs: Any) -> Any:
    """Controls of either value."""
    _rotated(weights, inputs)
    qml.ctrl(qml.RY(weights[4], wires=1), control=0, control_values=0)
    qml.PauliRot(weights[5], "XY", wires=[0, 1])
    return qml.expval(qml.Z(1))


def computed(weights: Any, inputs: Any) -> Any:
    """Functions of weights and features."""
    qml.RX(qml.math.arctan(inputs[..., 0] * weights[4]), wires=0)
    qml.RX(np.pi / (1 + qml.math.exp(-weights[5] * inputs[..., 1])), wires=1)
    qml.CNOT([0, 1])
    for wire in range(2):
        qml.RY(qml.math.sin(weights[wire]) * inputs[..., wire] ** 2, wires=wire)
        qml.RX(weights[2 + wire] ** 3, wires=wire)
    return qml.expval(qml.Z(0) @ qml.Z(1))


def noisy(weights: Any, inputs: Any) -> Any:
    """Three channels."""
    _rotated(weights, inputs)
    qml.DepolarizingChannel(0.1 + 0.05 * weights[4], wires=0)
    qml.AmplitudeDamping(0.1 + 0.05 * weights[5], wires=1)
    qml.PhaseFlip(0.2, wires=0)
    return qml.expval(qml.Y(0) @ qml.Z(1))


def variance(weights: Any, inputs: Any) -> Any:
    """Of two words."""
    _rotated(weights, inputs)
    qml.RZ(weights[4], wires=0)
    qml.RZ(weights[5], wires=1)
    return qml.var(qml.dot([0.7, 1.3], [qml.X(0), qml.Z(0) @ qml.Y(1)]))


def hermitian(weights: Any, inputs: Any) -> Any:
    """Of two wires."""
    _rotated(weights, inputs)
    qml.RZ(weights[4], wires=0)
    qml.RZ(weights[5], wires=1)
    entries = np.arange(16).reshape(4, 4) / 8
    return qml.expval(qml.Hermitian(entries + entries.T + 1j * (entries - entries.T), wires=[0, 1]))


def coefficients(weights: Any, inputs: Any) -> Any:
    """Of two words."""
    _rotated(weights, inputs)
    return qml.expval(qml.dot([weights[4], weights[5]], [qml.X(0), qml.Z(0) @ qml.Y(1)]))


def purity(weights: Any, inputs: Any) -> Any:
    """Of a wire that is entangled with the other."""
    _rotated(weights, inputs)
    qml.CRX(weights[4], wires=[1, 0])
    qml.CRY(weights[5], wires=[0, 1])
    return qml.purity(wires=0)


def entropy(weights: Any, inputs: Any) -> Any:
    """Of a wire that is entangled with the other."""
    _rotated(weights, inputs)
    qml.CRX(weights[4], wires=[1, 0])
    qml.CRY(weights[5], wires=[0, 1])
    return qml.vn_entropy(wires=0)


def information(weights: Any, inputs: Any) -> Any:
    """Of both wires; noise leaves no eigenvalue at zero."""
    _rotated(weights, inputs)
    qml.CRX(weights[4], wires=[1, 0])
    qml.CRY(weights[5], wires=[0, 1])
    for wire in range(2):
        qml.DepolarizingChannel(0.1, wires=wire)
    return qml.mutual_info(wires0=0, wires1=1)
