"""Other backends that ran a cell's steps again at its own weights: who is believed against whom, at which step."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qparity.parity import Stage, Verdict, judge
from qparity.parity.jury import blame_by_jury
from qparity.parity.testimony import doubted_steps, heard_of
from qparity.records import Outcome

from .test_parity_hybrid import another, hybrid

U = {"float64": 2.0**-53, "float32": 2.0**-24}
WHOLE = hybrid()
STEPS = len(WHOLE.trace["loss"])


def said(o, steps=None, condition=1.0, **changed):
    """What a juror says of a cell: its own numbers, or others in their place; the names are a juror's."""
    t, steps = o.trace, np.arange(STEPS) if steps is None else np.asarray(steps)
    rows = np.concatenate([np.arange(*t["offsets"][s : s + 2]) for s in steps])
    of_all = {"predictions": t["predictions"]} | {n: t[n] for n in ("loss", *(f"gradients/{k}" for k in range(3)))}
    of_all |= {name: array for name, array in changed.items() if name in of_all}
    arrays = {n: a[rows if n == "predictions" else steps].astype(float) for n, a in of_all.items()}
    conditions = {"predictions_condition": np.full(len(steps), condition), "loss_condition": np.ones(len(steps)),
                  "gradients_condition": np.full((len(steps), 3), condition)}  # fmt: skip
    return {"steps": steps, **arrays, **conditions} | {n: a for n, a in changed.items() if n not in of_all}


def before_jury(o, precision="float64", **jurors):
    """The cell with a reason why there is no reference, and what its jurors say."""
    about = {name: {"precision": precision, "steps": len(each["loss"]), "of": STEPS} for name, each in jurors.items()}
    arrays = {f"jury_{name}_{key}": array for name, each in jurors.items() for key, array in each.items()}
    programs = [layer["program"] for layer in o.outcome.raw["resolved"]["quantum_layers"]]
    reference = {"programs": programs, "reason": "no branch for numpy"}
    raw = o.outcome.raw | {"reference": reference, "jury": about}
    return replace(o, outcome=Outcome(raw), trace=dict(o.trace) | arrays)


def from_step(o, name, step, factor):
    """An array of the cell's trace, times a factor from a step on."""
    array = o.trace[name].copy()
    array[o.trace["offsets"][step] if name == "predictions" else step :] *= factor
    return array


def sole(o):
    return judge([o])[o.cell]


def test_a_clean_jury_passes_at_every_step_and_it_is_said_by_whom():
    judged = sole(before_jury(WHOLE, torch=said(WHOLE), tensorflow=said(WHOLE)))
    assert judged.verdict == Verdict.PEERS_AGREE, judged.reason
    assert "agree at every step with torch and tensorflow" in judged.reason
    assert "nobody independent judged that (no branch for numpy)" in judged.reason


def test_the_steps_that_were_judged_are_counted():
    judged = sole(before_jury(WHOLE, torch=said(WHOLE, [0, 4]), tensorflow=said(WHOLE, [0, 4, STEPS - 1])))
    assert judged.verdict == Verdict.PEERS_AGREE
    assert f"agree at 3 of {STEPS} steps with tensorflow, at 2 of them with torch, run again" in judged.reason
    apart = sole(before_jury(WHOLE, torch=said(WHOLE, [0, 4]), tensorflow=said(WHOLE, [0, 3])))
    assert f"agree at 3 of {STEPS} steps with torch or tensorflow, run again" in apart.reason


@pytest.mark.parametrize("name", ["predictions", "gradients/0"])
@pytest.mark.parametrize("step", [0, 3, STEPS - 1])
def test_a_cell_that_two_backends_contradict_is_at_fault_from_that_step_on(name, step):
    right = from_step(WHOLE, name, step, 1.01)  # what is changed is the jury's: the cell is as wrong, and consistent
    judged = sole(before_jury(WHOLE, torch=said(WHOLE, **{name: right}), tensorflow=said(WHOLE, **{name: right})))
    stage = Stage.FORWARD if name == "predictions" else Stage.GRADIENT
    assert (judged.verdict, judged.step, judged.stage, judged.tensor) == (Verdict.LOCAL_FAULT, step, stage, name)
    assert "away from torch and tensorflow, which agree" in judged.reason


def test_one_backend_against_the_cell_is_no_majority_and_the_place_is_named():
    right = from_step(WHOLE, "gradients/0", 3, 1.01)
    judged = sole(before_jury(WHOLE, torch=said(WHOLE, **{"gradients/0": right})))
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.NOT_COMPARED, 3, Stage.GRADIENT)
    assert "at step 3 gradient" in judged.reason
    assert "gradients/0" in judged.reason


