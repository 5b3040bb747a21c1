"""Keras' NumPy backend: forward only, sample by sample, a reference that shares no framework with the others."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SOURCES, backends

SCRIPT = """
import keras, numpy as np, pennylane as qml
from qparity.circuit.layer import QKerasLayer
from qparity.scenario.registry import CIRCUITS

keras.config.set_floatx("float64")
rng = np.random.default_rng(0)

def one_sample(inputs, angles, tilt):
    for j in range(len(inputs)):
        if inputs[j] > 0:
            qml.RX(inputs[j], wires=j)
    qml.Rot(angles[0], angles[1], np.sin(angles[2]), wires=0)
    qml.RY(tilt, wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(1)), qml.probs()

x = rng.uniform(-1, 1, (3, 2))
for device, method in [("default.qubit", "hadamard"), ("lightning.qubit", "adjoint"), ("default.mixed", "best")]:
    shapes = {"angles": (3,), "tilt": ()}
    layer = QKerasLayer(one_sample, wires=2, weight_shapes=shapes, device=device, diff_method=method)
    layer.build((None, 2))
    for weight in layer.weights:
        weight.assign(rng.uniform(0, 3, weight.shape))
    weights = [np.asarray(weight.value) for weight in layer.weights]
    qnode = qml.QNode(one_sample, qml.device("default.qubit", wires=2))
    expected = [np.hstack(qnode(row, *weights)) for row in x]
    found = layer(x)
    assert type(found) is np.ndarray and found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert "sample by sample" in layer.expanded

for name in CIRCUITS:
    layer = QKerasLayer(name, wires=2, layers=1)
    inputs = rng.uniform(-1, 1, (2, 3, layer.function.features))
    assert layer(inputs).shape == layer.compute_output_shape(inputs.shape)
model = keras.Sequential([keras.Input((1,)), QKerasLayer("data_reuploading", wires=1), keras.layers.Dense(2)])
assert model.predict(np.ones((5, 1)), batch_size=2, verbose=0).shape == (5, 2)
assert QKerasLayer("vqe", wires=1, dtype="mixed_float16")(np.ones((2, 1))).dtype == np.float16
print("right")
"""


@pytest.mark.skipif("jax" not in backends(), reason="Keras' NumPy backend imports JAX")
def test_the_layer_is_right_sample_by_sample():
    environment = os.environ | {"KERAS_BACKEND": "numpy", "PYTHONPATH": SOURCES}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=300
    )
    assert run.stdout.endswith("right\n"), run.stderr[-3000:]
