"""Rows of a matrix that differ in device and method alone: witnesses of each other where nobody independent judges."""

from dataclasses import replace

import numpy as np
import pytest

from qparity.parity import Stage, Verdict, compare_methods, judge
from qparity.parity.methods import NOTHING
from qparity.records import Outcome, Program

from .fake import Setting, observe

WAYS = {
    "backprop": ("default.qubit", "backprop"),
    "shift": ("default.qubit", "parameter-shift"),
    "adjoint": ("default.qubit", "adjoint"),
    "lightning": ("lightning.qubit", "adjoint"),
    "lightning-shift": ("lightning.qubit", "parameter-shift"),
    "mixed": ("default.mixed", "backprop"),
    "differences": ("default.qubit", "finite-diff"),
}


def row(name, setting=Setting(), covered=False):  # noqa: B008
    """A cell of the scenario of this name, which the oracle does not cover unless asked."""
    device, method = WAYS[name]
    o = observe(replace(setting, epochs=1))
    raw = o.outcome.raw
    scenario = {**raw["scenario"], "name": name, "device": device, "diff_method": method, "judge": ["methods"]}
    told = {**raw, "id": f"{name}/{o.variant}", "scenario": scenario, "resolved": {"diff_method": method}}
    program = o.program if covered else Program(not_covered="entropy")
    return replace(o, outcome=Outcome(told), program=program)


def compared(*blocks):
    """The judgements of blocks, each a list of cells of one row: by name of the row, of one variant."""
    judged = {}
    for block in blocks:
        judged |= judge(block)
    return compare_methods([o for block in blocks for o in block], judged)


def rows(*names, wrong=(), fault="gradient x2", **settings):
    """One variant of each row; those of `wrong` have the fault. Judgements by row."""
    blocks = [[row(n, Setting(fault=fault if n in wrong else "", **settings))] for n in names]
    return {cell.partition("/")[0]: j for cell, j in compared(*blocks).items()}


@pytest.mark.parametrize("culprit", ["backprop", "shift", "adjoint"])
def test_the_odd_method_of_three_is_named(culprit):
    found = rows("backprop", "shift", "adjoint", wrong=[culprit])
    odd = found.pop(culprit)
    assert (odd.verdict, odd.stage, odd.step) == (Verdict.LOCAL_FAULT, Stage.GRADIENT, 0)
    assert all(name in odd.reason for name in found)
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}  # agreement acquits nobody
    assert all(f"{culprit} (" in j.annotations[-1] and "LOCAL-FAULT" in j.annotations[-1] for j in found.values())


def test_two_that_differ_convict_nobody():
    found = rows("backprop", "adjoint", wrong=["adjoint"])
    assert {(j.verdict, j.stage) for j in found.values()} == {(Verdict.NOT_COMPARED, Stage.GRADIENT)}
    assert all("without a majority" in j.reason for j in found.values())
    assert all("apart" in j.annotations[-1] for j in found.values())


def test_backends_that_agree_in_one_row_are_no_pass_where_the_rows_part():
    """Every backend has the same wrong adjoint: within its block that agrees, and is no pass beside another method."""
    adjoint = [row("adjoint", Setting(fault="gradient x2", variant=v)) for v in ("torch", "tf")]
    backprop = [row("backprop", Setting(variant=v)) for v in ("torch", "tf")]
    assert {j.verdict for j in judge(adjoint).values()} == {Verdict.PEERS_AGREE}
    found = compared(adjoint, backprop)
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}
    assert all("independent" in j.reason and "apart" in j.reason for j in found.values())
    shift = [row("shift", Setting(variant=v)) for v in ("torch", "tf")]
    found = compared(adjoint, backprop, shift)
    assert {found[o.cell].verdict for o in adjoint} == {Verdict.LOCAL_FAULT}
    assert {found[o.cell].verdict for o in [*backprop, *shift]} == {Verdict.PEERS_AGREE}


def test_one_method_on_two_devices_is_one_witness_of_gradients():
    """PennyLane's shift rule is the same code on both: wrong twice, it outvotes nobody."""
    found = rows("shift", "lightning-shift", "backprop", wrong=["shift", "lightning-shift"])
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}


def test_adjoint_is_each_devices_own():
    found = rows("adjoint", "lightning", "backprop", wrong=["backprop"])
    assert found["backprop"].verdict == Verdict.LOCAL_FAULT


