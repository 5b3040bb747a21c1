"""Keras on TensorFlow: Adam reads its betas through float32, though weights and gradients are float64."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np


def main() -> int:
    """Two steps of Adam with gradients 1 and -2 against its recurrence in float64 (0.125 is exact in float32 too)."""
    weight = keras.Variable(np.array([0.0]), dtype="float64")
    optimizer = keras.optimizers.Adam(0.125, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
    expected, m, v = 0.0, 0.0, 0.0
    for t, gradient in enumerate((1.0, -2.0), start=1):
        optimizer.apply([keras.ops.convert_to_tensor(np.array([gradient]), "float64")], [weight])
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected -= 0.125 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    got = float(keras.ops.convert_to_numpy(weight.value)[0])
    wrong = abs(got - expected) > 1e-12
    print(f"keras {keras.__version__} on {keras.config.backend()}: a {weight.dtype} weight after two steps of Adam")
    print(
        f"got {got:.12f}, expected {expected:.12f}, off by {abs(got - expected):.1e}: {'wrong' if wrong else 'right'}"
    )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