def test_two_backends_that_disagree_with_everybody_are_no_majority():
    ways = {name: said(WHOLE, predictions=WHOLE.trace["predictions"] * factor) for name, factor in
            (("torch", 1.01), ("tensorflow", 0.99))}  # fmt: skip
    judged = sole(before_jury(WHOLE, **ways))
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.NOT_COMPARED, 0, Stage.FORWARD)


def test_a_juror_that_stands_alone_is_not_heard_any_more():
    odd = said(WHOLE, predictions=from_step(WHOLE, "predictions", 2, 1.01))
    judged = sole(before_jury(WHOLE, torch=odd, tensorflow=said(WHOLE)))
    assert judged.verdict == Verdict.PEERS_AGREE
    assert "at every step with tensorflow, run again" in judged.reason
    assert "without torch, which is away from this and tensorflow at step 2 forward" in judged.reason


def test_float32_is_compared_with_float64_jurors_and_gets_its_rounding():
    low = replace(WHOLE, trace={n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in WHOLE.trace.items()})
    raw = low.outcome.raw | {"scenario": low.outcome.raw["scenario"] | {"dtype": "float32"}}
    low = replace(low, outcome=Outcome(raw))
    judged = sole(before_jury(low, torch=said(WHOLE), tensorflow=said(WHOLE)))
    assert judged.verdict == Verdict.PEERS_AGREE, judged.reason
    moved = from_step(WHOLE, "gradients/0", 3, 1 + 1e-4)
    judged = sole(
        before_jury(low, torch=said(WHOLE, **{"gradients/0": moved}), tensorflow=said(WHOLE, **{"gradients/0": moved}))
    )
    assert (judged.verdict, judged.step) == (Verdict.LOCAL_FAULT, 3)


def float32_of(name):
    return WHOLE.trace[name].astype(np.float32).astype(float)


def with_predictions(array):
    """The cell with other predictions, and the loss of those."""
    t, cut = WHOLE.trace, WHOLE.trace["offsets"]
    squares = (array - t["y"][t["batch_index"]]) ** 2
    loss = np.array([squares[a:b].mean() for a, b in itertools.pairwise(cut)])
    return another(WHOLE, "jax", predictions=array, loss=loss)


def test_a_cell_whose_numbers_float32_has_leaks():
    low = with_predictions(float32_of("predictions"))
    judged = sole(before_jury(low, torch=said(WHOLE), tensorflow=said(WHOLE)))
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.PRECISION_LEAK, 0, Stage.FORWARD)
    assert "float32 has" in judged.reason


def test_numbers_that_float32_has_are_no_proof_where_those_of_the_others_are_such_too():
    """Halves and integers come out of any computation; and others that part from each other prove nothing."""
    low = with_predictions(float32_of("predictions"))
    simple = said(WHOLE, predictions=np.round(WHOLE.trace["predictions"] * 8) / 8)
    parted = [said(WHOLE, predictions=WHOLE.trace["predictions"] * (1 + sign * 2e-8)) for sign in (1, -1)]
    for jurors in ({"torch": simple}, dict(zip(("torch", "tensorflow"), parted, strict=True))):
        assert sole(before_jury(low, **jurors)).verdict == Verdict.NOT_COMPARED


def test_a_leaking_juror_convicts_nobody():
    leaky = said(WHOLE, predictions=float32_of("predictions"))
    judged = sole(before_jury(WHOLE, torch=leaky, tensorflow=said(WHOLE)))
    assert judged.verdict == Verdict.PEERS_AGREE, judged.reason
    assert "without torch, which has what float32 has at step 0 forward" in judged.reason
    alone = sole(before_jury(WHOLE, torch=leaky))
    assert alone.verdict == Verdict.NOT_COMPARED
    assert "no other backend can stand in" in alone.reason


def test_beside_a_leaking_juror_the_other_is_still_looked_at():
    """At the same place: it is away as well, and that is not forgotten with the first."""
    moved = WHOLE.trace["predictions"].copy()
    moved[: WHOLE.trace["offsets"][1]] *= 1 + 1e-8
    leaky = said(WHOLE, predictions=float32_of("predictions"))
    judged = sole(before_jury(WHOLE, torch=leaky, tensorflow=said(WHOLE, predictions=moved)))
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.NOT_COMPARED, 0, Stage.FORWARD)


