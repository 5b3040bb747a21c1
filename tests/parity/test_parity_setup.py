"""Setup across variants: all must start from the same numbers, and `fit` must train what was recorded."""

from dataclasses import replace

import numpy as np

from qparity.parity import Stage, Verdict, judge
from qparity.records import Outcome
from qparity.records.outcome import Expected

from .fake import Setting, observe, variants

NAMES = ("tf", "torch", "jax")


def started_elsewhere(variant: str):
    """A correct training from other weights than were sent to the others, of which nothing was sent to it."""
    return replace(observe(Setting(variant=variant, fault="swapped weights")), expected=Expected())


def test_who_starts_from_other_weights_is_named_by_a_majority_of_backends():
    block = [replace(o, expected=Expected()) for o in variants(Setting(), *NAMES)]
    block[1] = started_elsewhere("torch")
    judged = judge(block)
    assert (judged["torch"].verdict, judged["torch"].tensor) == (Verdict.SETUP_FAULT, "weights/0")
    assert "jax, tensorflow" in judged["torch"].reason
    assert {judged[name].verdict for name in ("tf", "jax")} == {Verdict.ROUNDING}


def test_of_two_backends_that_start_apart_neither_is_a_pass():
    judged = judge([replace(observe(Setting(variant="tf")), expected=Expected()), started_elsewhere("jax")])
    assert {j.verdict for j in judged.values()} == {Verdict.SETUP_FAULT}


def test_untrained_variables_are_part_of_the_start():
    block = variants(Setting(), *NAMES)
    state = np.arange(3.0)[None]
    block = [replace(o, trace=dict(o.trace) | {"state/0": state + (o.variant == "jax")}) for o in block]
    judged = judge(block)
    assert (judged["jax"].verdict, judged["jax"].tensor) == (Verdict.SETUP_FAULT, "state/0")
    assert judged["tf"].verdict == Verdict.ROUNDING


def fitted(distance: float, spread: float | None, own: tuple[str, ...] = ()):
    """A correct cell whose `fit` ended `distance` away, where rounding moves the end by `spread`."""
    o = observe(Setting())
    final = {f"final_weights/{k}": o.trace[f"new_weights/{k}"][-1] + distance for k in (0, 1)}
    moved = (
        {} if spread is None else {f"fit_spread/{k}": np.full(final["final_weights/0"].shape, spread) for k in (0, 1)}
    )
    resolved = o.outcome.raw["resolved"] | {"own": list(own)}
    return replace(o, trace=dict(o.trace) | final | moved, outcome=Outcome(o.outcome.raw | {"resolved": resolved}))


def test_a_fit_that_trains_something_else_is_a_setup_fault():
    judged = judge([fitted(0.118, 1e-12)])["torch"]
    assert (judged.verdict, judged.stage) == (Verdict.SETUP_FAULT, Stage.SETUP)
    assert "train_step" not in judged.reason
    own = judge([fitted(0.118, 1e-12, ("train_step",))])["torch"]
    assert "train_step" in own.reason


def test_a_fit_of_the_first_steps_is_compared_with_what_was_recorded_after_them():
    o = observe(Setting())
    after = {f"final_weights/{k}": o.trace[f"new_weights/{k}"][2] for k in (0, 1)}
    spread = {f"fit_spread/{k}": np.full(after[f"final_weights/{k}"].shape, 1e-16) for k in (0, 1)}

    def took(steps):
        raw = o.outcome.raw | {"fit": {"steps": steps}}
        return judge([replace(o, trace=dict(o.trace) | after | spread, outcome=Outcome(raw))])["torch"]

    assert took(3).verdict == Verdict.ROUNDING
    assert (
        f"fit repeated the first 3 of {len(o.trace['loss'])} steps, and ended them with bitwise the audit's weights"
        in (took(3).annotations)
    )
    for wrong in (2, 4, 10**6, None):  # a number from elsewhere makes no pass of another training
        assert (took(wrong).verdict, took(wrong).stage) == (Verdict.SETUP_FAULT, Stage.SETUP), wrong


def test_a_fit_that_rounds_otherwise_is_none():
    for distance, spread in ((0.0, None), (0.0, 0.0), (1e-5, 2e-6), (1e-16, 0.0)):
        assert judge([fitted(distance, spread)])["torch"].verdict == Verdict.ROUNDING
