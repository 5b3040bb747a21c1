"""What the reference says of a whole model: judged where it stands, and not believed where it stands alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qparity.oracle.probes import direction
from qparity.parity import Stage, Verdict, judge
from qparity.parity.reference import reference_comparisons
from qparity.records import Outcome

from .test_parity_hybrid import another, hybrid

SEED = 5


def referred(o, steps=(0, 2, 4), of=None, condition=1.0, error=1e-13, **changed):
    """The observation with what a reference would say of a correct one (`of`, itself if left out)."""
    right = (of or o).trace
    steps = np.array(steps)
    rows = np.concatenate([np.arange(*right["offsets"][t : t + 2]) for t in steps])
    count, width = len(steps), right["predictions"].shape[1]

    def slope(t, k):
        gradient = right[f"gradients/{k}"][t]
        return float((gradient * direction(gradient.shape, SEED, t, k)).sum())

    slopes = np.array([[slope(t, k) for k in range(3)] for t in steps])
    said = {
        "steps": steps, "predictions": right["predictions"][rows], "loss": right["loss"][steps],
        "predictions_condition": np.full((count, width), condition), "loss_condition": np.full(count, condition),
        "slopes": slopes, "slopes_condition": np.full((count, 3), condition),
        "slopes_error": np.full((count, 3), error),
    }  # fmt: skip
    about = {"reference": {"seed": SEED, "steps": count, "of": len(right["loss"])}}
    trace = dict(o.trace) | {f"reference_{name}": array for name, array in (said | changed).items()}
    return replace(o, trace=trace, outcome=Outcome(o.outcome.raw | about))


def test_a_whole_model_passes_by_itself_and_the_steps_are_counted():
    judged = judge([referred(hybrid())])["m"]
    assert judged.verdict == Verdict.ROUNDING, judged.reason
    assert "forward 3, loss 9, gradient 3 to 9, update 9" in judged.reason
    assert judged.judged == 3 + 9 + 3 + 2 * 9 + 3 * 9
    assert judged.judgeable == 9 * 8
    everywhere = judge([referred(hybrid(), range(9))])["m"]
    assert everywhere.judged == everywhere.judgeable


def with_the_right_gradient(wrong):
    """The recording of `hybrid("dense gradient")` as it should have been at the same weights."""
    return replace(wrong, trace=dict(wrong.trace) | {"gradients/0": -wrong.trace["gradients/0"]})


@pytest.mark.parametrize("steps", [(0, 3, 8), (2, 8)])
def test_a_wrong_classical_gradient_is_found_without_any_peer(steps):
    wrong = hybrid("dense gradient")
    judged = judge([referred(wrong, steps, of=with_the_right_gradient(wrong))])["m"]
    assert judged.step == steps[0]
    assert (judged.verdict, judged.stage, judged.tensor) == (Verdict.LOCAL_FAULT, Stage.GRADIENT, "gradients/0")


@pytest.mark.parametrize("weight", [0, 1, 2])
def test_entries_of_a_gradient_that_changed_places_are_found(weight):
    o = hybrid()
    rolled = np.roll(o.trace[f"gradients/{weight}"].reshape(9, -1), 1, axis=1).reshape(
        o.trace[f"gradients/{weight}"].shape
    )
    judged = judge([referred(replace(o, trace=dict(o.trace) | {f"gradients/{weight}": rolled}), of=o)])["m"]
    assert (judged.verdict, judged.tensor) == (Verdict.LOCAL_FAULT, f"gradients/{weight}")


def test_a_forward_pass_in_float32_is_a_leak_of_this_cell_alone():
    o = hybrid()
    low = replace(o, trace=dict(o.trace) | {"predictions": o.trace["predictions"].astype(np.float32).astype(float)})
    judged = judge([referred(low, of=o), referred(another(o, "tf"))])
    assert (judged["m"].verdict, judged["m"].stage) == (Verdict.PRECISION_LEAK, Stage.FORWARD)
    assert judged["tf"].verdict == Verdict.ROUNDING


def test_two_backends_that_agree_are_believed_against_the_reference():
    """A user's layer may be another one on NumPy; a single backend against it is convicted all the same."""
    o = hybrid()
    wrong = {
        "predictions": np.concatenate(
            [o.trace["predictions"][a:b] * 1.01 for a, b in itertools.pairwise((0, 4, 8, 10))]
        )
    }
    accused = [
        referred(o, predictions=wrong["predictions"]),
        referred(another(o, "torch"), predictions=wrong["predictions"]),
    ]
    judged = judge(accused)
    assert {j.verdict for j in judged.values()} == {Verdict.PEERS_AGREE}
    assert any("reference" in note for note in judged["m"].annotations)
    assert judge(accused[:1])["m"].verdict == Verdict.LOCAL_FAULT


