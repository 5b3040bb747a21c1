"""Saved on one backend, loaded on another: every pair predicts the same, to 1e-12 in float64."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import SOURCES, backends

MODELS = {
    "library": 'layer("data_reuploading", wires=2, layers=1)',
    "lightning": 'layer("strongly_entangling", wires=2, layers=1, device="lightning.qubit", diff_method="adjoint")',
    "mine": 'layer(rotations, wires=2, weight_shapes={"first": (2,), "second": ()}, features=1)',
}
SCRIPT = """
import os, sys, time
backend, folder, *others = sys.argv[1:]
if backend != "tensorflow":
    sys.modules["tensorflow"] = None  # Keras would import it to load a model of any backend: 10 s, of no use
from qparity.worker import backends
os.environ.update(backends.environment(backend, "cpu", 1))
backends.load(backend, "cpu", 1).start("float64")
import keras, numpy as np, pennylane as qml
from qparity.circuit.layer import QKerasLayer
keras.config.set_floatx("float64")

@keras.saving.register_keras_serializable("mine")
def rotations(first, second, inputs, wires):
    for wire in range(wires):
        qml.RX(inputs[..., 0], wires=wire)
        qml.RY(first[wire] * second, wires=wire)
    return [qml.expval(qml.Z(wire)) for wire in range(wires)] + [qml.probs(wires=0)]

def layer(*args, **kwargs):
    return QKerasLayer(*args, max_batch_size=4, seed=3, **kwargs)

def batch(model):
    return np.random.default_rng(0).uniform(-3, 3, (4, model.input_shape[1]))

def predictions(model):
    model.run_eagerly = EAGER
    return model.predict(batch(model), verbose=0)

EAGER = backend == "tensorflow"  # whose graphs take longer to compile than all else here

for name, expression in MODELS.items():
    quantum = eval(expression)
    model = keras.Sequential([keras.Input((quantum.function.features or 1,)), quantum])
    model.compile(keras.optimizers.Adam(0.03), loss="mse", run_eagerly=EAGER)
    model.fit(batch(model), np.ones((4, quantum.outputs)), batch_size=4, epochs=1, verbose=0)
    model.save(f"{folder}/{name}-{backend}.keras")
    np.save(f"{folder}/{name}-{backend}.npy", predictions(model))
open(f"{folder}/{backend}.saved", "w").close()
while not all(os.path.exists(f"{folder}/{other}.saved") for other in others):
    time.sleep(0.1)
for name in MODELS:
    for other in others:
        loaded = keras.models.load_model(f"{folder}/{name}-{other}.keras", compile=False)
        np.save(f"{folder}/{name}-{other}-{backend}.npy", predictions(loaded))
"""


def start(script, log, *arguments):
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"} | {"PYTHONPATH": SOURCES}
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=log.open("w"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every model saved by each backend, then loaded by each: one process a backend, which waits for the others."""
    where = tmp_path_factory.mktemp("models")
    script = where / "models.py"
    script.write_text(f"MODELS = {MODELS!r}\n{SCRIPT}")
    logs = [where / f"{backend}.log" for backend in backends()]
    running = [start(script, log, backend, where, *backends()) for log, backend in zip(logs, backends(), strict=True)]
    while any(process.poll() is None for process in running) and not any(process.poll() for process in running):
        time.sleep(0.1)  # one that has failed is not waited for
    for process in running:
        process.kill()
    assert not any(process.wait() for process in running), [log.read_text()[-3000:] for log in logs]
    return where


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loaded_on", backends())
@pytest.mark.parametrize("saved_on", backends())
def test_predictions_survive(saved_on, loaded_on, name, folder):
    before = np.load(folder / f"{name}-{saved_on}.npy")
    after = np.load(folder / f"{name}-{saved_on}-{loaded_on}.npy")
    assert before.dtype == after.dtype == np.float64
    assert np.ptp(before) > 1e-3
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)
