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

# a backward pass rounds what the forward pass does not: y in 1 - y^2, y (1 - y) and y + 1, and sums that cancel
# -> how far one disturbance of everything by 1 moves the slope of a function at x, and the slope itself
def slope_condition(function, x):
    def slope(noise=None):
        ends = []
        with disturbed_by(noise):
            function(np.array(x))
        for t in (2.0**-12, -(2.0**-12)):
            with disturbed_by(noise):
                ends.append(float(np.sum(function(np.array(x) + t * np.array(along)))))
        return (ends[0] - ends[1]) / 2.0**-11
    along = np.eye(len(x))[0]
    moved = [abs(slope(Disturbance(2.0**-22, n)) - slope()) for n in range(8)]
    return max(moved) * 2.0**22, abs(slope())

for name, x, least in (("tanh", 8.0, 0.2), ("sigmoid", 12.0, 0.1), ("elu", -12.0, 0.1)):
    condition, exact = slope_condition(getattr(keras.ops, name), [x])
    assert exact < 1e-4 and least < condition < 4, (name, condition, exact)
condition, exact = slope_condition(keras.ops.tanh, [0.1])
assert condition < 3 * exact
live = keras.layers.LayerNormalization(epsilon=1e-5)  # what it makes of one live feature does not depend on its size
live.build((1, 4))
weigh = np.array([3.0, -1.0, 2.0, 0.5])
condition, exact = slope_condition(lambda h: live(h[None])[0] * weigh, [0.1, 0.0, 0.0, 0.0])
assert exact < 0.5 < 5 < condition < 500, (condition, exact)

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

# what is added to a quantum layer's outputs is what its cotangents are the slopes along
import pennylane as qml
from qparity import QKerasLayer
from qparity.oracle.probes import direction
from qparity.worker.reference.model import Shift
def circuit(weights, inputs, wires):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))
def build():
    x = keras.Input((2,))
    layer = QKerasLayer(circuit, wires=1, weight_shapes={"weights": (1,)}, features=1, name="q")
    h = layer(keras.layers.Dense(1)(layer(keras.layers.Dense(1)(x))))
    return keras.Model(x, keras.layers.Dense(1, use_bias=False)(h))
sys.modules["indexed"].build = build
model = ReferenceModel(Scenario(name="e", model="indexed:build"), 2, 1)
model.prepare()
weights = [rng.normal(size=v.shape) for v in model.trainable]
exact = model.evaluate(weights, [], batch).predictions
above, below = (model.evaluate(weights, [], batch, None, Shift(0, t, 5, 3)).predictions for t in (1e-3, -1e-3))
first, second = (direction((2, 1), 5, 3, 0, call) for call in (1, 2))
assert not np.array_equal(first, second)
middle = model.evaluate(weights, [], batch, None, None).predictions
assert np.array_equal(middle, exact)  # nothing of it stays
reached = (above - below) / 2e-3 / weights[-1]  # the second call's own, and the first one's through the circuit
through = np.abs(reached - second)
assert np.all(through > 1e-4) and np.all(through <= np.abs(first * weights[3]) + 1e-6)

# PennyLane's entropy of a pure state, which is zero, is within what is taken for its rounding
from qparity.records import Program
from qparity.worker.reference.model import UNIT, floor_of
said = "oracle does not cover the measurement "
plain, entropy = (floor_of(Program(not_covered=said + name), 2) for name in ("Purity", "MutualInfo"))
states = [state / np.linalg.norm(state) for state in rng.normal(size=(50, 4, 2)) @ [1, 1j]]
largest = max(abs(float(qml.math.vn_entropy(np.outer(s, s.conj()), [0, 1]))) for s in states)
assert plain == 4 and plain * UNIT < largest < entropy * UNIT, (plain, largest, entropy)
print("right")
"""


def test_inside_of_layers_is_disturbed_and_attention_is_double():
    environment = os.environ | {"PYTHONPATH": SOURCES}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, text=True, capture_output=True, timeout=300)
    assert run.stdout == "right\n", run.stderr[-3000:]
