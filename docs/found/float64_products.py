"""Keras on torch: matrix products of float64 are computed in float32, Dense among them."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np

ops = keras.ops


def main() -> int:
    """Multiply 0.1 by 0.1: right is 0.01 to 1e-17, a product in float32 is off by 1e-10."""
    x = np.array([[0.1]])
    dense = keras.layers.Dense(1, use_bias=False, dtype="float64")
    dense.build((1, 1))
    dense.set_weights([x])
    results = {
        "Dense": dense(x),
        "matmul": ops.matmul(x, x),
        "dot": ops.dot(x, x),
        "tensordot": ops.tensordot(x, x, axes=1),
        "einsum": ops.einsum("ij,jk->ik", x, x),
    }
    print(f"keras {keras.__version__} on {keras.config.backend()}: 0.1 times 0.1 in float64, expected 0.01")
    wrong = 0
    for name, result in results.items():
        error = abs(float(ops.convert_to_numpy(result)[0, 0]) - 0.01)
        wrong += error > 1e-15
        print(f"{name}: got {result.dtype}, off by {error:.1e}: {'wrong' if error > 1e-15 else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
