"""Keras on torch and JAX: Muon scales a float64 matrix by a root that was taken in float32."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np


def main() -> int:
    """One step with a coefficient of 1 and no iteration: the matrix moves by rate * 0.2 sqrt(3) g / (|g| + 1e-7)."""
    keras.config.set_floatx("float64")
    rate, one, zero, rms = map(np.float64, (0.125, 1.0, 0.0, 0.2))
    gradient = np.array([[1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])  # of norm 3
    weight = keras.Variable(np.zeros((3, 2)), dtype="float64")
    optimizer = keras.optimizers.Muon(
        rate, muon_a=one, muon_b=zero, muon_c=zero, ns_steps=1, nesterov=False, rms_rate=rms, weight_decay=None
    )
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    expected = -rate * rms * np.sqrt(3.0) * gradient / (3.0 + 1e-7)
    got = keras.ops.convert_to_numpy(weight.value)
    error = float(np.max(np.abs(got - expected)) / np.max(np.abs(expected)))
    wrong = error > 1e-12
    print(f"keras {keras.__version__} on {keras.config.backend()}: a {weight.dtype} matrix after one step of Muon")
    print(f"got {got[2, 0]:.14f}, expected {expected[2, 0]:.14f}, off by {error:.1e}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
