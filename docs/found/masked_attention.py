"""Keras on torch, on a CPU: the gradient of attention is n times too large where a mask hides all n keys."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

KEYS = 9


def gradient(function, value):
    """Return d function / d value at `value`, all ones in shape, on whichever backend."""
    if keras.config.backend() == "torch":
        import torch

        value = torch.tensor(value, requires_grad=True)
        return torch.autograd.grad(function(value), value)[0].numpy()
    if keras.config.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(value))
    import tensorflow as tf

    value = tf.Variable(value)
    with tf.GradientTape() as tape:
        result = function(tf.convert_to_tensor(value))
    return tape.gradient(result, value).numpy()


def main() -> int:
    """With nothing to look at, the output is the mean of the values: its gradient is one over their number."""
    query, key, value = np.zeros((1, 1, 1, 1), "f4"), np.zeros((1, KEYS, 1, 1), "f4"), np.ones((1, KEYS, 1, 1), "f4")
    hidden = np.zeros((1, 1, 1, KEYS), bool)

    def attend(value):
        return keras.ops.sum(keras.ops.dot_product_attention(query, key, value, mask=hidden))

    output, got, expected = float(attend(value)), float(gradient(attend, value)[0, 0, 0, 0]), 1 / KEYS
    wrong = abs(output - 1) < 1e-5 and abs(got - expected) > 1e-5
    print(f"keras {keras.__version__} on {keras.config.backend()}: attention to {KEYS} hidden keys gives {output:.4f}")
    print(f"gradient: got {got:.4f}, expected {expected:.4f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
