"""Correct trainings pass, with margin, and what is said of them is complete and can be written as JSON."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from qparity.parity import Observation, Stage, Verdict, judge
from qparity.records import Outcome

from .fake import Setting, observe, variants

MATRIX = list(product(["float32", "float64"], ["adam", "sgd"], ["mse", "energy"], [False, True]))


@pytest.mark.parametrize(("dtype", "optimizer", "loss", "probs"), MATRIX)
def test_clean_training_is_rounding(dtype, optimizer, loss, probs):
    for seed in range(3):
        setting = Setting(dtype=dtype, optimizer=optimizer, loss=loss, probs=probs, seed=seed, wires=1 + seed)
        judged = judge([observe(setting)])["torch"]
        assert judged.verdict == Verdict.ROUNDING, judged.reason
        assert judged.r < 0.9
        assert list(judged.stages) == ["forward", "loss", "gradient", "update"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["mse", "energy"])
def test_weighted_samples_are_rounding_and_forgotten_weights_a_fault_of_the_loss(dtype, loss):
    for batch in (1, 4):
        right = Setting(dtype=dtype, loss=loss, batch=batch, weighted=True)
        judged = judge(variants(right, "torch", "jax"))
        assert {each.verdict for each in judged.values()} == {Verdict.ROUNDING}, judged["torch"].reason
    wrong = judge([observe(replace(right, fault="weights forgotten", at=1))])["torch"]
    assert (wrong.verdict, wrong.stage, wrong.step) == (Verdict.LOCAL_FAULT, Stage.LOSS, 1)


def test_other_weights_than_were_sent_are_a_setup_fault():
    clean = observe(Setting(weighted=True))
    moved = replace(clean, trace=dict(clean.trace) | {"sample_weight": clean.trace["sample_weight"] + 1})
    judged = judge([moved])["torch"]
    assert judged.verdict != Verdict.ROUNDING
    assert any("sample_weight is not what was sent" in text for text in (judged.reason, *judged.annotations))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_no_alarm_near_a_perfect_fit(dtype, optimizer):
    """The trap of judging gradients by the oracle's own predictions: residuals of the size of rounding."""
    setting = Setting(dtype=dtype, optimizer=optimizer, lucky=True, epochs=4, options=(("learning_rate", 1e-7),))
    observation = observe(setting)
    assert observation.trace["loss"].max() < 1e-6
    judged = judge([observation])["torch"]
    assert judged.verdict == Verdict.ROUNDING, judged.reason


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_alarm_over_many_adam_steps(dtype):
    judged = judge([observe(Setting(wires=1, dtype=dtype, epochs=100))])["torch"]
    assert judged.verdict == Verdict.ROUNDING, judged.reason
    assert len(judged.stages[Stage.UPDATE].r) == 300


@pytest.mark.parametrize("options", [(("momentum", 0.9),)])
def test_momentum(options):
    for dtype in ("float32", "float64"):
        judged = judge([observe(Setting(optimizer="sgd", dtype=dtype, epochs=10, options=options))])["torch"]
        assert judged.verdict == Verdict.ROUNDING, judged.reason


def test_judgement_is_json():
    for fault in ("", "stale weights", "gradient x2", "swapped weights"):
        judged = judge([observe(Setting(fault=fault))])["torch"]
        text = json.dumps(judged.to_dict(), allow_nan=False)
        keys = "verdict stage step tensor index got expected residual tolerance r effective_bits ulps"
        assert set(keys.split()) <= set(json.loads(text))
        json.dumps([s.to_dict() for s in judged.stages.values()], allow_nan=False)
        json.dumps([p.to_dict() for p in judged.pairs], allow_nan=False)


def test_bitwise_twins_and_fit_are_annotated():
    first, second = variants(Setting(), "jax", "jax-jit")
    final = {f"final_weights/{k}": first.trace[f"new_weights/{k}"][-1] for k in (0, 1)}
    first = replace(first, trace=dict(first.trace) | final)
    moved = {name: array + 1e-9 for name, array in final.items()}
    second = replace(second, trace=dict(second.trace) | moved)
    judged = judge([first, second])
    assert "bitwise equal to jax-jit" in judged["jax"].annotations
    (ended, apart) = ([n for n in judged[name].annotations if n.startswith("fit")] for name in ("jax", "jax-jit"))
    assert ("bitwise" in ended[0], "bitwise" in apart[0], "1e-09" in apart[0]) == (True, False, True)


