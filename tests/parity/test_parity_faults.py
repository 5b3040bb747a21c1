"""The gate is tested too: every injected fault is found at its exact step and stage, and nothing else alarms."""

from dataclasses import replace

import numpy as np
import pytest

from qparity.hunt.witness import difference
from qparity.parity import Stage, Verdict, judge
from qparity.parity.audit import audit
from qparity.records import Outcome

from .fake import Setting, observe, variants

# fault: (stage, verdict in float32, verdict in float64)
LOCAL, LEAK, SETUP, PASS = Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK, Verdict.SETUP_FAULT, Verdict.ROUNDING
FAULTS = {
    "gradient x2": (Stage.GRADIENT, LOCAL, LOCAL),
    "sign flip": (Stage.GRADIENT, LOCAL, LOCAL),
    "gradient x(1+1e-4)": (Stage.GRADIENT, LOCAL, LOCAL),
    "secretly shuffled": (Stage.FORWARD, LOCAL, LOCAL),
    "wrong wire": (Stage.FORWARD, LOCAL, LOCAL),
    "reversed CNOT": (Stage.FORWARD, LOCAL, LOCAL),
    "off by one": (Stage.FORWARD, LOCAL, LOCAL),
    "secretly stale": (Stage.FORWARD, LOCAL, LOCAL),
    "sum for mean": (Stage.LOSS, LOCAL, LOCAL),
    "stale weights": (Stage.UPDATE, LOCAL, LOCAL),
    "epsilon 1e-8": (Stage.UPDATE, LOCAL, LOCAL),
    "beta2 .9991": (Stage.UPDATE, LOCAL, LOCAL),
    "lr + 1e-4": (Stage.UPDATE, LOCAL, LOCAL),
    "dropped sample": (Stage.SETUP, SETUP, SETUP),
    "shuffled batch": (Stage.SETUP, SETUP, SETUP),
    "float32 forward": (Stage.FORWARD, PASS, LEAK),
    "float32 loss": (Stage.LOSS, PASS, LEAK),
    "float32 gradient": (Stage.GRADIENT, PASS, LEAK),
    "float32 update": (Stage.UPDATE, PASS, LEAK),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [3, 5])
def test_fault_is_found_at_its_step_and_stage(fault, dtype, at):
    judged = judge([observe(Setting(dtype=dtype, fault=fault, at=at))])["torch"]
    stage, low, high = FAULTS[fault]
    verdict = low if dtype == "float32" else high
    assert judged.verdict == verdict, judged.reason
    if verdict != PASS:
        assert (judged.step, judged.stage) == (at, stage), judged.reason
        assert f"step {at} {stage}" in judged.reason


