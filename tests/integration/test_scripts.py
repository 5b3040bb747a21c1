"""Training scripts as people write them, unchanged, through `qparity run`."""

import json

import pytest

from tests.conftest import variants

MOONS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np, pandas as pd, pennylane as qml
from qparity import QKerasLayer

table = pd.read_csv("moons.csv")

def circuit(weights, inputs, wires):
    qml.AngleEmbedding(inputs, wires=range(wires))
    qml.StronglyEntanglingLayers(weights, wires=range(wires))
    return [qml.expval(qml.Z(w)) for w in range(wires)]

model = keras.Sequential([
    keras.Input((2,)), keras.layers.Dense(2, activation="tanh"),
    QKerasLayer(circuit, wires=2, weight_shapes={"weights": (1, 2, 3)}, features=2),
    keras.layers.Dropout(0.2), keras.layers.Dense(2, activation="softmax"),
])
plan = keras.optimizers.schedules.CosineDecay(0.02, 4)
optimizer = keras.optimizers.AdamW(plan, weight_decay=0.01, gradient_accumulation_steps=2)
model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(table[["x0", "x1"]], table["label"], epochs=2, batch_size=4, class_weight={0: 0.5, 1: 3.0})
raise RuntimeError("nobody comes here")
"""
OWN = """
import sys
import keras, numpy as np, pennylane as qml

class Layer(keras.layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(3,), initializer="random_uniform")
        self.node = qml.QNode(self.circuit, qml.device("default.qubit", wires=1))

    def circuit(self, w, x):
        qml.RX(x[:, 0], wires=0)
        qml.Rot(w[0], w[1], w[2], wires=0)
        return qml.expval(qml.Z(0))

    def call(self, x):
        w = self.w.value if keras.backend.backend() == "jax" else self.w
        return keras.ops.expand_dims(self.node(w, x), -1)

    def compute_output_shape(self, shape):
        return shape[0], 1

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.q, self.head = Layer(), keras.layers.Dense(1)
    def call(self, x):
        return self.head(self.q(x)) + x

def loss(y, f):
    return keras.ops.mean(keras.ops.abs(y - f) ** 1.5, axis=-1)

keras.backend.set_floatx("float32")
x = np.linspace(-1, 1, 6)[:, None]
y = np.sin(x) * (2.0 if "odd" in sys.argv and keras.backend.backend() == "torch" else 1.0)
model = Net()
plan = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
optimizer = keras.optimizers.SGD(plan, weight_decay=0.01, use_ema=True, ema_overwrite_frequency=2)
optimizer.exclude_from_weight_decay(var_names=["bias"])
model.compile(optimizer, loss)
model.fit(x, y, batch_size=3, epochs=1, shuffle=False, sample_weight=np.array([1.0, 2.0, 0.5, 0.0, 3.0, 1.0]))
"""


@pytest.fixture
def folder(tmp_path):
    rows = "".join(f"{i / 7},{i % 3},{i % 2}\n" for i in range(9))
    (tmp_path / "moons.csv").write_text("x0,x1,label\n" + rows)
    (tmp_path / "moons.py").write_text(MOONS)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def judged(qparity, folder):
    told = json.loads(qparity("check", "--json", cwd=folder).stdout)
    return {(cell["scenario"], cell["variant"]): cell for cell in told["cells"]}


def test_scripts_are_trained_alike_on_every_backend(qparity, folder):
    names = [name for name in ("torch", "tf-graph", "jax") if name in variants()][:2]
    ran = qparity("run", "moons.py", "own.py", "--no-timing", *(f"-v{name}" for name in names), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert "its optimizer does more" in ran.stderr
    cells = judged(qparity, folder)
    assert {cells["moons", name]["verdict"] for name in names} == {"ROUNDING"}
    for name in names:
        (told,) = [note for note in cells["moons", name]["annotations"] if "metric accuracy after" in note]
        assert "another" not in told
    assert {cells["own", name]["verdict"] for name in names} == {"ROUNDING"}


@pytest.mark.backend("torch")
@pytest.mark.backend("jax")
def test_other_data_on_a_backend_are_a_setup_fault_there(qparity, folder):
    ran = qparity("run", "own.py", "--no-timing", "-vjax", "-vtorch", "--steps", "1", "--", "odd", cwd=folder)
    assert ran.returncode == 0
    cells = judged(qparity, folder)
    assert cells["own", "torch"]["verdict"] == "SETUP-FAULT"
    assert "another y here" in cells["own", "torch"]["reason"]
    assert cells["own", "jax"]["verdict"] != "SETUP-FAULT"


@pytest.mark.backend("torch")
@pytest.mark.backend("jax")
def test_a_script_that_breaks_on_one_backend_is_trained_on_the_others(qparity, folder):
    text = (folder / "own.py").read_text()
    broken = 'if keras.backend.backend() == "jax": raise OSError("not here")\n'
    (folder / "own.py").write_text(text.replace("model = Net()", broken + "model = Net()"))
    ran = qparity("run", "own.py", "--no-timing", "-vjax", "-vtorch", "--steps", "1", cwd=folder)
    assert ran.returncode == 3, ran.stderr
    assert "own.py: it breaks on jax: line " in ran.stderr
    cells = judged(qparity, folder)
    assert cells["own", "torch"]["verdict"] in ("ROUNDING", "PEERS-AGREE", "NOT-COMPARED")
    assert cells["own", "jax"]["status"] == "failed"
    assert "OSError: not here" in cells["own", "jax"]["reason"]