def test_metrics_are_told_and_judge_nothing():
    def measured(observation, *accuracy, failed=None):
        fit = {"metrics": {"accuracy": list(accuracy)} if accuracy else {}, "metrics_failed": failed}
        return replace(observation, outcome=Outcome(observation.outcome.raw | {"fit": fit}))

    cells = variants(Setting(), "torch", "jax", "tf-graph")
    alike = judge([measured(cell, 0.5, 0.75) for cell in cells])["torch"]
    assert "metric accuracy after 2 epochs: 0.75, as on jax, tf-graph" in alike.annotations
    ends = [measured(cells[0], 0.5, 0.75), measured(cells[1], 0.5, None), measured(cells[2], failed="no such metric")]
    judged = judge(ends)
    assert {each.verdict for each in judged.values()} == {Verdict.ROUNDING}
    assert any("0.75 here, not finite on jax" in note for note in judged["torch"].annotations)
    assert any("could not be computed: no such metric" in note for note in judged["tf-graph"].annotations)


def with_flags(observation, repeat, **flags):
    resolved = observation.outcome.raw["resolved"] | {"flags": flags}
    told = observation.outcome.raw["audit"] | {"repeat": repeat}
    return replace(observation, outcome=Outcome(observation.outcome.raw | {"resolved": resolved, "audit": told}))


@pytest.mark.parametrize(("tf32", "verdict"), [(True, Verdict.PRECISION_LEAK), (False, Verdict.LOCAL_FAULT)])
def test_tf32_is_a_class_of_its_own_and_never_a_silent_allowance(tf32, verdict):
    observation = observe(Setting(dtype="float32", fault="gradient x(1+1e-4)"))
    judged = judge([with_flags(observation, None, tf32=tf32)])["torch"]
    assert judged.verdict == verdict, judged.reason
    assert any("precision class TF32" in note for note in judged.annotations) == tf32


def test_an_audit_run_twice_says_whether_it_gave_the_same_bits():
    repeats = (
        {"bitwise": True, "differences": {}},
        {"bitwise": False, "differences": {"loss": 1e-9, "gradients/0": 3e-8}},
        {"bitwise": False, "differences": {"loss": 1e-9, "x": None}},  # infinite, as a JSON document holds it
    )
    same, other, ended = (judge([with_flags(observe(Setting()), repeat)])["torch"].annotations for repeat in repeats)
    same, other, ended = (next(n for n in notes if n.startswith("run twice")) for notes in (same, other, ended))
    assert ("bitwise" in same, "3e-08 (gradients/0)" in other, "(x)" in ended) == (True, True, True)
    assert "3e-08" not in same + ended


def test_cells_that_did_not_run_get_no_verdict():
    done, dead = variants(Setting(), "jax", "torch")
    dead = Observation(Outcome(dead.outcome.raw | {"status": "crashed"}), None)
    empty = Observation(Outcome(done.outcome.raw | {"id": "tf", "variant": "tf"}), None)
    trace = {name: array for name, array in done.trace.items() if name != "loss"}
    cut = Observation(Outcome(done.outcome.raw | {"id": "cut", "variant": "cut"}), trace)
    judged = judge([done, dead, empty, cut])
    assert set(judged) == {"jax", "tf", "cut"}
    assert judged["tf"].verdict == Verdict.NOT_COMPARED
    assert "without loss" in judged["cut"].reason


def test_effective_bits_and_series_are_those_of_the_dtype():
    for dtype, low, high in (("float32", 20, 32), ("float64", 48, 64)):
        judged = judge([observe(Setting(dtype=dtype))])["torch"]
        bits = judged.stages[Stage.FORWARD].effective_bits
        assert low < bits.min() < high
        series = judged.stages[Stage.GRADIENT]
        assert np.allclose(series.r, series.residual / series.tolerance)
        assert series.worst_step == int(np.argmax(series.r))


def test_wide_circuits_are_sampled_and_it_is_said(monkeypatch):
    monkeypatch.setattr("qparity.parity.audit.AUDIT_ALL_UP_TO_WIRES", 1)
    judged = judge([observe(Setting(samples=2, batch=1, epochs=5))])["torch"]
    assert judged.verdict == Verdict.ROUNDING
    assert any("judged at" in note and "of 10 steps" in note for note in judged.annotations)
    series = judged.stages[Stage.FORWARD].r
    assert np.isnan(series).any()
    assert not np.isnan(series[[0, -1]]).any()
    assert not np.isnan(judged.stages[Stage.UPDATE].r).any()


def test_a_block_of_the_shipped_sweep_passes():
    one = observe(Setting(wires=1, layers=4, samples=96, batch=32, epochs=30))
    block = [
        replace(one, outcome=Outcome(one.outcome.raw | {"id": name, "variant": name}))
        for name in ("tf", "torch", "jax", "jax-jit")
    ]
    assert {j.verdict for j in judge(block).values()} == {Verdict.ROUNDING}
