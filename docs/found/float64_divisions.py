"""Keras on torch: `ops.divide_no_nan` of float64 is computed in float32, and with it the loss of every batch."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np

ops = keras.ops


def main() -> int:
    """Divide 1 by 3, and take the crossentropy of 0.3 as one of three samples, which Keras divides by their number."""
    one, three = (ops.convert_to_tensor(np.array(value)) for value in (1.0, 3.0))
    targets, predictions = np.array([[1.0, 0.0]] * 3), np.array([[0.3, 0.7], [0.3, 0.7], [0.3, 0.7]])
    loss = keras.losses.CategoricalCrossentropy(dtype="float64")
    results = {
        "ops.divide_no_nan": (ops.divide_no_nan(one, three), 1 / 3),
        "ops.divide": (ops.divide(one, three), 1 / 3),
        "CategoricalCrossentropy": (loss(targets, predictions), -np.log(0.3)),
    }
    print(f"keras {keras.__version__} on {keras.config.backend()}: results in float64 against NumPy")
    wrong = 0
    for name, (result, right) in results.items():
        error = abs(float(ops.convert_to_numpy(result)) - right)
        wrong += error > 1e-15
        print(f"{name}: got {result.dtype}, off by {error:.1e}: {'wrong' if error > 1e-15 else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
