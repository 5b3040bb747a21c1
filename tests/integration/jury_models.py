"""Models with a layer that NumPy cannot run: each framework's own functions, some of them wrong on purpose."""

import keras
from keras import ops


class Own(keras.layers.Layer):
    """tanh(x W + b), and a count of its calls; from call `at` on torch may have its kernel's gradient wrong."""

    def __init__(self, at, **options):
        super().__init__(**options)
        self.at = at

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 3))
        self.bias = self.add_weight(name="bias", shape=(3,), initializer="zeros")
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        kernel, bias = self.kernel.value, self.bias.value
        late = ops.cast(self.at is not None and ops.greater_equal(self.calls, self.at), kernel.dtype)
        self.calls.assign_add(1)
        if keras.backend.backend() == "torch":
            import torch

            kernel = kernel + 1e-2 * late * (kernel - kernel.detach())
            return torch.tanh(torch.addmm(bias, x, kernel))
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.math.tanh(tf.linalg.matmul(x, kernel) + bias)
        if keras.backend.backend() == "jax":
            import jax.numpy as jnp

            return jnp.tanh(jnp.matmul(x, kernel) + bias)
        raise NotImplementedError(f"no branch for {keras.backend.backend()}")

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)


def build(features, outputs, dtype, dense=False, at=None):
    x = keras.Input((features,), dtype=dtype)
    h = Own(at, name="own", dtype=dtype)(x)
    last = keras.layers.Dense(outputs, dtype=dtype) if dense else Own(None, name="last", dtype=dtype)
    return keras.Model(x, last(h))
