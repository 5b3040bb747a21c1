"""Keras' Adafactor: a weight whose row and column both have no gradient becomes NaN in float32."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """One step with the gradient [[1, 0], [0, 0]]: where the gradient is 0, a weight should stay as it is."""
    weight = keras.Variable(np.ones((2, 2)), dtype="float32")
    optimizer = keras.optimizers.Adafactor(0.01)
    optimizer.apply([keras.ops.convert_to_tensor(np.array([[1, 0], [0, 0]], "float32"))], [weight])
    got = keras.ops.convert_to_numpy(weight.value)
    wrong = not np.array_equal(got.ravel()[1:], np.ones(3))
    print(f"keras {keras.__version__} on {keras.config.backend()}: a weight of ones after one step of Adafactor")
    print(f"got {got.tolist()}, expected 1 but for the first: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