def test_methods_of_one_device_are_one_witness_of_predictions():
    """A device that predicts wrongly does so with every method: three of its rows convict no other device."""
    names = ("backprop", "shift", "adjoint")
    found = rows(*names, "mixed", wrong=names, fault="wrong wire")
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}
    found = rows("backprop", "shift", "lightning", "mixed", wrong=["mixed"], fault="wrong wire")
    assert (found["mixed"].verdict, found["mixed"].stage) == (Verdict.LOCAL_FAULT, Stage.FORWARD)


def test_differences_that_allow_any_gradient_support_nobody():
    """In float32 finite differences have no digits left: they agree with right and wrong alike."""
    found = rows("backprop", "adjoint", "differences", wrong=["adjoint"], dtype="float32")
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}
    found = rows("backprop", "adjoint", "differences", wrong=["adjoint"])
    assert found["adjoint"].verdict == Verdict.LOCAL_FAULT


def test_where_the_oracle_covers_a_cell_its_verdict_stands():
    right, wrong = row("shift", covered=True), row("adjoint", Setting(fault="gradient x2"), covered=True)
    found = compared([right], [wrong])
    assert found[right.cell].verdict == Verdict.ROUNDING
    assert found[wrong.cell].verdict == Verdict.LOCAL_FAULT
    assert found[wrong.cell].got is not None
    assert "apart in gradients/" in found[right.cell].annotations[-1]
    alike = compared([right], [row("adjoint", covered=True)])
    assert all(j.annotations[-1].startswith("at step 0 agrees with") for j in alike.values())


@pytest.mark.parametrize(("share", "said"), [(0.9, "agrees with"), (100, "apart in predictions")])
def test_what_each_may_be_off_they_may_be_apart(share, said):
    """Predictions that are off to either side, each with the loss and the gradient that belong to them."""
    cells = [row("shift", Setting(lucky=True), covered=True), row("adjoint", Setting(lucky=True), covered=True)]
    allowed = judge(cells[:1])[cells[0].cell].first_tolerances[Stage.FORWARD, "predictions"]
    assert allowed.shape == (4, 2)
    moved = []
    for o, sign in zip(cells, (1, -1), strict=True):
        trace = dict(o.recorded) | {name: o.recorded[name].copy() for name in ("predictions", "loss")}
        trace["predictions"][:4] += sign * share * allowed
        trace["loss"][0] = ((trace["predictions"][:4] - trace["y"][trace["batch_index"][:4]]) ** 2).mean()
        moved.append([replace(o, trace=trace)])
    found = compared(*moved)
    assert all(said in j.annotations[-1] for j in found.values())


def test_cells_of_another_start_are_not_compared():
    found = compared([row("backprop")], [row("adjoint", Setting(seed=1, fault="gradient x2"))])
    assert all("another start" in j.annotations[-1] for j in found.values())
    assert all("apart" not in j.reason for j in found.values())


def test_a_row_alone_says_that_it_had_no_other():
    other = row("adjoint")
    failed = replace(other, outcome=Outcome({**other.outcome.raw, "status": "failed", "reason": "no"}), trace=None)
    ((_, judged),) = compared([row("backprop")], [failed]).items()
    assert judged.annotations[-1] == NOTHING


def test_variants_are_compared_each_by_itself():
    """On torch the adjoint is wrong, on tf it is right."""
    blocks = [
        [
            row(n, Setting(variant=v, fault="gradient x2" if (n, v) == ("adjoint", "torch") else ""))
            for v in ("torch", "tf")
        ]
        for n in ("backprop", "shift", "adjoint")
    ]
    found = compared(*blocks)
    assert found["adjoint/torch"].verdict == Verdict.LOCAL_FAULT
    assert found["adjoint/tf"].verdict != Verdict.LOCAL_FAULT
    assert "agrees with" in found["adjoint/tf"].annotations[-1]


def test_a_wide_tolerance_that_agrees_with_both_sides_is_no_majority():
    """Differences see a gradient to 7 digits: between two exact methods that part in the tenth nobody decides."""
    wrong = row("adjoint")
    trace = dict(wrong.recorded) | {"gradients/0": wrong.recorded["gradients/0"] * (1 + 1e-10)}
    found = compared([row("backprop")], [row("differences")], [replace(wrong, trace=trace)])
    assert {j.verdict for j in found.values()} == {Verdict.NOT_COMPARED}
    assert np.all(trace["gradients/0"][0] != wrong.recorded["gradients/0"][0])
