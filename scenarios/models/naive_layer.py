"""The layer one writes first: a Keras layer that calls a QNode, and nothing more.

It works on every backend in eager mode, and each of the things it leaves out is a fault that a scenario shows:
results are not cast to the layer's dtype, and a batch of unknown size reaches PennyLane as it is.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pennylane as qml

INTERFACES = {"tensorflow": "tf", "torch": "torch", "jax": "jax"}


class NaiveLayer(keras.layers.Layer):
    """Re-uploading on one wire: (batch, 1) -> (batch, 1), `layers` encodings between trainable Rot gates."""

    def __init__(self, layers: int, device: str, diff_method: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = layers
        interface = INTERFACES[keras.backend.backend()]
        simulator = qml.device(device, wires=1)

        @qml.qnode(simulator, interface=interface, diff_method=diff_method)
        def circuit(weights: Any, x: Any) -> Any:
            for layer in range(layers):
                qml.Rot(weights[layer, 0], weights[layer, 1], weights[layer, 2], wires=0)
                qml.RX(x, wires=0)
            qml.Rot(weights[layers, 0], weights[layers, 1], weights[layers, 2], wires=0)
            return qml.expval(qml.Z(0))

        self.circuit = circuit

    def build(self, input_shape: Any) -> None:
        """Angles, uniform over the circle."""
        turn = keras.initializers.RandomUniform(0.0, 2 * np.pi, seed=0)
        self.angles = self.add_weight(name="angles", shape=(self.layers + 1, 3), initializer=turn)

    def call(self, inputs: Any) -> Any:
        """The expectation of Z for every sample."""
        return keras.ops.reshape(self.circuit(self.angles.value, inputs[:, 0]), (-1, 1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, 1)."""
        return (input_shape[0], 1)


class UnknownBatch(keras.layers.Layer):
    """Forgets how large a batch is, as `tf.data` and generators do in a TensorFlow graph; elsewhere the identity."""

    def call(self, inputs: Any) -> Any:
        """The inputs."""
        if keras.backend.backend() != "tensorflow":
            return inputs
        import tensorflow as tf

        if tf.executing_eagerly():
            return inputs
        return tf.compat.v1.placeholder_with_default(inputs, (None, inputs.shape[1]))


def build(
    features: int, layers: int, device: str, diff_method: str, dtype: str, unknown_batch: bool = False
) -> keras.Model:
    """The model `model = "models.naive_layer:build"` of a scenario file."""
    before = [UnknownBatch(dtype=dtype)] if unknown_batch else []
    layer = NaiveLayer(layers, device, diff_method, dtype=dtype, name="naive")
    return keras.Sequential([keras.Input((features,), dtype=dtype), *before, layer])
