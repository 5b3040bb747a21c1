"""Keras on torch: ops.pad(mode="symmetric") repeats the edge instead of mirroring."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """Pad 1, 2, 3 by two on either side, and let NumPy do the same."""
    x = np.array([1, 2, 3], "float32")
    got = keras.ops.convert_to_numpy(keras.ops.pad(x, (2, 2), mode="symmetric"))
    expected = np.pad(x, (2, 2), mode="symmetric")
    wrong = not np.array_equal(got, expected)
    print(f"keras {keras.__version__} on {keras.config.backend()}: ops.pad([1, 2, 3], (2, 2), mode='symmetric')")
    print(f"got {got}, expected {expected}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
