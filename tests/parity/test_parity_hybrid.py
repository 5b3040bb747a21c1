"""A quantum layer inside a user's model is judged at its boundary, and the optimizer for all weights."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from qparity import oracle
from qparity.parity import Observation, Stage, Verdict, judge
from qparity.parity.boundary import boundaries, boundary_comparisons
from qparity.records import Outcome
from tests.oracle.programs import read as simulated

from .fake import Setting, observe, program


def hybrid(spoil: str = "") -> Observation:
    """A trace as of Dense(3 -> 2) - quantum - sum, with the dense kernel as weight 0."""
    rng = np.random.default_rng(0)
    setting = Setting()
    bare = observe(setting)
    trace = dict(bare.trace)
    rows, steps = len(trace["batch_index"]), len(trace["loss"])
    layer = simulated(program(setting))
    kernel = rng.normal(size=(3, 2))
    x = rng.normal(size=(setting.samples, 3)).astype(np.float32).astype(float)
    y = rng.normal(size=(setting.samples, 1))
    weights, state = [kernel, trace["weights/0"][0], trace["weights/1"][0]], None
    table = {"name": "sgd", "learning_rate": 0.1}
    optimizer = oracle.law_of(table, "float64", np.float64, 2.0**-53)
    record: dict[str, list[np.ndarray]] = {}
    for t in range(steps):
        index = trace["batch_index"][trace["offsets"][t] : trace["offsets"][t + 1]]
        inputs = x[index] @ weights[0]
        outputs = oracle.predict(layer, weights[1:], inputs)
        predictions = outputs.sum(axis=1, keepdims=True)
        bars = np.repeat(2 * (predictions - y[index]) / len(index), 2, axis=1)
        _, gradients, back = oracle.vjp(layer, weights[1:], inputs, bars)
        if spoil == "input gradient":
            back = back * 1.001
        if spoil == "outputs" and t == 2:
            outputs = outputs + 1e-3
        everything = [x[index].T @ back, *gradients]
        if spoil == "dense gradient":
            everything[0] = -everything[0]
        state, bounded = optimizer.step(state or optimizer.start(weights), weights, everything)
        new = [w.value for w in bounded]
        if spoil == "dense update":
            new[0] = new[0] * (1 + 1e-6)
        for k in range(3):
            for name, value in (("weights", weights[k]), ("gradients", everything[k]), ("new_weights", new[k])):
                record.setdefault(f"{name}/{k}", []).append(value)
        record.setdefault("loss", []).append(((predictions - y[index]) ** 2).mean())
        for name, value in (("predictions", predictions), ("layer_inputs/0", inputs), ("layer_outputs/0", outputs),
                            ("layer_cotangents/0", bars), ("layer_input_gradients/0", back)):  # fmt: skip
            record.setdefault(name, []).append(value)
        weights = new
    by_row = ("predictions", "layer")
    arrays = {n: np.concatenate(v) if n.startswith(by_row) else np.stack(v) for n, v in record.items()}
    keep = {n: trace[n] for n in ("offsets", "batch_index")}
    assert len(arrays["predictions"]) == rows
    scenario = bare.outcome.raw["scenario"] | {"model": "mine:build"}
    scenario["training"] = dict(scenario["training"]) | {"optimizer": table}
    layers = [{"name": "quantum", "weights": [1, 2], "program": program(setting)}]
    resolved = {"diff_method": "backprop", "quantum_layers": layers}
    outcome = {"id": "m", "variant": "jax", "status": "ok", "scenario": scenario, "resolved": resolved, "audit": {}}
    return Observation(Outcome(outcome), arrays | keep | {"x": x, "y": y})


def test_a_hybrid_alone_is_not_compared_as_a_whole_and_says_what_was():
    judged = judge([hybrid()])["m"]
    assert judged.verdict == Verdict.NOT_COMPARED, judged.reason
    assert any("boundaries" in note for note in judged.annotations)
    assert "predictions, gradients/0 (gradient)" in judged.reason
    assert 0 < judged.judged < judged.judgeable


def test_backends_that_agree_at_step_0_are_peers_and_it_is_said():
    whole = hybrid()
    judged = judge([whole, another(whole, "torch")])
    assert {j.verdict for j in judged.values()} == {Verdict.PEERS_AGREE}
    assert "torch" in judged["m"].reason


def another(whole: Observation, variant: str, **arrays: np.ndarray) -> Observation:
    outcome = Outcome(whole.outcome.raw | {"id": variant, "variant": variant})
    return replace(whole, outcome=outcome, trace=dict(whole.trace) | arrays)


def test_classical_gradients_are_compared_between_variants():
    whole, wrong = hybrid(), another(hybrid("dense gradient"), "torch")
    two = judge([whole, wrong])
    assert {j.verdict for j in two.values()} == {Verdict.NOT_COMPARED}
    three = judge([whole, wrong, another(whole, "tf")])
    assert (three["torch"].verdict, three["torch"].tensor) == (Verdict.LOCAL_FAULT, "gradients/0")
    assert three["m"].verdict == Verdict.PEERS_AGREE
    assert re.search(r"\btf\b", three["m"].reason)
    assert "torch" not in three["m"].reason


def test_a_variant_that_the_oracle_has_found_guilty_makes_no_other_suspect():
    judged = judge([hybrid(), another(hybrid("outputs"), "torch")])
    assert (judged["torch"].verdict, judged["m"].verdict) == (Verdict.LOCAL_FAULT, Verdict.NOT_COMPARED)


def penalized(spoil: bool = False) -> Observation:
    """The hybrid with a term of 1e-3 in its loss, whose gradient for weight 1 is 1e-3 too, as recorded apart."""
    whole = hybrid()
    steps = len(whole.trace["loss"])
    gradient = whole.trace["gradients/1"] * (0 if spoil else 1) + 1e-3
    changed = {"loss": whole.trace["loss"] + 1e-3, "gradients/1": gradient}
    extra = {"extra_loss": np.full(steps, 1e-3), "extra_gradients/1": np.full_like(gradient, 1e-3)}
    o = another(whole, "jax", **changed, **extra)
    weights = [{"constraint": {"name": "mine"}}] * 3  # what the optimizer makes of that gradient is not the point here
    return replace(o, outcome=Outcome(o.outcome.raw | {"resolved": o.outcome.raw["resolved"] | {"weights": weights}}))


def test_what_keras_adds_is_taken_off_and_the_rest_is_judged():
    judged = judge([penalized()])["jax"]
    assert judged.stages[Stage.LOSS].r.max() < 1
    assert judged.stages[Stage.GRADIENT].r.max() < 1
    cut = judge([penalized(spoil=True)])["jax"]
    assert (cut.verdict, cut.stage, cut.tensor) == (Verdict.LOCAL_FAULT, Stage.GRADIENT, "gradients/1")


def test_a_layer_called_twice_has_the_rows_of_both_calls():
    """Each step's rows are those of all calls, so a weight's gradient is the sum over calls."""
    whole = hybrid()
    trace, offsets = dict(whole.trace), whole.trace["offsets"]
    for name in [n for n in trace if n.startswith("layer_")]:
        parts = [trace[name][a:b] for a, b in itertools.pairwise(offsets)]
        trace[name] = np.concatenate([np.concatenate([part, part]) for part in parts])
    trace["layer_offsets/0"] = offsets * 2
    trace |= {f"gradients/{k}": 2 * trace[f"gradients/{k}"] for k in (1, 2)}
    judged = judge([replace(whole, trace=trace)])["m"]
    assert judged.stages[Stage.FORWARD].r.max() < 1
    assert judged.stages[Stage.GRADIENT].r.max() < 1


@pytest.mark.parametrize(
    ("spoil", "stage", "step", "tensor"),
    [
        ("outputs", Stage.FORWARD, 2, "quantum/predictions"),
        ("input gradient", Stage.GRADIENT, 0, "quantum/input_gradients"),
        ("dense update", Stage.UPDATE, 0, "weights/0"),
    ],
)
def test_faults_at_the_boundary_are_located(spoil, stage, step, tensor):
    judged = judge([hybrid(spoil)])["m"]
    assert (judged.verdict, judged.stage, judged.step, judged.tensor) == (Verdict.LOCAL_FAULT, stage, step, tensor)


def test_a_model_without_recorded_layers_is_not_compared():
    whole = hybrid()
    trace = {n: a for n, a in whole.trace.items() if not n.startswith("layer_")}
    judged = judge([replace(whole, trace=trace)])["m"]
    assert judged.verdict == Verdict.NOT_COMPARED


def test_a_gradient_that_is_not_a_number_is_a_fault_of_the_update():
    """Its tolerance is no number either, and must not pass for that."""
    o = hybrid()
    gradients = o.trace["gradients/0"].copy()
    gradients[-1] = np.nan
    judged = judge([replace(o, trace=dict(o.trace) | {"gradients/0": gradients})])["m"]
    assert (judged.verdict, judged.stage) == (Verdict.LOCAL_FAULT, Stage.UPDATE)
    assert judged.step == len(gradients) - 1


def test_compiled_a_step_may_have_rounded_a_cotangent_in_another_way():
    """Terms that are larger by far cancel in it: as much of their rounding is in what comes back."""
    o, name = hybrid(), "layer_input_gradients/0"
    bars, back = o.trace["layer_cotangents/0"], o.trace[name]

    def largest(**arrays):
        told = another(o, "jax-jit", **arrays)
        (boundary,) = boundaries(told, None)
        found = {c.tensor: c.r.max() for c in boundary_comparisons(told, boundary, np.arange(9))}
        return found["quantum/input_gradients"]

    size = 1e5 * np.abs(bars).max()
    condition = {"layer_cotangents_condition/0": np.full(bars.shape, size)}
    off = back + size * 2.0**-53 * np.array([1.0, -1.0])
    assert largest(**{name: off}) > 100
    assert largest(**{name: off}, **condition) < 1
    assert largest(**{name: back * (1 + 1e-6)}, **condition) > 100
    # the reference measures it at some steps; at the others its largest holds
    condition = {"layer_cotangents_condition/0": np.zeros(bars.shape), "reference_steps": np.array([2, 4])}
    assert largest(**{name: off}, **condition, reference_cotangents_condition=np.zeros((2, 1))) > 100
    assert largest(**{name: off}, **condition, reference_cotangents_condition=np.array([[size], [size]])) < 1
    assert largest(**{name: off}, **condition, reference_cotangents_condition=np.array([[0.0], [size]])) > 100
