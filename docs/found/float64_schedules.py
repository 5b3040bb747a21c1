"""Keras on TensorFlow and JAX: the rate of a cosine decay is float32's, though weights and floatx are float64."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np


def main() -> int:
    """The rate after three of seven steps of a cosine decay from .1 to 0 against its formula."""
    keras.config.set_floatx("float64")
    decay = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=7)
    weight = keras.Variable(np.zeros(1), dtype="float64")
    optimizer = keras.optimizers.SGD(decay)
    optimizer.build([weight])
    optimizer.iterations.assign(3)
    got = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    expected = 0.1 * (1 + np.cos(np.pi * 3 / 7)) / 2
    wrong = abs(got - expected) > 1e-12
    print(f"keras {keras.__version__} on {keras.config.backend()}: CosineDecay(0.1, decay_steps=7) after three steps")
    print(
        f"got {got:.12f}, expected {expected:.12f}, off by {abs(got - expected):.1e}: {'wrong' if wrong else 'right'}"
    )
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
