"""Keras on torch and JAX: means of float64 are computed in float32, and with them normalization, pooling and losses."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np


def main() -> int:
    """Every result is compared with NumPy's float64: rounding is 1e-16, float32 about 1e-8."""
    x, y = np.array([[0.1, 0.2, 0.4]]), np.array([[0.0, 0.1, 0.7]])
    normalize = keras.layers.LayerNormalization(dtype="float64")
    pool = keras.layers.GlobalAveragePooling1D(dtype="float64")
    loss = keras.losses.MeanSquaredError(dtype="float64")
    cases = {
        "ops.mean": (keras.ops.mean(x), np.mean(x)),
        "ops.var": (keras.ops.var(x), np.var(x)),
        "LayerNormalization": (normalize(x), (x - np.mean(x)) / np.sqrt(np.var(x) + normalize.epsilon)),
        "GlobalAveragePooling1D": (pool(x[..., None]), np.mean(x)),
        "MeanSquaredError": (loss(y, x), np.mean((y - x) ** 2)),
    }
    print(f"keras {keras.__version__} on {keras.config.backend()}: results in float64 against NumPy")
    wrong = 0
    for name, (got, expected) in cases.items():
        error = np.max(np.abs(keras.ops.convert_to_numpy(got) - expected))
        wrong += error > 1e-12
        print(f"{name}: got {got.dtype}, off by {error:.1e}: {'wrong' if error > 1e-12 else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
