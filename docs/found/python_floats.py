"""PennyLane and Keras on TensorFlow and torch: a Python float beside float64 tensors becomes float32 on the way."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np
import pennylane as qml

ops = keras.ops


@qml.qnode(qml.device("default.qubit", wires=1))
def padded(x):
    """Embed (x, 0.1), normalized."""
    qml.AmplitudeEmbedding(x, wires=0, pad_with=0.1, normalize=True)
    return qml.probs(wires=0)


@qml.qnode(qml.device("default.mixed", wires=1))
def reset(p):
    """Reset |0> to 0 with probability p and to 1 with probability 0.1: <Z> is 1 - 2 * 0.1."""
    qml.ResetError(p, 0.1, wires=0)
    return qml.expval(qml.Z(0))


def main() -> int:
    """The number is 0.1 every time, which float32 has as 0.10000000149."""
    x = ops.convert_to_tensor(np.array([0.2]), "float64")
    cases = {
        "AmplitudeEmbedding(pad_with=0.1)": (padded(x)[1], 0.1**2 / (0.1**2 + 0.2**2)),
        "ResetError(p, 0.1)": (reset(x[0]), 0.8),
        "keras ops.where(x > 1, x, 0.1)": (ops.where(x > 1, x, 0.1), 0.1),
        "keras ops.add(x, 0.1)": (ops.add(x, 0.1), 0.2 + 0.1),
        "keras Rescaling(0.1)": (keras.layers.Rescaling(0.1, dtype="float64")(x), 0.2 * 0.1),
        "keras Constant(0.1)": (keras.initializers.Constant(0.1)((1,), dtype="float64"), 0.1),
    }
    print(f"pennylane {qml.version()}, keras {keras.__version__} on {keras.config.backend()}: 0.1 in float64")
    wrong = 0
    for name, (got, expected) in cases.items():
        error = abs(ops.convert_to_numpy(got).item() - expected)
        wrong += error > 1e-12
        print(f"{name}: off by {error:.1e}: {'wrong' if error > 1e-12 else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