@pytest.mark.parametrize("fault", ["gradient x2", "wrong wire", "sum for mean", "lr + 1e-4", "secretly stale"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_faults_are_found_from_the_first_step_in_float64(fault, optimizer):
    at = 1 if fault == "secretly stale" else 0
    judged = judge([observe(Setting(optimizer=optimizer, fault=fault, at=at))])["torch"]
    assert (judged.step, judged.stage) == (at, FAULTS[fault][0]), judged.reason
    assert judged.verdict == Verdict.LOCAL_FAULT


@pytest.mark.parametrize("culprit", [0, 1, 2])
def test_only_the_faulty_variant_is_blamed(culprit):
    names = ["tf", "torch", "jax"]
    block = variants(Setting(), *names)
    block[culprit] = observe(Setting(variant=names[culprit], fault="gradient x2", at=4))
    verdicts = [judged.verdict for judged in judge(block).values()]
    assert verdicts == [Verdict.LOCAL_FAULT if k == culprit else Verdict.ROUNDING for k in range(3)]


def test_scaled_gradients_are_found_though_adam_hides_them():
    """Adam is scale-invariant: the weights barely differ, and an end-of-run comparison passes."""
    clean, wrong = observe(Setting(epochs=10)), observe(Setting(epochs=10, fault="gradient x2"))
    assert np.abs(clean.trace["new_weights/0"] - wrong.trace["new_weights/0"]).max() < 1e-4
    assert judge([wrong])["torch"].verdict == Verdict.LOCAL_FAULT


def test_exchanged_weights_are_named():
    judged = judge([observe(Setting(fault="swapped weights"))])["torch"]
    assert judged.verdict == Verdict.SETUP_FAULT
    assert judged.tensor == "weights/0"
    assert "weight 1" in judged.reason


def test_betas_read_back_through_float32_are_a_setup_fault_in_float64_only():
    for dtype, verdict in (("float64", Verdict.SETUP_FAULT), ("float32", Verdict.ROUNDING)):
        judged = judge([observe(Setting(dtype=dtype, fault="beta read through float32"))])["torch"]
        assert judged.verdict == verdict
        assert judged.tensor == "beta_1" or verdict == Verdict.ROUNDING


def test_worst_element_is_named():
    judged = judge([observe(Setting(fault="gradient x(1+1e-4)", at=2))])["torch"]
    observation = observe(Setting(fault="gradient x(1+1e-4)", at=2))
    got_shape = observation.trace[judged.tensor].shape[1:]
    got = observation.trace[judged.tensor][2][judged.index]
    assert judged.got == got
    assert judged.residual == pytest.approx(1e-4 * abs(got), rel=1e-3)
    assert judged.r == pytest.approx(judged.residual / judged.tolerance)
    assert judged.smallest_tolerance == judged.residual
    seen = next(c for c in audit(observation).comparisons if c.tensor == judged.tensor)
    scale = seen.scale.reshape(len(observation.trace["loss"]), *got_shape)[(2, *judged.index)]
    assert judged.ulps == pytest.approx(judged.residual / (2**-52 * scale))
    assert judged.ulps == pytest.approx(2.0 ** (52 - judged.effective_bits))


def test_a_leak_does_not_hide_a_fault():
    observation = observe(Setting(fault="gradient x2", at=5))
    low = observation.trace["loss"].astype(np.float32)
    leaking = dict(observation.trace) | {"loss": low}
    judged = judge([type(observation)(observation.outcome, leaking, observation.expected, observation.program)])[
        "torch"
    ]
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.LOCAL_FAULT, 5, Stage.GRADIENT)
    assert any("loss is float32" in note for note in judged.annotations)


def test_a_low_dtype_is_a_leak_even_where_its_values_are_right():
    observation = observe(Setting(loss="energy", lucky=True, samples=4))
    trace = dict(observation.trace) | {"slots/0/m": np.zeros((3, 4), np.float32)}
    judged = judge([type(observation)(observation.outcome, trace, observation.expected, observation.program)])["torch"]
    assert (judged.verdict, judged.stage) == (Verdict.PRECISION_LEAK, Stage.UPDATE)


def test_learning_rate_and_counter_are_read_step_by_step():
    observation = observe(Setting())
    for name, stage in (("learning_rate", "learning_rate"), ("iterations", "iterations")):
        array = observation.trace[name].copy()
        array[4] += 1
        trace = dict(observation.trace) | {name: array}
        wrong = type(observation)(observation.outcome, trace, observation.expected, observation.program)
        judged = judge([wrong])["torch"]
        assert (judged.verdict, judged.step, judged.tensor) == (Verdict.SETUP_FAULT, 4, stage)


@pytest.mark.parametrize(("share", "verdict"), [(2.0**-25, Verdict.PRECISION_LEAK), (1e-4, Verdict.SETUP_FAULT)])
def test_a_schedule_in_float32_is_a_leak_and_another_schedule_a_setup_fault(share, verdict):
    observation = observe(Setting())
    training = observation.outcome.raw["scenario"]["training"]
    training["schedule"] = {"name": "piecewise_constant_decay", "boundaries": [99], "values": [0.03, 0.01]}
    trace = dict(observation.trace) | {"learning_rate": observation.trace["learning_rate"] * (1 + share)}
    judged = judge([replace(observation, outcome=Outcome(observation.outcome.raw), trace=trace)])["torch"]
    assert (judged.verdict, judged.step, judged.tensor) == (verdict, 0, "learning_rate")
    assert "by the schedule piecewise_constant_decay it is 0.03" in judged.reason


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_rates_of_a_schedule_are_those_of_its_own_cell(optimizer):
    """The law of an optimizer's table is kept from cell to cell."""
    clean = observe(Setting(optimizer=optimizer))
    before = judge([clean])["torch"]
    outcome = Outcome(observe(Setting(optimizer=optimizer)).outcome.raw)
    schedule = {"name": "piecewise_constant_decay", "boundaries": [0], "values": [0.03, 0.01]}
    outcome.raw["scenario"]["training"]["schedule"] = schedule
    rates = np.where(np.arange(len(clean.trace["loss"])) > 0, 0.01, 0.03)
    scheduled = replace(clean, outcome=outcome, trace=dict(clean.trace) | {"learning_rate": rates})
    assert judge([scheduled])["torch"].verdict == LOCAL, "its weights were updated at another rate"
    again = judge([clean])["torch"]
    assert (again.verdict, again.to_dict()) == (PASS, before.to_dict())


def test_a_hyperparameter_that_is_off_does_not_hide_a_wrong_gradient():
    """`expect = "SETUP-FAULT"` would let it pass: a beta explains a wrong update, not a wrong gradient."""
    observation = observe(Setting(fault="sign flip", at=4))
    heard = observation.outcome.raw["audit"]
    heard["hyperparameters"] = dict(heard["hyperparameters"]) | {"beta_1": float(np.float32(0.9))}
    judged = judge([replace(observation, outcome=Outcome(observation.outcome.raw | {"audit": heard}))])["torch"]
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.LOCAL_FAULT, 4, Stage.GRADIENT)
    assert any("beta_1" in note for note in judged.annotations)


