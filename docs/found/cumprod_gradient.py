"""Keras on TensorFlow: the gradient of cumprod is zero, in silence, from the first zero on."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def gradient(function, x):
    """Return d function / d x, on whichever backend."""
    if keras.config.backend() == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(function(x), x)[0].numpy()
    if keras.config.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    import tensorflow as tf

    x = tf.Variable(x)
    with tf.GradientTape() as tape:
        result = function(tf.convert_to_tensor(x))
    return tape.gradient(result, x).numpy()


def main() -> int:
    """The cumulative products of a, b, c at 2, 0, 3 sum to a + ab + abc: 1 + b + bc, a + ac and ab by hand."""
    x = np.array([2, 0, 3], "float32")
    got = gradient(lambda x: keras.ops.sum(keras.ops.cumprod(x)), x)
    a, b, c = x
    expected = np.array([1 + b + b * c, a + a * c, a * b])
    wrong = not np.allclose(got, expected)
    print(f"keras {keras.__version__} on {keras.config.backend()}: gradient of sum(cumprod([2, 0, 3]))")
    print(f"got {got}, expected {expected}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
