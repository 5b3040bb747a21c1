"""Where nothing independent judges, other backends do, as far as that goes; and it is said that they did."""

from dataclasses import replace

import numpy as np
import pytest

from qparity.parity import Stage, Verdict, judge
from qparity.parity.peers import blame_by_peers
from qparity.records import Outcome, Program

from .fake import Setting, observe, variants

NAMES = ["tf", "torch", "jax"]


def uncovered(block):
    return [replace(o, program=Program(not_covered="the oracle does not cover QubitUnitary")) for o in block]


@pytest.mark.parametrize("culprit", [0, 1, 2])
@pytest.mark.parametrize(("fault", "stage"), [("gradient x2", Stage.GRADIENT), ("wrong wire", Stage.FORWARD)])
def test_majority_names_the_odd_one_out(culprit, fault, stage):
    block = variants(Setting(), *NAMES)
    block[culprit] = observe(Setting(variant=NAMES[culprit], fault=fault, at=3))
    judged = list(judge(uncovered(block)).values())
    assert (judged[culprit].verdict, judged[culprit].stage) == (Verdict.LOCAL_FAULT, stage)
    assert judged[culprit].step == 3
    others = [j for k, j in enumerate(judged) if k != culprit]
    assert {j.verdict for j in others} == {Verdict.PEERS_AGREE}
    assert all("QubitUnitary" in " ".join(j.annotations) for j in judged)


def test_optimizer_and_loss_are_still_judged_by_the_reference():
    for fault, stage in (("lr + 1e-4", Stage.UPDATE), ("sum for mean", Stage.LOSS)):
        judged = judge(uncovered([observe(Setting(fault=fault, at=3))]))["torch"]
        assert (judged.verdict, judged.step, judged.stage) == (Verdict.LOCAL_FAULT, 3, stage)


def test_two_backends_that_agree_are_peers_and_no_judge():
    for judged in judge(uncovered(variants(Setting(), "tf", "jax"))).values():
        assert judged.verdict == Verdict.PEERS_AGREE
        assert "QubitUnitary" in judged.reason


def test_two_backends_that_disagree_are_no_majority():
    block = [observe(Setting(variant="tf")), observe(Setting(variant="jax", fault="wrong wire", at=1))]
    for judged in judge(uncovered(block)).values():
        assert judged.verdict == Verdict.NOT_COMPARED
        assert "tf and jax" in judged.reason


def test_variants_of_one_backend_are_one_witness():
    """jax and jax-jit share their code: they do not outvote torch, nor support each other."""
    wrong = [observe(Setting(variant=name, fault="wrong wire", at=1)) for name in ("jax", "jax-jit")]
    judged = judge(uncovered([observe(Setting(variant="torch")), *wrong]))
    assert {j.verdict for j in judged.values()} == {Verdict.NOT_COMPARED}
    alone = judge(uncovered(wrong))
    assert {j.verdict for j in alone.values()} == {Verdict.NOT_COMPARED}
    assert "no other backend" in alone["jax"].reason


def test_a_leak_of_the_majority_does_not_accuse_the_precise_one():
    """Two backends that compute in float32 agree; the third is 29 bits better, and must not be blamed for it."""
    block = [observe(Setting(variant=name, fault="float32 forward", at=0)) for name in ("torch", "jax")]
    judged = judge(uncovered([observe(Setting(variant="tf")), *block]))
    assert judged["tf"].verdict == Verdict.NOT_COMPARED
    assert {judged[name].verdict for name in ("torch", "jax")} == {Verdict.PRECISION_LEAK}


@pytest.mark.parametrize(("fault", "stage"), [("float32 forward", Stage.FORWARD), ("float32 gradient", Stage.GRADIENT)])
def test_of_two_backends_the_one_whose_numbers_float32_has_leaks(fault, stage):
    leaky = observe(Setting(variant="torch", fault=fault, at=0))
    judged = judge(uncovered([observe(Setting(variant="tf")), leaky]))
    assert (judged["torch"].verdict, judged["torch"].step) == (Verdict.PRECISION_LEAK, 0)
    assert judged["torch"].stage == stage
    assert judged["torch"].reason.count("float32 has") == 1
    assert judged["tf"].verdict == Verdict.NOT_COMPARED


@pytest.mark.parametrize("numbers", ["too far", "simple", "both", "single precision"])
def test_numbers_that_float32_has_are_no_proof_by_themselves(numbers):
    dtype = "float32" if numbers == "single precision" else "float64"
    sides = [observe(Setting(variant=name, dtype=dtype)) for name in ("tf", "torch")]
    changed = []
    for o, moved in zip(sides, (0.0, 1e-3 if numbers in ("too far", "single precision") else 1e-8), strict=True):
        trace = {name: array.copy() for name, array in o.trace.items()}
        if numbers == "simple":
            trace["predictions"] = np.full_like(trace["predictions"], 0.5) + moved
        else:
            trace["predictions"] = trace["predictions"] + moved
            if numbers == "both" or (numbers == "too far" and moved):
                trace["predictions"] = trace["predictions"].astype(np.float32).astype(dtype)
        changed.append(replace(o, trace=type(o.trace)(trace)))
    told = blame_by_peers(changed, {o.cell: [(Stage.FORWARD, "predictions")] for o in changed}, {})
    assert {blame.verdict for blame in told.values()} == {Verdict.NOT_COMPARED}


