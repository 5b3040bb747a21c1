"""Keras, all backends: MultiHeadAttention asked for its scores changes its output, where a mask hides every key."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np


def main() -> int:
    """One layer, one input, one mask: called with and without `return_attention_scores`."""
    layer = keras.layers.MultiHeadAttention(1, 1, kernel_initializer="ones")
    query, value = np.ones((1, 1, 1), "float32"), np.array([2, 4], "float32").reshape(1, 2, 1)
    hidden = np.zeros((1, 1, 2), bool)
    plain = float(layer(query, value, attention_mask=hidden)[0, 0, 0])
    output, scores = layer(query, value, attention_mask=hidden, return_attention_scores=True)
    asked, scores = float(output[0, 0, 0]), keras.ops.convert_to_numpy(scores).ravel()
    wrong = abs(plain - asked) > 1e-5
    print(f"keras {keras.__version__} on {keras.config.backend()}: values 2 and 4, both hidden; scores {scores}")
    print(f"got {plain} without scores, expected the {asked} that comes with them: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
