"""Keras on TensorFlow: an Embedding cannot be trained with `loss_scale_factor`."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """Train one step of SGD with a loss scaled by four: the scale cancels, the step is the learning rate."""
    layer = keras.layers.Embedding(1, 1, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((1,), dtype="int32"), layer, keras.layers.Flatten()])
    model.compile(keras.optimizers.SGD(0.1, loss_scale_factor=4.0), loss=lambda y, p: keras.ops.sum(p))
    print(f"keras {keras.__version__} on {keras.config.backend()}: Embedding, SGD(0.1, loss_scale_factor=4)")
    try:
        model.train_on_batch(np.zeros((1, 1), "int32"), np.zeros((1, 1), "float32"))
        got = f"{-float(layer.get_weights()[0][0, 0]):.4f}"
    except TypeError as error:
        got = f"TypeError: {str(error).strip().splitlines()[-1].strip()}"
    wrong = got != "0.1000"
    print(f"got {got}, expected 0.1000: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