def test_a_fault_after_a_leak_in_the_same_tensor_is_the_one_that_is_located():
    observation, wrong = observe(Setting(fault="float32 gradient", at=0)), {}
    for name in ("gradients/0", "gradients/1"):
        wrong[name] = observation.trace[name].copy()
        wrong[name][5] *= -1
    judged = judge([replace(observation, trace=dict(observation.trace) | wrong)])["torch"]
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.LOCAL_FAULT, 5, Stage.GRADIENT)
    assert np.sign(judged.got) != np.sign(judged.expected)


@pytest.mark.parametrize("fault", ["", "sign flip", "gradient x2"])
def test_a_gradient_that_could_not_have_failed_is_not_compared(fault):
    """Finite differences at PennyLane's default step, in float32."""
    observation = observe(Setting(dtype="float32", fault=fault))
    scenario = observation.outcome.raw["scenario"] | {"diff_method": "finite-diff"}
    outcome = Outcome(observation.outcome.raw | {"scenario": scenario, "resolved": {"diff_method": "finite-diff"}})
    judged = judge([replace(observation, outcome=outcome)])["torch"]
    assert (judged.verdict, judged.stage) == (Verdict.NOT_COMPARED, Stage.GRADIENT), judged.reason


@pytest.mark.parametrize("count", [1, 8])
def test_a_circuit_that_gives_other_numbers_than_it_measures_is_a_fault_and_no_refusal(count):
    sound = observe(Setting())
    wider = np.repeat(sound.trace["predictions"].reshape(len(sound.trace["predictions"]), -1)[:, :1], count, axis=1)
    odd = replace(sound, trace={**sound.trace, "predictions": wider})
    judged = judge([odd])["torch"]
    assert (judged.verdict, judged.stage, judged.step) == (Verdict.LOCAL_FAULT, Stage.FORWARD, 0), judged.reason
    assert f"{count} numbers were recorded of each sample, the circuit measures" in judged.reason
    assert difference(odd, sound) is None, "nor does it end a hunt"
