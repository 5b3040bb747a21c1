"""Keras on TensorFlow: Nadam reads its 0.96 through float32, though weights, gradients and betas are float64."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np


def main() -> int:
    """One step of Nadam with gradient 1 against its formula in float64, all other numbers given as float64."""
    keras.config.set_floatx("float64")
    rate, b1, b2, epsilon = map(np.float64, (0.125, 0.9, 0.999, 1e-7))
    weight = keras.Variable(np.array([0.0]), dtype="float64")
    optimizer = keras.optimizers.Nadam(rate, beta_1=b1, beta_2=b2, epsilon=epsilon)
    optimizer.apply([keras.ops.convert_to_tensor(np.array([1.0]), "float64")], [weight])
    now, coming = (b1 * (1 - 0.5 * 0.96**t) for t in (1, 2))
    m, v = 1 - b1, 1 - b2
    lead = coming * m / (1 - now * coming) + (1 - now) / (1 - now)
    expected = -rate * lead / (np.sqrt(v / (1 - b2)) + epsilon)
    got = float(keras.ops.convert_to_numpy(weight.value)[0])
    wrong = abs(got - expected) > 1e-12
    print(f"keras {keras.__version__} on {keras.config.backend()}: a {weight.dtype} weight after one step of Nadam")
    print(
        f"got {got:.12f}, expected {expected:.12f}, off by {abs(got - expected):.1e}: {'wrong' if wrong else 'right'}"
    )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
