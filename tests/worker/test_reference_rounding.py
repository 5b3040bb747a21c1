"""The reference computes in double precision throughout, and disturbs also what a layer computes inside."""

import os
import subprocess
import sys

from tests.conftest import SOURCES

SCRIPT = """
from qparity.worker.reference import keras_on_numpy
keras_on_numpy.load()
import keras
import numpy as np
from qparity.worker.reference.rounding import Disturbance, disturb, disturbed_by

rng = np.random.default_rng(0)
query, key, value = rng.normal(size=(3, 2, 5, 1, 4))
weights = np.exp(np.einsum("btnh,bsnh->bnts", query, key) / 2)
weights /= weights.sum(axis=-1, keepdims=True)
found = keras.ops.dot_product_attention(query, key, value)
assert found.dtype == np.float64
np.testing.assert_allclose(found, np.einsum("bnts,bsnh->btnh", weights, value), atol=1e-15)

# of one row, a normalisation returns its offset, however its input is disturbed: what it rounds is inside
x = rng.normal(size=(1, 3))
for layer in (keras.layers.BatchNormalization(), keras.layers.LayerNormalization(epsilon=1e-3)):
    layer.build(x.shape)
    row = x if "batch" in layer.name else np.full_like(x, 0.7)
    exact = layer(row, training=True)
    assert np.array_equal(exact, layer(row, training=True)) and np.abs(exact).max() < 1e-12
    noise = Disturbance(2.0**-22, 0)
    moved = []
    for _ in range(2):
        with disturbed_by(noise):
            moved.append(layer(row, training=True))
    assert 2.0**-22 < np.abs(moved[0] - exact).max() < 2.0**-22 * 300
    assert np.array_equal(*moved)  # the same noise each time: slopes can be taken of it
    assert np.array_equal(exact, layer(row, training=True))
assert disturb(3) == 3

# a whole number may be an index: disturbed, an embedding would look up another row
from qparity.scenario.schema import Scenario
from qparity.worker.reference.model import ReferenceModel
import types, sys
def build():
    x = keras.Input((2,))
    h = keras.layers.Flatten()(keras.layers.Embedding(4, 3)(x))
    return keras.Model(x, keras.layers.Dense(1)(h))
sys.modules["indexed"] = types.SimpleNamespace(build=build)
model = ReferenceModel(Scenario(name="e", model="indexed:build"), 2, 1)
model.prepare()
weights = [rng.normal(size=v.shape) for v in model.trainable]
batch = np.array([[1.0, 3.0], [2.0, 0.0]]), np.zeros((2, 1)), None
exact = model.evaluate(weights, [], batch).predictions
for seed in range(4):
    moved = model.evaluate(weights, [], batch, Disturbance(2.0**-22, seed)).predictions
    assert 0 < np.abs(moved - exact).max() < 1e-4
print("right")
"""


def test_inside_of_layers_is_disturbed_and_attention_is_double():
    environment = os.environ | {"PYTHONPATH": SOURCES}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, text=True, capture_output=True, timeout=300)
    assert run.stdout == "right\n", run.stderr[-3000:]
