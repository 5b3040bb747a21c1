"""Print what layers draw on one backend: `python shared_draws.py BACKEND`; bits of masks and numbers, as JSON."""

import hashlib
import json
import os
import sys

name = sys.argv[1]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if name == "numpy":
    from qparity.worker.reference import keras_on_numpy

    keras_on_numpy.load()
else:
    os.environ["KERAS_BACKEND"] = name

import keras  # noqa: E402
import numpy as np  # noqa: E402

from qparity.worker import draws  # noqa: E402

draws.share()
keras.config.set_floatx("float32")
found = {}


def keep(what, tensor):
    array = np.asarray(keras.ops.convert_to_numpy(tensor))
    exact = array.astype(np.int32 if array.dtype.kind in "iu" else np.float32)
    found[what] = {"bits": hashlib.sha256(exact.tobytes()).hexdigest(), "some": array.reshape(-1)[:50].tolist()}
    found[what] |= {"mean": float(array.mean()), "std": float(array.std()), "shape": list(array.shape)}


generator = keras.random.SeedGenerator(3)
keep("uniform", keras.random.uniform((300, 40), seed=generator))
keep("again", keras.random.uniform((300, 40), seed=generator))
keep("normal", keras.random.normal((300, 40), seed=generator))
keep("truncated", keras.random.truncated_normal((300, 40), seed=generator))
keep("randint", keras.random.randint((500,), 0, 10, seed=generator))
keep("shuffle", keras.random.shuffle(keras.ops.arange(20), seed=generator))
logits = keras.ops.convert_to_tensor(np.log([[0.1, 0.9], [0.5, 0.5]]).astype("float32"))
keep("categorical", keras.random.categorical(logits, 300, seed=generator))
x = np.ones((7, 30), "float32")
layer = keras.layers.Dropout(0.3, seed=5)
keep("mask", keras.ops.cast(layer(x, training=True) > 0, "int32"))
rows = keras.layers.Dropout(0.5, noise_shape=(None, 1), seed=5)
keep("rows", keras.ops.cast(rows(x, training=True) > 0, "int32"))


class Masks(keras.layers.Layer):
    """Whose loss counts, for each place, how often it was kept."""

    def __init__(self):
        super().__init__()
        self.drop = keras.layers.Dropout(0.3, seed=9)

    def build(self, shape):
        self.seen = self.add_weight(shape=shape[1:], initializer="zeros", trainable=False)
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs, training=None):
        kept = self.drop(keras.ops.ones_like(inputs), training=training)
        self.seen.assign_add(keras.ops.sum(keras.ops.cast(kept > 0, "float32"), axis=0))
        return inputs * self.scale


if name != "numpy":
    eager = {"run_eagerly": True}
    modes = {"tensorflow": [{}, {"jit_compile": True}, eager], "jax": [{"jit_compile": True}, eager], "torch": [{}]}
    for number, options in enumerate(modes[name]):
        model = keras.Sequential([keras.Input((30,)), Masks(), keras.layers.Dense(1)])
        model.compile("sgd", "mse", **options)
        model.fit(x, np.zeros((7, 1)), batch_size=3, shuffle=False, verbose=0)  # the last batch is a partial one
        keep(f"fit {number}", model.layers[0].seen)
print(json.dumps(found))