@pytest.mark.parametrize("jurors", [("torch",), ("torch", "tensorflow")])
def test_a_difference_of_float32_s_size_between_numbers_of_float64_convicts_nobody(jurors):
    moved = WHOLE.trace["predictions"] * (1 + 1e-8)
    judged = sole(before_jury(WHOLE, **{name: said(WHOLE, predictions=moved) for name in jurors}))
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.NOT_COMPARED, 0, Stage.FORWARD)
    assert "nothing independent says which side computes in it" in judged.reason


def test_the_largest_of_what_jurors_find_counts():
    """One of them may be spared by chance what the others round."""
    calm, moved = said(WHOLE, condition=0.0), said(WHOLE, condition=1e4, predictions=WHOLE.trace["predictions"] + 1e-12)
    assert sole(before_jury(WHOLE, torch=calm, tensorflow=moved)).verdict == Verdict.PEERS_AGREE
    other = said(WHOLE, condition=0.0, predictions=WHOLE.trace["predictions"] + 1e-12)
    assert sole(before_jury(WHOLE, torch=calm, tensorflow=other)).reason.count("nothing independent says which side")


@pytest.mark.parametrize(("condition", "verdict"), [(1e7, Verdict.PEERS_AGREE), (1e3, Verdict.LOCAL_FAULT)])
def test_what_the_cell_s_own_backend_rounds_as_much_is_judged_by_nobody(condition, verdict):
    array = WHOLE.trace["gradients/0"].copy()
    array[4] += 1e-2
    jurors = {name: said(WHOLE, **{"gradients/0": array}) for name in ("torch", "tensorflow")}
    judged = sole(before_jury(WHOLE, **jurors, jax=said(WHOLE, [4], condition * 1e6)))
    assert judged.verdict == verdict, judged.reason
    assert verdict == Verdict.LOCAL_FAULT or f"agree at {STEPS - 1} of {STEPS} steps" in judged.reason
    assert any("jax itself was asked what it rounds at 1 steps" in note for note in judged.annotations)


def test_the_steps_that_are_doubted_are_those_where_a_juror_is_away():
    cell = before_jury(WHOLE, torch=said(WHOLE, predictions=from_step(WHOLE, "predictions", 6, 1.01)))
    assert doubted_steps(replace(cell, trace=cell.recorded)) == [6, 7, 8]


def test_what_a_saturated_function_passes_back_is_known_to_the_rounding_of_what_came_to_it():
    tiny = WHOLE.trace["gradients/0"] * 1e-10
    cell = replace(WHOLE, trace=dict(WHOLE.trace) | {"gradients/0": tiny})
    off = {name: said(WHOLE, condition=0.0, **{"gradients/0": tiny * (1 + 1e-7)}) for name in ("torch", "tensorflow")}
    loaded = before_jury(cell, **off)
    heard = heard_of(replace(loaded, trace=loaded.recorded), ())
    assert all(each.comparisons[Stage.GRADIENT, "gradients/0"].r.max() <= 1 for each in heard)


def test_a_clean_jury_is_believed_against_what_the_peers_say_of_step_0():
    """Their tolerance is a circuit's: of a layer that takes a difference of large numbers it says nothing."""
    apart = with_predictions(WHOLE.trace["predictions"] * (1 + 1e-3))
    others = [another(WHOLE, name) for name in ("torch", "tf")]
    assert judge([apart, *others])["jax"].verdict == Verdict.LOCAL_FAULT
    calm = {name: said(WHOLE, condition=1e12) for name in ("torch", "tensorflow")}
    assert judge([before_jury(apart, **calm), *others])["jax"].verdict == Verdict.PEERS_AGREE


def test_where_the_jury_cannot_say_agreement_at_step_0_stands():
    blind = before_jury(WHOLE, torch=said(WHOLE, condition=1e15))
    judged = judge([blind, another(WHOLE, "torch")])["m"]
    assert judged.verdict == Verdict.PEERS_AGREE
    assert "at step 0, after which" in judged.reason


def test_where_the_jury_has_no_majority_a_fault_that_peers_find_stands():
    apart = with_predictions(WHOLE.trace["predictions"] * (1 + 1e-3))
    others = [another(WHOLE, name) for name in ("torch", "tf")]
    assert judge([before_jury(apart, torch=said(WHOLE)), *others])["jax"].verdict == Verdict.LOCAL_FAULT


