"""Keras' Ftrl: at a learning rate of 0, which a cosine or polynomial decay ends with, weights become NaN."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """Three steps at the rates .1, .05 and 0 of a cosine decay: the third should leave the weight as it is."""
    weight = keras.Variable(np.ones(1), dtype="float32")
    optimizer = keras.optimizers.Ftrl(keras.optimizers.schedules.CosineDecay(0.1, decay_steps=2))
    seen = []
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(np.ones(1, "float32"))], [weight])
        seen.append(float(keras.ops.convert_to_numpy(weight.value)[0]))
    wrong = not np.isfinite(seen[2])
    print(f"keras {keras.__version__} on {keras.config.backend()}: a weight after each of three steps of Ftrl")
    print(f"got {seen}, expected {seen[1]} of the third, at rate 0: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
