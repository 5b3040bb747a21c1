"""A layer of one's own around a QNode, as the Keras 3 tutorial on data re-uploading teaches it: no QKerasLayer in it.

The QNode is made in `build`, compiled by `jax.jit` on JAX, and called in `call`. `keras.backend.backend()` is "numpy"
where qparity's reference builds the model, so the table of interfaces has an entry for it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pennylane as qml
from keras import ops

INTERFACES = {"tensorflow": "tf", "torch": "torch", "jax": "jax", "numpy": "auto"}


def series(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(samples, 1) points of -6..6, and a truncated Fourier series of degree 1 there."""
    x = np.random.default_rng(seed).uniform(-6, 6, (samples, 1))
    return x, 0.1 + 0.3 * (np.cos(x) - np.sin(x))


class ReuploadingLayer(keras.layers.Layer):
    """A truncated Fourier series: (batch, 1) -> (batch, 1), `layers` encodings between trainable rotations."""

    def __init__(self, layers: int, device: str, diff_method: str, scaling: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.layers, self.scaling = layers, scaling
        self.device, self.diff_method = device, diff_method

    def build(self, input_shape: Any) -> None:
        """Angles, uniform over the circle, and the QNode."""
        turn = keras.initializers.RandomUniform(0.0, 2 * np.pi, seed=0)
        self.angles = self.add_weight(name="angles", shape=(self.layers + 1, 3), initializer=turn)
        backend = keras.backend.backend()
        interface = INTERFACES[backend]
        self.circuit = qml.QNode(
            self.reuploading, qml.device(self.device, wires=1), interface=interface, diff_method=self.diff_method
        )
        if backend == "jax":
            import jax

            self.circuit = jax.jit(self.circuit)

    def reuploading(self, angles: Any, x: Any) -> Any:
        """The quantum function."""
        for k in range(self.layers):
            qml.Rot(angles[k, 0], angles[k, 1], angles[k, 2], wires=0)
            qml.RX(x[:, 0], wires=0)
        qml.Rot(angles[self.layers, 0], angles[self.layers, 1], angles[self.layers, 2], wires=0)
        return qml.expval(qml.Z(0))

    def call(self, inputs: Any) -> Any:
        """The expectation of Z for every sample."""
        found = self.circuit(self.angles.value, ops.multiply(self.scaling, inputs))
        return ops.reshape(ops.cast(found, self.compute_dtype), (-1, 1))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, 1)."""
        return (input_shape[0], 1)


def build(features: int, layers: int, device: str, diff_method: str, dtype: str) -> keras.Model:
    """The tutorial's model: an input and the layer."""
    x = keras.Input((features,), dtype=dtype)
    return keras.Model(x, ReuploadingLayer(layers, device, diff_method, dtype=dtype, name="series")(x))