def test_three_opinions_are_no_majority():
    block = [
        observe(Setting(variant="tf")),
        observe(Setting(variant="torch", fault="wrong wire", at=1)),
        observe(Setting(variant="jax", fault="reversed CNOT", at=1)),
    ]
    judged = judge(uncovered(block))
    assert {j.verdict for j in judged.values()} == {Verdict.NOT_COMPARED}
    assert "without a majority" in judged["tf"].reason


def test_a_float32_variant_among_float64_ones_is_a_leak():
    block = variants(Setting(), *NAMES)
    block[1] = observe(Setting(variant="torch", fault="float32 forward", at=0))
    judged = judge(uncovered(block))["torch"]
    assert (judged.verdict, judged.step, judged.stage) == (Verdict.PRECISION_LEAK, 0, Stage.FORWARD)


def test_drifting_weights_are_not_a_fault():
    """Null gradients under Adam part the weights of correct programs; the pairwise tolerance follows."""
    block = variants(Setting(dtype="float32", epochs=10), *NAMES)
    trace = {name: array.copy() for name, array in block[2].trace.items()}
    other = observe(Setting(dtype="float32", epochs=10, variant="jax", options=(("learning_rate", 0.0301),)))
    names = [n for n in trace if n not in ("learning_rate", "iterations")]
    block[2] = replace(block[2], trace=trace | {n: other.trace[n] for n in names})
    assert np.abs(block[2].trace["weights/0"] - block[0].trace["weights/0"]).max() > 1e-4
    peers = judge(uncovered(block))
    assert peers["jax"].stage == Stage.UPDATE  # the reference optimizer sees the other learning rate
    assert {peers[n].verdict for n in ("tf", "torch")} == {Verdict.PEERS_AGREE}


SAMPLED = {"shots": 100, "diff_method": "best"}


def test_shots_are_compared_exactly_or_not_at_all():
    def sampled(block):
        return [
            replace(o, outcome=Outcome(o.outcome.raw | {"scenario": o.outcome.raw["scenario"] | SAMPLED}))
            for o in block
        ]

    equal = judge(sampled(variants(Setting(), *NAMES)))
    assert {j.verdict for j in equal.values()} == {Verdict.PEERS_AGREE}
    assert "the same samples as torch, jax" in equal["tf"].annotations
    block = variants(Setting(), *NAMES)
    block[0] = observe(Setting(variant="tf", fault="wrong wire", at=2))
    for judged in judge(sampled(block)).values():
        assert judged.verdict == Verdict.NOT_COMPARED
        assert "sampled results differ" in judged.reason


def test_pairs_are_always_reported():
    block = variants(Setting(), *NAMES)
    block[1] = observe(Setting(variant="torch", fault="gradient x2", at=4))
    pairs = judge(block)["tf"].pairs
    assert {p.other for p in pairs} == {"torch", "jax"}
    assert len(pairs) == 8
    gradient = {p.other: p for p in pairs if p.stage == Stage.GRADIENT}
    assert gradient["jax"].difference == 0
    assert gradient["torch"].difference > gradient["torch"].tolerance
    assert gradient["torch"].step == 4


def test_a_variant_that_loses_predictions_is_blamed_and_the_others_are_still_compared():
    block = uncovered(variants(Setting(), *NAMES, "tf-graph"))
    trace = dict(block[3].trace)
    block[3] = replace(block[3], trace=trace | {"predictions": trace["predictions"][::2]})
    judged = judge(block)
    wrong = judged["tf-graph"]
    assert (wrong.verdict, wrong.stage, wrong.step) == (Verdict.LOCAL_FAULT, Stage.FORWARD, 0)
    assert [judged[name].verdict for name in NAMES] == [Verdict.PEERS_AGREE] * 3


@pytest.mark.parametrize("loss", ["mse", "energy"])
def test_lost_predictions_void_no_sibling(loss):
    block = variants(Setting(loss=loss), *NAMES)
    block[2] = replace(block[2], trace=dict(block[2].trace) | {"predictions": block[2].trace["predictions"][::2]})
    judged = judge(block)
    assert (judged["jax"].verdict, judged["jax"].stage) == (Verdict.LOCAL_FAULT, Stage.FORWARD)
    assert {judged[name].verdict for name in ("tf", "torch")} == {Verdict.ROUNDING}


def test_a_trace_that_cannot_be_read_voids_no_sibling():
    block = variants(Setting(), *NAMES)
    block[1] = replace(block[1], trace=dict(block[1].trace) | {"offsets": np.array(["a", "b"])})
    judged = judge(block)
    assert judged["torch"].verdict == Verdict.NOT_COMPARED
    assert {judged[name].verdict for name in ("tf", "jax")} == {Verdict.ROUNDING}


def test_a_weight_that_one_variant_does_not_train_is_missed():
    block = uncovered(variants(Setting(), *NAMES))
    fewer = {name: array for name, array in block[2].trace.items() if not name.endswith("/1")}
    block[2] = replace(block[2], trace=fewer)
    assert {j.verdict for j in judge(block).values()} <= {Verdict.NOT_COMPARED, Verdict.SETUP_FAULT}


def test_a_leak_elsewhere_does_not_stand_for_what_was_not_compared():
    judged = judge(uncovered([observe(Setting(fault="float32 loss", at=0))]))["torch"]
    assert judged.verdict == Verdict.NOT_COMPARED
    assert any("loss is float32" in note for note in judged.annotations) or judged.stages[Stage.LOSS].worst_step == 0
