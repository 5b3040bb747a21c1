"""Keras on TensorFlow: an Embedding's row that occurs twice in a batch gets a wrong step from most optimizers."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

# The first step of 0.1 with a gradient of 2, by the formula of each optimizer (and the default constants of Keras).
EXPECTED = {
    "Adam": 0.1,
    "RMSprop": 0.1 / np.sqrt(0.1),
    "Adagrad": 0.1 * 2 / np.sqrt(0.1 + 2**2),
    "SGD": 0.1 * 2,
    "SGD clipvalue": 0.1 * 1.5,
}


def step(name: str) -> float:
    """Train an embedding of one number once, on a sample that looks it up twice with a gradient of 1 each."""
    optimizer, _, clip = name.partition(" ")
    layer = keras.layers.Embedding(1, 1, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layer, keras.layers.Flatten()])
    optimizer = getattr(keras.optimizers, optimizer)(0.1, **({"clipvalue": 1.5} if clip else {}))
    model.compile(optimizer, loss=lambda y, p: keras.ops.sum(p))
    model.train_on_batch(np.zeros((1, 2), "int32"), np.zeros((1, 2), "float32"))
    return -float(layer.get_weights()[0][0, 0])


def main() -> int:
    """Compare the step of each optimizer with its formula."""
    print(f"keras {keras.__version__} on {keras.config.backend()}: one step on a row that occurs twice")
    wrong = 0
    for name, expected in EXPECTED.items():
        got = step(name)
        bad = abs(got - expected) > 1e-4
        wrong += bad
        print(f"{name}: got {got:.4f}, expected {expected:.4f}: {'wrong' if bad else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
