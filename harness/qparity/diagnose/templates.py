"""The text of a reproducer, in the order it is put together. Plain code that an upstream maintainer can read.

Whatever text of a run enters it does so as `repr` writes it, or as a comment that `script.comment` makes: a run folder
may come from anywhere, and a script is run.
"""

from __future__ import annotations

HEAD = """{what}
{source}
# One step: {size}.
# Needs only keras, pennylane, numpy and the framework. Exit code 1: the divergence shows; 0: it does not.

import inspect
import os
import sys

os.environ["KERAS_BACKEND"] = "{backend}"
{hide}
import keras
import numpy as np
import pennylane as qml
from keras import ops

{imports}
nan, inf = np.nan, np.inf
dtype = {dtype!r}
keras.config.set_floatx(dtype)
{settings}

def to_numpy(value):
    return np.array(ops.convert_to_numpy(value))

"""

SETUP = """optimizer = {optimizer}
got = to_numpy(ops.cast(optimizer.{name}, dtype))
expected = np.array([{value!r}], dtype).astype("float64")
tolerance = np.zeros(1)
"""

CIRCUIT = """
{circuit}


device = {device}
{cure}qnode = {qnode}


class Circuit(keras.layers.Layer):
    def build(self, shape):
        self.w = [
            self.add_weight(shape=w.shape, initializer="zeros", name=f"w{{k}}", dtype=str(w.dtype))
            for k, w in enumerate(weights)
        ]
{extra}
    def compute_output_shape(self, shape):
        return shape[0], sum({sizes})

    def call(self, inputs):
        batch, w = len(x), [w.value for w in self.w]
{call}        columns = [
            ops.broadcast_to(ops.reshape(ops.cast(column, dtype), (-1, size)), (batch, size))
            for column, size in zip(columns, {sizes})
        ]
        return columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=-1)


model = keras.Sequential([keras.Input(x.shape[1:], dtype=dtype), Circuit(dtype=dtype)])
for variable, value in zip(model.trainable_weights, [*weights, x]):
    variable.assign(value)

"""

USER_MODEL = """
{source}

x = {x}
weights = [{weights}]
offered = {{
{offered}}}
taken = inspect.signature({build}).parameters
model = {build}(**{{key: value for key, value in offered.items() if key in taken}})
for variable, value in zip(model.trainable_weights, weights):
    variable.assign(value)

"""

STATE = """state = [{state}]
for variable, value in zip(model.non_trainable_variables, state):
    variable.assign(value)

"""

LAYER = """
import json

layer = keras.saving.deserialize_keras_object(json.loads({config!r}))
inputs = [{inputs}]
weights = [{weights}]


def outputs_of(tensors):
    return [out for out in keras.tree.flatten({call}) if "float" in keras.backend.standardize_dtype(out.dtype)]


outputs_of([tensor(array) for array in inputs])
for variable, value in zip(layer.trainable_variables, weights):
    variable.assign(value)
"""

LAYER_FORWARD = """got = to_numpy(outputs_of([tensor(array) for array in inputs])[{number}])
"""


LAYER_SLOPE = """got = np.array([np.sum(to_numpy(gradient).astype("float64") * towards)]).astype(dtype)
"""

TRAINED_INPUTS = """        self.x = self.add_weight(shape=x.shape, initializer="zeros", name="x", dtype=dtype)
"""

CALL_BATCH = """        columns = qnode(w, {x})
"""

CALL_SAMPLES = """        rows = [qnode(w, {x}[row]) for row in range(batch)]
        columns = [ops.stack(column) for column in zip(*rows)]
"""

FLOAT64_RESULTS = '''

def float64(result):
    """A Python float would become float32 in torch and TensorFlow: results are handed over as NumPy float64."""
    if isinstance(result, (tuple, list)):
        return type(result)(float64(item) for item in result)
    return np.float64(result) if isinstance(result, float) else result


for name in ("execute", "execute_and_compute_derivatives", "execute_and_compute_vjp"):
    setattr(device, name, lambda *a, method=getattr(device, name), **k: float64(method(*a, **k)))
'''


OPTIMIZER = """
optimizer = {optimizer}
variables = [keras.Variable(w, dtype=str(w.dtype)) for w in weights]
optimizer.build(variables)
optimizer.iterations.assign({iterations})
for name, values in slots.items():
    for variable, value in zip(getattr(optimizer, name), values):
        variable.assign(value)
"""


JUDGE = """
count = got.size
got = np.resize(got, len(expected))
difference = np.abs(got.astype("float64") - expected)
with np.errstate(divide="ignore", invalid="ignore"):
    r = np.where(difference == 0, 0.0, difference / tolerance)
r = np.where(np.isnan(r), np.inf, r)
worst = int(np.argmax(r))
shows = bool(r[worst] > 1) or str(got.dtype) != dtype or count != len(expected)
print({what!r})
if count != len(expected):
    print(f"{{count}} values where {{len(expected)}} are expected")
print(f"got        {{float(got[worst])!r}} ({{got.dtype}}, declared {{dtype}})")
print(f"expected   {{float(expected[worst])!r}}")
print(f"difference {{difference[worst]:.3g}}")
print(f"tolerance  {{tolerance[worst]:.3g}}")
print(f"r = {{r[worst]:.3g}}")
print("the divergence shows" if shows else "the divergence does not show")
sys.exit(int(shows))
"""
