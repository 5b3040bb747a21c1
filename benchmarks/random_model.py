"""Random hybrid models over the shapes that people build: skips, heads, shared and frozen layers, own losses.

A model is a function of `circuit_options.number`. Used by benchmarks/clean_models.py as `model = "random_model:build"`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pennylane as qml
from keras import ops

from qparity import QKerasLayer

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "softplus", "elu", "linear", "softmax")


def circuit(weights: Any, inputs: Any, wires: int) -> list[Any]:
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    for wire in range(wires - 1):
        qml.CNOT(wires=[wire, wire + 1])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


class Penalty(keras.layers.Layer):
    """`add_loss` on what passes."""

    def call(self, x: Any) -> Any:
        """(batch, features), as they come."""
        self.add_loss(0.05 * ops.sum(ops.square(x)))
        return x


class Physics(keras.Model):
    """A loss of its own: the usual one and a penalty on the mean of the predictions."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The usual arguments."""
        usual = super().compute_loss(x, y, y_pred, sample_weight, training)
        return usual + 0.1 * ops.square(ops.sum(y_pred))


def build(features: int, outputs: int, dtype: str, device: str, diff_method: str, batch_size: int, number: int) -> Any:
    rng = np.random.default_rng(number)
    wires = int(rng.integers(1, 4))
    made = {"dtype": dtype}

    def quantum(name: str, calls: int = 1) -> QKerasLayer:
        return QKerasLayer(
            circuit, wires=wires, weight_shapes={"weights": (wires,)}, features=wires, device=device,
            diff_method=diff_method, max_batch_size=batch_size * calls, name=name, **made,
        )  # fmt: skip

    def dense(units: int, **more: Any) -> keras.layers.Layer:
        return keras.layers.Dense(units, activation=str(rng.choice(ACTIVATIONS)), **more, **made)

    x = keras.Input((features,), **made)
    h = x
    for _ in range(int(rng.integers(0, 3))):
        h = _classical(h, rng, dense, made)
    h = keras.layers.Dense(wires, activation=str(rng.choice(["tanh", "linear"])), **made)(h)
    how = str(rng.choice(["plain", "skip", "heads", "shared", "frozen", "patches"]))
    if how == "plain":
        h = quantum("q")(h)
    elif how == "skip":
        h = keras.layers.Add(**made)([h, quantum("q")(h)])
    elif how == "heads":
        h = keras.layers.Concatenate(**made)([quantum("q1")(h), quantum("q2")(h), h])
    elif how == "shared":
        layer = quantum("q")
        h = layer(keras.layers.Dense(wires, **made)(layer(h)))
    elif how == "frozen":
        first = quantum("first")
        first.trainable = False
        h = quantum("second")(first(h))
    else:
        stacked = keras.layers.Reshape((2, wires), **made)(keras.layers.Dense(2 * wires, **made)(h))
        h = keras.layers.Flatten(**made)(quantum("q", 2)(stacked))
    for _ in range(int(rng.integers(0, 2))):
        h = _classical(h, rng, dense, made)
    if rng.random() < 0.2:
        h = Penalty(**made)(h)
    regular = keras.regularizers.L2(0.01) if rng.random() < 0.2 else None
    y = keras.layers.Dense(outputs, kernel_regularizer=regular, **made)(h)
    return (Physics if rng.random() < 0.2 else keras.Model)(x, y)


def _classical(h: Any, rng: np.random.Generator, dense: Any, made: dict[str, Any]) -> Any:
    layers = keras.layers
    width = int(h.shape[-1])
    kind = str(rng.choice(["dense", "norm", "batch", "conv", "pool", "attention", "gate", "lstm", "frozen"]))
    if kind == "dense":
        return dense(int(rng.integers(2, 6)))(h)
    if kind == "norm":
        return layers.LayerNormalization(**made)(dense(4)(h))
    if kind == "batch":
        return layers.BatchNormalization(**made)(h)
    if kind == "frozen":
        fixed = dense(4)
        fixed.trainable = False
        return fixed(h)
    if kind == "gate":
        wide = layers.Dense(width, activation="sigmoid", **made)(h)
        return layers.Multiply(**made)([h, wide])
    sequence = layers.Reshape((width, 1), **made)(h)
    if kind == "conv":
        return layers.Flatten(**made)(layers.Conv1D(2, 3, padding="same", activation="tanh", **made)(sequence))
    if kind == "pool":
        return layers.Flatten(**made)(layers.MaxPooling1D(2, padding="same", **made)(sequence))
    if kind == "attention":
        return layers.Flatten(**made)(layers.MultiHeadAttention(2, 2, **made)(sequence, sequence))
    return layers.LSTM(3, **made)(sequence)
