"""Circuits that misbehave on one backend, without and within a user's model: who, where, and from which gate on."""

import json
import re

import pytest

from qparity.diagnose import explain
from qparity.diagnose.bisect import pauli_words
from qparity.diagnose.replay import swaps
from qparity.store import Run, resolve
from qparity.summary import summarise
from qparity.summary.causes import causes

ODD = """
import keras
import pennylane as qml
from qparity.circuit.layer import QKerasLayer

def odd(weights, inputs, wires, layers, fault):
    torch = qml.math.get_interface(weights) == "torch"
    for layer in range(layers):
        for wire in range(wires):
            qml.RX(inputs[..., 0], wires=wire)
            angle = weights[layer, wire]
            if torch and (layer, wire) == (1, 0):
                angle = 1.001 * angle if fault == "angle" else angle.detach() if fault == "constant" else angle
            qml.RY(angle, wires=wire)
        qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(1 if torch and fault == "measurement" else 0))

def build(features, wires, layers, device, diff_method, dtype, fault):
    layer = QKerasLayer(
        odd, wires=wires, layers=layers, weight_shapes={"weights": (layers, wires)}, features=1, device=device,
        diff_method=diff_method, dtype=dtype, circuit_options={"fault": fault}, name="quantum",
    )
    dense = keras.layers.Dense(1, dtype=dtype)
    return keras.Sequential([keras.Input((features,), dtype=dtype), dense, layer])
"""
CELLS = """
variants = ["torch", "jax-jit"]
wires = 2
layers = 2
data = { samples = 5 }
training = { batch_size = 3, epochs = 1 }
[matrix]
kind = [
    { label = "angle", circuit = "odd:odd", weight_shapes.weights = [2, 2], circuit_options.fault = "angle" },
    { label = "constant", circuit = "odd:odd", weight_shapes.weights = [2, 2], circuit_options.fault = "constant" },
    { label = "wires", circuit = "odd:odd", weight_shapes.weights = [2, 2], circuit_options.fault = "measurement" },
    { label = "hybrid", model = "odd:build", circuit_options.fault = "angle" },
    { label = "clean", circuit = "odd:odd", weight_shapes.weights = [2, 2], circuit_options.fault = "none" },
]
"""
GATE = "qml.RY(weights[0][1, 0], wires=0)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, qparity):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd.py").write_text(ODD)
    (folder / "odd.toml").write_text(CELLS)
    done = qparity("run", "odd.toml", "--no-timing", "--no-diagnose", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


pytestmark = pytest.mark.backend("torch", "jax")


def diagnosed(folder, qparity, cell):
    done = qparity("diagnose", "latest", cell, "--json", "--trust", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    kept = next((folder / "results").glob(f"*/diagnosis/{found['cell']}.json"))
    assert {k: v for k, v in json.loads(kept.read_text()).items() if k != "sha256"} == found
    return found


@pytest.mark.parametrize(("kind", "stage"), [("angle", "forward"), ("constant", "gradient"), ("hybrid", "forward")])
def test_the_backend_and_the_gate_are_named(folder, qparity, kind, stage):
    found = diagnosed(folder, qparity, f"odd-{kind}/torch")
    assert found["judgement"]["stage"] == stage
    assert found["gates"]["code"] == GATE
    assert found["gates"]["gate"] == 6
    verdicts = {(r["variant"], r["device"], r["diff_method"]): r["verdict"] for r in found["replays"]}
    assert verdicts["torch", "default.qubit", "best"] == "LOCAL-FAULT"
    assert verdicts["jax-jit", "default.qubit", "best"] == "ROUNDING"
    assert len(verdicts) == 4
    assert found["blame"].startswith("torch")
    assert found["story"][-1].startswith("transplant: ") == (kind != "hybrid")


def test_a_wrong_measurement_is_no_gates_fault(folder, qparity):
    found = diagnosed(folder, qparity, "odd-wires/torch")
    assert found["gates"]["gate"] is None
    assert re.search(r"\b10 gates\b.*measurement", found["story"][-2])


def test_a_clean_cell_gets_its_envelope(folder, qparity):
    found = diagnosed(folder, qparity, "odd-clean/torch")
    assert found["replays"] == []
    assert found["envelope"]["outside"] == {}
    assert found["setup"] == []


@pytest.mark.parametrize("command", ["diagnose", "reproduce"])
def test_what_a_run_names_is_imported_only_where_it_is_trusted(folder, qparity, command):
    done = qparity(command, "latest", "odd-angle/torch", cwd=folder)
    assert done.returncode == 2
    assert f"odd-angle/torch: this would import odd from {folder}" in done.stderr
    assert done.stderr.strip().endswith("--trust")
    assert done.stderr.count("\n") == 1


def test_bad_input_is_one_line(folder, qparity):
    done = qparity("diagnose", "latest", "odd-clean/nobody", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("qparity: odd-clean/nobody: no such cell in ")
    assert done.stderr.count("\n") == 1


def test_compare_and_merge_from_the_command_line(folder, qparity):
    run = Run.load(next((folder / "results").iterdir()))
    same = qparity("compare", run.id, run.id, cwd=folder)
    assert (same.returncode, same.stdout) == (0, f"{run.id} -> {run.id}: 10 the same\n")
    merged = qparity("merge", run.id, run.id, "-o", "joined", cwd=folder)
    assert merged.returncode == 0, merged.stderr
    again = qparity("compare", run.path, folder / "joined" / merged.stdout.strip(), "--json", cwd=folder)
    assert json.loads(again.stdout)["counts"] == {"~": 10}


def test_swaps_change_one_thing_at_a_time_as_far_as_they_can():
    assert swaps("default.qubit", "backprop") == [
        {"device": "lightning.qubit", "diff_method": "best"},
        {"device": "default.qubit", "diff_method": "parameter-shift"},
    ]
    assert swaps("lightning.qubit", "parameter-shift") == [
        {"device": "default.qubit", "diff_method": "parameter-shift"},
        {"device": "lightning.qubit", "diff_method": "best"},
    ]


def test_words_see_every_wire_and_pair():
    assert len(pauli_words(3)) == 9 + 9
    assert len(pauli_words(7)) == 21


def test_a_sweep_says_itself_why_its_cells_are_red(folder, qparity):
    done = qparity("run", "odd.toml", "--no-timing", "-k", "angle or clean", "--report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "diagnosing torch, forward, default.qubit (1 cell)" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("torch, forward, default.qubit (1 cell): ")]
    assert "whatever the simulator" in line
    assert f"{GATE}" in line
    run = Run.load(folder / "results" / done.stdout.splitlines()[-1])
    (kept,) = (run.path / "diagnosis").glob("*.json")
    assert run.outcome(kept.stem).scenario.name == "odd-angle"
    (page,) = (folder / "reports").glob("*.html")
    assert '<pre class="story">' in page.read_text()


def test_what_there_is_no_time_for_is_said(folder):
    run = Run.load(resolve(folder / "results", "latest"))
    view = summarise(run)
    told = explain(run, causes(view.cells, view.groups), trust=True, within_s=0.0)
    assert told
    assert {each.line for each in told} == {"not diagnosed: not within 0 s"}


def test_after_a_resume_nothing_is_imported_that_the_folder_names(folder):
    run = Run.load(resolve(folder / "results", "latest"))
    view = summarise(run)
    told = explain(run, causes(view.cells, view.groups), trust=False)
    assert told
    assert all("this would import odd from" in each.line and "--trust" in each.line for each in told)
