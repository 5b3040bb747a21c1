"""A reproducer is run as its reader would run it, and its printed figure must show the divergence, or must not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from qparity.diagnose import DiagnosisError, find, reproduce, shrink
from qparity.diagnose.script import circuit, literal
from qparity.parity import Stage
from qparity.store import StoreError
from tests.conftest import backends
from tests.diagnose.conftest import CHOSEN, pointed
from tests.oracle.programs import read as simulated
from tests.parity.fake import Setting, program


def figure(text: str, name: str) -> float:
    return float(re.search(rf"^{name} *=? *(\S+)", text, re.MULTILINE).group(1))


@pytest.mark.parametrize("variant", [v for v in CHOSEN if v != "tf-graph"])
def test_stock_loss_leaks_without_us(small, execute, variant):
    done = execute(reproduce(small, find(small, f"small-stock/{variant}")))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "loss of step 0" in done.stdout
    assert done.stdout.endswith("the divergence shows\n")
    assert 1e-10 < figure(done.stdout, "difference") < 1e-6
    assert figure(done.stdout, "r") > 1e4
    assert figure(done.stdout, "got") == pytest.approx(figure(done.stdout, "expected"), abs=1e-6)


@pytest.mark.backend("tensorflow")
def test_stock_betas_are_read_through_float32_on_tensorflow(small, execute):
    done = execute(reproduce(small, find(small, "small-stock/tf-graph")))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "beta_1 as the optimizer reads it" in done.stdout
    assert figure(done.stdout, "got") == float(np.float32(0.9))
    assert figure(done.stdout, "expected") == 0.9


@pytest.mark.parametrize(
    ("variant", "stage"),
    [(CHOSEN[0], Stage.FORWARD), *((v, s) for v in CHOSEN for s in (Stage.GRADIENT, Stage.UPDATE))],
)
def test_a_clean_cell_shows_nothing_at_any_stage(small, execute, variant, stage):
    done = execute(reproduce(small, pointed(small, f"small-exact/{variant}", stage)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not show" in done.stdout
    assert figure(done.stdout, "r") < 1


@pytest.mark.skipif("torch" not in backends(), reason="needs torch")
def test_a_script_of_a_gpu_cell_sets_what_the_cell_had(small):
    subject = find(small, "small-exact/torch")
    outcome = subject.observation.outcome.changed(variant="torch@gpu")
    on_gpu = replace(subject, observation=replace(subject.observation, outcome=outcome))
    source = reproduce(small, on_gpu)
    assert 'torch.set_default_device("cuda")' in source, "PennyLane makes tensors of its own"
    assert "allow_tf32 = False" in source
    assert "cuda" not in reproduce(small, subject)


def test_a_wrong_gate_shows(small, execute):
    """The script's circuit with one wrong gate stands for a library that computes it wrongly."""
    source = reproduce(small, pointed(small, f"small-exact/{CHOSEN[-1]}", Stage.GRADIENT))
    assert source.count("qml.CNOT(wires=[0, 1])") == 2
    done = execute(source.replace("qml.CNOT(wires=[0, 1])", "qml.CNOT(wires=[1, 0])", 1))
    assert done.returncode == 1, done.stdout + done.stderr
    assert figure(done.stdout, "r") > 1e10


def test_forward_is_cut_to_the_worst_sample(small):
    subject = pointed(small, f"small-exact/{CHOSEN[0]}", Stage.FORWARD, step=0)
    source = reproduce(small, subject)
    comparison = subject.comparison()
    worst = int(comparison.r[:3].max(axis=1).argmax())
    assert f"x = {literal(subject.trace['x'][worst : worst + 1])}" in source


def test_what_was_handed_over_is_no_library_fault(small):
    subject = pointed(small, f"small-exact/{CHOSEN[0]}", Stage.LOSS)
    lost = replace(subject, judgement=replace(subject.judgement, stage=Stage.SETUP, tensor="batch_index"))
    with pytest.raises(DiagnosisError, match=f"small-exact/{CHOSEN[0]}"):
        reproduce(small, lost)


@pytest.mark.backend("torch")
def test_a_fault_is_shown_in_the_smallest_training_that_has_it(small, execute):
    """The stock loss on torch needs one wire, one layer and one sample."""
    subject = find(small, "small-stock/torch")
    least = shrink(small, subject)
    assert (subject.observation.scenario.wires, least.observation.scenario.wires) == (2, 1)
    assert (subject.observation.scenario.layers, least.observation.scenario.layers) == (2, 1)
    assert (subject.judgement.verdict, subject.judgement.stage) == (least.judgement.verdict, least.judgement.stage)
    source = reproduce(small, least)
    assert "One step: 1 wire, 1 layer, 1 sample." in source
    done = execute(source)
    assert done.returncode == 1, done.stdout
    assert figure(done.stdout, "r") > 1e4


def test_cells_are_found_by_id_and_by_name(small):
    subject = find(small, f"small-exact/{CHOSEN[0]}")
    assert find(small, subject.observation.cell).name == subject.name
    with pytest.raises(StoreError, match=r"no such cell in .* such as small-exact/"):
        find(small, "small-exact/nobody")


def test_literals_round_trip():
    for dtype in ("float32", "float64"):
        array = np.random.default_rng(0).normal(size=(3, 2)).astype(dtype) * np.array([1e-30, 1e20], dtype)
        array[0, 0] = np.nan
        again = eval(literal(array), {"np": np, "nan": np.nan, "inf": np.inf})
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)


def test_every_gate_form_is_written():
    half = {"constant": 0.5, "weights": [[0, 2.0]], "inputs": [[0, 1.0]], "products": [["w", 1, "i", 0, -1.0]]}
    raw = program(Setting()) | {
        "gates": [{"name": "RX", "wires": [0], "params": [half]}, {"name": "Adjoint(S)", "wires": [1], "params": []}],
        "measurements": [
            {"kind": "probs", "wires": [1, 0]},
            {"kind": "expval", "terms": [[0.5, [["Z", 0], ["X", 1]]], [1, []]]},
            {"kind": "entropy", "parts": [[1, [1]]], "base": 2},
            {"kind": "entropy", "parts": [[1, [0]], [1, [1]], [-1, [0, 1]]]},
        ],
    }
    text = circuit(simulated(raw))
    assert "qml.RX(2.0 * weights[0][0] + x[..., 0] + -1.0 * weights[0][1] * x[..., 0] + 0.5, wires=0)" in text
    assert "qml.adjoint(qml.S(wires=1))" in text
    assert "qml.probs(wires=[1, 0]), qml.expval(0.5 * (qml.Z(0) @ qml.X(1)) + qml.I(0))" in text
    assert "qml.vn_entropy(wires=[1], log_base=2), qml.mutual_info(wires0=[0], wires1=[1])" in text
    compile(text, "circuit", "exec")