def test_a_gradient_that_all_backends_have_wrong_is_found():
    """The forward pass is right and its slope is another: whoever agrees with whom."""
    wrong = hybrid("dense gradient")
    right = with_the_right_gradient(wrong)
    block = [referred(another(wrong, name), of=right) for name in ("tf", "torch", "jax")]
    assert {(j.verdict, j.stage) for j in judge(block).values()} == {(Verdict.LOCAL_FAULT, Stage.GRADIENT)}


def test_running_statistics_are_judged():
    o = hybrid()
    state = np.linspace(0, 1, 10)[:, None] * np.ones(3)
    more = {"state/0": state[[1, 3, 5]], "state_condition/0": np.ones(3)}
    right = referred(replace(o, trace=dict(o.trace) | {"state/0": state}), **more)
    assert judge([right])["m"].verdict == Verdict.ROUNDING
    late = state.copy()
    late[5:] += 1e-3
    judged = judge([replace(right, trace=dict(right.trace) | {"state/0": late})])["m"]
    assert (judged.verdict, judged.stage, judged.tensor, judged.step) == (
        Verdict.LOCAL_FAULT,
        Stage.UPDATE,
        "state/0",
        4,
    )


def test_a_slope_at_a_kink_judges_nothing_and_is_not_counted():
    o = hybrid()
    error = np.full((9, 3), 1e-13)
    error[0, 0] = 40.0
    judged = judge([referred(o, range(9), slopes_error=error)])["m"]
    assert judged.verdict == Verdict.ROUNDING, judged.reason
    assert (judged.judgeable - judged.judged, "gradient 8 to 9" in judged.reason) == (1, True)
    error[0, 0], none = 1e-9, np.zeros((9, 3))  # a unit that is off: nothing moves, and that is known
    assert judge([referred(o, range(9), slopes_error=error, slopes_condition=none)])["m"].judged == judged.judgeable
    error[:, 0] = np.inf
    never = judge([referred(o, range(9), slopes_error=error)])["m"]
    assert never.verdict == Verdict.NOT_COMPARED
    assert "gradients/0" in never.reason


@pytest.mark.parametrize("unit", [None, "both"])
def test_what_cancels_in_a_weight_is_judged_by_the_largest_gradient_of_its_layer(unit):
    """A gradient that is zero but for rounding, as of attention's key bias: of no size of its own to be judged by."""
    o = hybrid()
    zero = np.zeros_like(o.trace["gradients/1"])
    noise = 4e-16 * np.abs(o.trace["gradients/0"]).reshape(9, -1).sum(axis=1).reshape(9, *[1] * (zero.ndim - 1))
    right, rounded = (replace(o, trace=dict(o.trace) | {"gradients/1": each}) for each in (zero, zero + noise))
    weights = [{"path": f"w{k}", "unit": unit if k < 2 else "other"} for k in range(3)]
    resolved = o.outcome.raw["resolved"] | {"weights": weights, "quantum_layers": []}
    judged = judge_gradient(referred(rounded, of=right, condition=0.0, error=0.0), resolved)
    assert (judged <= 1) == (unit is not None)


def judge_gradient(o, resolved):
    """The largest r of gradients/w1 against the reference."""
    told = replace(o, outcome=Outcome(o.outcome.raw | {"resolved": resolved}))
    (found,) = (c for c in reference_comparisons(told) if c.tensor == "gradients/w1")
    return found.r.max()