def test_a_backend_whose_own_cell_is_certainly_wrong_is_no_juror():
    wrong = another(hybrid("outputs"), "torch")
    cell = before_jury(WHOLE, torch=said(WHOLE), tensorflow=said(WHOLE))
    judged = judge([cell, wrong])["m"]
    assert judged.verdict == Verdict.PEERS_AGREE
    assert "with tensorflow, run again" in judged.reason
    assert "without torch, whose own cells are wrong" in judged.reason
    assert judge([before_jury(WHOLE, torch=said(WHOLE)), wrong])["m"].verdict == Verdict.NOT_COMPARED


def test_where_everything_moves_too_much_agreement_does_not_count():
    judged = sole(before_jury(WHOLE, torch=said(WHOLE, condition=1e15), tensorflow=said(WHOLE, condition=1e15)))
    assert judged.verdict == Verdict.NOT_COMPARED
    undefined = sole(before_jury(WHOLE, torch=said(WHOLE, condition=np.nan)))
    assert undefined.verdict == Verdict.NOT_COMPARED


def test_without_a_word_of_a_jury_step_0_is_compared_as_ever():
    other = another(WHOLE, "torch")
    plain = judge([WHOLE, other])
    assert "at step 0" in plain["m"].reason
    refused = replace(WHOLE, outcome=Outcome(WHOLE.outcome.raw | {"jury": {"torch": {"reason": "it took too long"}}}))
    judged = judge([refused, other])["m"]
    assert (judged.verdict, judged.reason) == (plain["m"].verdict, plain["m"].reason)
    assert any("no word of torch" in note for note in judged.annotations)


@pytest.mark.parametrize("name", ["predictions", "gradients/0", "steps"])
def test_a_testimony_that_cannot_be_read_costs_one_cell(name):
    good = said(WHOLE)
    odd = before_jury(WHOLE, torch={n: a for n, a in good.items() if n != name})
    judged = judge([odd, another(WHOLE, "torch")])
    assert judged["m"].verdict == Verdict.NOT_COMPARED
    assert judged["torch"].verdict == Verdict.PEERS_AGREE


def test_a_state_that_moves_is_compared():
    state = np.linspace(0, 1, STEPS + 1)[:, None] * np.ones(3)
    cell = replace(WHOLE, trace=dict(WHOLE.trace) | {"state/0": state})
    more = {"state/0": state[1:], "state_condition/0": np.ones(STEPS)}
    assert sole(before_jury(cell, torch=said(WHOLE, **more))).verdict == Verdict.PEERS_AGREE
    assert sole(before_jury(cell, torch=said(WHOLE))).verdict == Verdict.NOT_COMPARED
    late = more | {"state/0": np.where(np.arange(STEPS)[:, None] >= 4, state[1:] + 1e-3, state[1:])}
    judged = sole(before_jury(cell, torch=said(WHOLE, **late), tensorflow=said(WHOLE, **late)))
    assert (judged.verdict, judged.stage, judged.step) == (Verdict.LOCAL_FAULT, Stage.UPDATE, 4)


@given(
    seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(sorted(U)), jurors=st.integers(1, 2),
    share=st.floats(0, 1), where=st.sets(st.integers(0, STEPS - 1), min_size=1),
)  # fmt: skip
def test_a_clean_jury_never_accuses(seed, dtype, jurors, share, where):
    """Whatever rounding does to either side, within what everything's disturbance says it may do."""
    rng, u = np.random.default_rng(seed), U[dtype]
    condition = float(10 ** rng.uniform(-3, 3))

    def rounded(array, most):
        return array + share * most * (condition + np.abs(array)) * rng.uniform(-1, 1, array.shape)

    names = ("predictions", "gradients/0")
    cell = replace(WHOLE, trace=dict(WHOLE.trace) | {n: rounded(WHOLE.trace[n], 8 * u) for n in names})
    raw = cell.outcome.raw | {"scenario": cell.outcome.raw["scenario"] | {"dtype": dtype}}
    cell = replace(cell, outcome=Outcome(raw))
    told = [
        said(WHOLE, sorted(where), condition, **{n: rounded(WHOLE.trace[n], 8 * 2.0**-53) for n in names})
        for _ in range(jurors)
    ]
    cell = before_jury(cell, **dict(zip(("torch", "tensorflow"), told, strict=False)))
    loaded = replace(cell, trace=cell.recorded)
    unjudged = [(Stage.FORWARD, "predictions"), (Stage.GRADIENT, "gradients/0")]
    blame = blame_by_jury(loaded, unjudged, "why", heard_of(loaded, ()))
    assert blame.verdict == Verdict.PEERS_AGREE, blame.reason
    assert (f"{len(where)} of {STEPS} steps" in blame.reason) == (len(where) < STEPS)
