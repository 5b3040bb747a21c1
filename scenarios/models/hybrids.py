"""What people train around a circuit, and three models without one: `model = "models.hybrids:build"`, by `kind`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pennylane as qml
from keras import layers, ops

from qparity import QKerasLayer

SIDE = 8


def images(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(samples, 8, 8, 1) in 0..1: a noisy bar, upright (class 0) or lying (class 1)."""
    rng = np.random.default_rng(seed)
    x, y = 0.3 * rng.random((samples, SIDE, SIDE, 1)), rng.integers(0, 2, samples)
    for image, lies, place in zip(x, y, rng.integers(1, SIDE - 1, samples), strict=True):
        bar = image[place, :, :] if lies else image[:, place, :]
        bar += 0.7
    return x, y


def sequences(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(samples, 6, 2) points of a wave with its slope, and (samples, 1): where it goes next."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 6, (samples, 1)) + 0.5 * np.arange(7)
    return np.stack([np.sin(t), np.cos(t)], axis=-1)[:, :-1], np.sin(t)[:, -1:]


def rotations(weights: Any, inputs: Any, wires: int) -> list[Any]:
    """Encoding, a trainable layer, a ring: <Z> of each wire."""
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
    for wire in range(wires):
        qml.Rot(*(weights[wire, k] for k in range(3)), wires=wire)
    for wire in range(wires if wires > 2 else wires - 1):
        qml.CNOT(wires=[wire, (wire + 1) % wires])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


class QRNNCell(keras.layers.Layer):
    """A recurrent cell whose state passes through a circuit: state = circuit(tanh(W [input, state]))."""

    def __init__(self, units: int, quantum: Callable[[], keras.layers.Layer], **options: Any) -> None:
        super().__init__(**options)
        self.state_size = self.output_size = units
        self.mix = layers.Dense(units, activation="tanh", dtype=self.dtype_policy)
        self.quantum = quantum()

    def build(self, input_shape: Any) -> None:
        """The mixing layer and the circuit."""
        self.mix.build((input_shape[0], input_shape[-1] + self.state_size))
        self.quantum.build((input_shape[0], self.state_size))

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        """(batch, features) and the state (batch, units) of the step before."""
        state = self.quantum(self.mix(ops.concatenate([inputs, states[0]], axis=-1)))
        return state, [state]


def build(dtype: str, device: str, diff_method: str, batch_size: int, kind: str) -> keras.Model:
    """The model of a kind; images (8, 8, 1) -> 2 logits, sequences (6, 2) -> 1 number."""
    made: dict[str, Any] = {"dtype": dtype}

    def quantum(name: str, wires: int, calls: int = 1) -> QKerasLayer:
        return QKerasLayer(
            rotations, wires=wires, weight_shapes={"weights": (wires, 3)}, features=wires, device=device,
            diff_method=diff_method, max_batch_size=batch_size * calls, name=name, **made,
        )  # fmt: skip

    def dense(units: int, **more: Any) -> layers.Layer:
        return layers.Dense(units, **more, **made)

    image, sequence = keras.Input((SIDE, SIDE, 1), **made), keras.Input((6, 2), **made)
    if kind == "dressed":
        h = dense(3, activation="tanh")(layers.Flatten(**made)(image))
        return keras.Model(image, dense(2)(quantum("circuit", 3)(h)))
    if kind == "quanvolution":  # one circuit slides over sixteen patches of 2 x 2
        pixels = layers.AveragePooling2D(2, **made)(image)
        patches = layers.Reshape((4, 4), **made)(pixels)
        h = layers.Flatten(**made)(quantum("filter", 4, 4)(patches))
        return keras.Model(image, dense(2)(h))
    if kind == "qrnn":
        cell = QRNNCell(2, lambda: quantum("circuit", 2), **made)
        return keras.Model(sequence, dense(1)(layers.RNN(cell, unroll=True, **made)(sequence)))
    if kind == "parallel":
        h = dense(2, activation="relu")(layers.Flatten(**made)(image))
        both = layers.Concatenate(**made)([quantum("left", 2)(h), quantum("right", 2)(h), h])
        return keras.Model(image, dense(2)(both))
    if kind == "cnn":
        h = layers.Conv2D(3, 3, use_bias=False, **made)(image)
        h = layers.Activation("relu", **made)(layers.BatchNormalization(**made)(h))
        h = layers.Dropout(0.25, seed=1, **made)(layers.Flatten(**made)(layers.MaxPooling2D(2, **made)(h)))
        return keras.Model(image, dense(2)(h))
    if kind == "lstm":
        return keras.Model(sequence, dense(1)(layers.LSTM(4, **made)(sequence)))
    h = dense(4)(sequence)  # a transformer's block
    h = layers.LayerNormalization(**made)(layers.Add(**made)([h, layers.MultiHeadAttention(2, 2, **made)(h, h)]))
    h = layers.LayerNormalization(**made)(layers.Add(**made)([h, dense(4)(dense(8, activation="gelu")(h))]))
    return keras.Model(sequence, dense(1)(layers.GlobalAveragePooling1D(**made)(h)))
