"""Keras on torch: AveragePooling with padding="same" pads with copies of the edge and averages them in."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """Pool 1, 4, 9, 16 by windows of three, two apart: the last one holds 9 and 16 and one place of padding."""
    x = np.array([1, 4, 9, 16], "float32").reshape(1, 4, 1)
    got = keras.ops.convert_to_numpy(keras.layers.AveragePooling1D(3, 2, padding="same")(x)).ravel()
    expected = np.array([(1 + 4 + 9) / 3, (9 + 16) / 2])
    wrong = not np.allclose(got, expected, rtol=1e-5)
    print(f"keras {keras.__version__} on {keras.config.backend()}: AveragePooling1D(3, 2, 'same')")
    print(f"got {got}, expected {expected}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
