"""A user's own quantum function and own hybrid model, from a folder that has nothing to do with the package."""

import json

import numpy as np
import pytest

from qparity.store import Run, resolve
from tests.conftest import variants

ANSATZ = """
import pennylane as qml

def circuit(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.Rot(weights[0], weights[1], weights[2], wires=0)
    return qml.expval(qml.Z(0))
"""
TWO_LINES = """circuit = "my_ansatz:circuit"
weight_shapes = { weights = [3] }
"""
MODEL = """
import keras
import pennylane as qml
from qparity.circuit.layer import QKerasLayer
from my_gates import rotate

def rotations(weights, inputs, wires):
    rotate(inputs, weights, wires)
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]

def build(features, outputs, wires, dtype, device, diff_method, batch_size):
    layer = QKerasLayer(
        rotations, wires=wires, weight_shapes={"weights": (wires,)}, features=wires, device=device,
        diff_method=diff_method, max_batch_size=batch_size, dtype=dtype, name="quantum",
    )
    dense = [keras.layers.Dense(units, dtype=dtype) for units in (wires, outputs)]
    return keras.Sequential([keras.Input((features,), dtype=dtype), dense[0], layer, dense[1]])
"""
GATES = """
import pennylane as qml

def rotate(inputs, weights, wires):
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
"""
HYBRID = """
model = "my_model:build"
wires = 2
data = { name = "random", samples = 7, features = 3 }
training = { batch_size = 4, epochs = 2 }
[matrix]
dtype = ["float64", "float32"]
"""
PENALIZED = """
import keras
import my_model

def build(features, outputs, wires, dtype, device, diff_method, batch_size):
    model = my_model.build(features, outputs, wires, dtype, device, diff_method, batch_size)
    model.layers[0].kernel.regularizer = keras.regularizers.L2(0.125)
    model.get_layer("quantum").weights[0].regularizer = keras.regularizers.L2(0.125)
    model.layers[-1].kernel.constraint = keras.constraints.MaxNorm(0.5)
    return model
"""
PENALIZED_CELL = """
model = "my_penalties:build"
wires = 2
data = { name = "random", samples = 7, features = 3 }
training = { batch_size = 4, epochs = 1 }
"""
CHOSEN = [v for v in ("torch", "jax-jit") if v in variants()] or ["tf"]  # the others: test_whole_models
DENSE, ANGLES, LAST = 0, 2, 3  # places of the first kernel, the angles and the last kernel among the weights


@pytest.fixture(scope="module")
def run(tmp_path_factory, qparity):
    """One sweep of both, started elsewhere; the run folder and what `check --json` says of it."""
    theirs, elsewhere = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("elsewhere")
    files = {"my_ansatz.py": ANSATZ, "mine.toml": TWO_LINES, "my_model.py": MODEL, "my_gates.py": GATES}
    files |= {"my_penalties.py": PENALIZED, "penalized.toml": PENALIZED_CELL}
    for name, text in (files | {"hybrid.toml": HYBRID}).items():
        (theirs / name).write_text(text)
    only = [option for variant in CHOSEN for option in ("-v", variant)]
    scenarios = [theirs / f"{name}.toml" for name in ("mine", "hybrid", "penalized")]
    ran = qparity("run", *scenarios, "--no-timing", *only, cwd=elsewhere)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    checked = json.loads(qparity("check", "--json", cwd=elsewhere).stdout)
    return Run.load(resolve(elsewhere / "results", "latest")), checked


def cells(run, scenario):
    loaded, checked = run
    found = [c for c in checked["cells"] if c["scenario"].startswith(scenario)]
    assert {c["variant"] for c in found} == set(CHOSEN)
    return [(c, loaded.outcome(c["id"]).raw, dict(loaded.trace(c["id"]).items())) for c in found]


def test_a_function_of_ones_own_takes_two_lines(run):
    assert len(TWO_LINES.splitlines()) == 2
    for cell, outcome, trace in cells(run, "mine"):
        assert (cell["status"], cell["verdict"]) == ("ok", "ROUNDING"), cell["reason"]
        assert outcome["resolved"]["quantum_layers"][0]["program"]["not_covered"] is None
        assert not any("not covered" in note for note in cell["annotations"])
        assert len(trace["loss"]) == 90


def test_a_hybrid_model_is_judged_with_all_that_is_around_its_circuit(run):
    """Within rounding everywhere, but for Keras' float64 Dense on torch, which is float32."""
    for cell, outcome, _ in cells(run, "hybrid"):
        assert cell["status"] == "ok", cell["reason"]
        assert outcome["audit"]["boundaries"] == "recorded"
        leaks = cell["variant"] == "torch" and "float64" in cell["scenario"]
        assert cell["verdict"] == ("PRECISION-LEAK" if leaks else "ROUNDING"), (cell["scenario"], cell["reason"])
        assert cell["judged"] == cell["judgeable"]


def test_the_recorded_boundary_is_the_layers(run):
    for cell, outcome, trace in cells(run, "hybrid"):
        exact = 1e-14 if "float64" in cell["scenario"] else 1e-6
        dense = exact if cell["variant"] != "torch" else 1e-6
        step = np.repeat(np.arange(len(trace["loss"])), np.diff(trace["offsets"]))
        angles, kernel = trace[f"weights/{ANGLES}"][step], trace[f"weights/{LAST}"][step][:, :, 0]
        inputs, outputs = trace["layer_inputs/0"], trace["layer_outputs/0"]
        np.testing.assert_allclose(outputs, np.cos(inputs) * np.cos(angles), atol=exact)
        rows = np.diff(trace["offsets"])[step]
        slope = 2 * (trace["predictions"] - trace["y"][trace["batch_index"]])[:, 0] / rows
        np.testing.assert_allclose(trace["layer_cotangents/0"], slope[:, None] * kernel, atol=dense)
        back = -trace["layer_cotangents/0"] * np.sin(inputs) * np.cos(angles)
        np.testing.assert_allclose(trace["layer_input_gradients/0"], back, atol=exact)
        assert outcome["resolved"]["quantum_layers"][0]["weights"] == [ANGLES]


def test_recording_leaves_the_training_alone(run):
    """`fit`, which nobody observes, ends bit for bit where the audit does."""
    for _, outcome, _ in cells(run, "hybrid"):
        assert outcome["fit"]["equals_audit"], outcome["fit"]


def test_what_keras_adds_to_a_model_accuses_no_backend(run):
    """Regularizers are recorded apart and taken off; a constraint is part of the update."""
    for cell, outcome, trace in cells(run, "penalized"):
        assert outcome["resolved"]["weights"][LAST]["constraint"]["name"] == "MaxNorm"
        added = sum(0.125 * np.square(trace[f"weights/{k}"]).sum(axis=tuple(range(1, trace[f"weights/{k}"].ndim)))
                    for k in (DENSE, ANGLES))  # fmt: skip
        np.testing.assert_allclose(trace["extra_loss"], added, rtol=1e-6)
        leaks = cell["variant"] == "torch"
        assert cell["verdict"] == ("PRECISION-LEAK" if leaks else "ROUNDING"), cell["reason"]
