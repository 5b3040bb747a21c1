"""The circuit that is judged must not be what the accused says it is."""

import copy
import re
from dataclasses import replace

import pytest

from qparity.parity import Stage, Verdict, judge
from qparity.parity.circuits import difference
from qparity.records import Outcome, Program, read

from .fake import Setting, observe, program

PROGRAM = program(Setting())


def spoilt(how: str) -> dict:
    other = copy.deepcopy(PROGRAM)
    if how == "angle":
        other["gates"][0]["params"][0]["inputs"][0][1] = 1.1
    elif how == "sign":
        other["gates"][1]["params"][0]["weights"][0][1] = -1.0
    elif how == "wires":
        other["gates"][0]["wires"] = [1]
    elif how == "axis":
        other["gates"][0]["name"] = "RY"
    elif how == "missing gate":
        other["gates"].pop()
    elif how == "measured wire":
        other["measurements"].reverse()
    elif how == "random":
        other |= {"gates": [], "measurements": [], "not_covered": "the quantum function draws random numbers"}
    return other


HOW = ["angle", "sign", "wires", "axis", "missing gate", "measured wire", "random"]


def cell(variant: str, mine: dict = PROGRAM, reference: dict | None = PROGRAM, fault: str = ""):
    o = observe(Setting(variant=variant, fault=fault))
    resolved = o.outcome.raw["resolved"] | {"bare": True, "quantum_layers": [{"name": "quantum", "program": mine}]}
    said = {"reference": {"programs": [reference]}} if reference else {}
    return replace(o, outcome=Outcome(o.outcome.raw | {"resolved": resolved} | said), program=read(Program, mine))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("culprit", ["tf", "torch", "jax"])
def test_the_odd_one_out_is_named_with_its_gate(how, culprit):
    block = [cell(name, spoilt(how) if name == culprit else PROGRAM) for name in ("tf", "torch", "jax")]
    judged = judge(block)
    assert (judged[culprit].verdict, judged[culprit].stage) == (Verdict.SETUP_FAULT, Stage.SETUP)
    assert judged[culprit].tensor == "circuit"
    assert {judged[o.cell].verdict for o in block if o.cell != culprit} == {Verdict.ROUNDING}
    if how == "angle":
        assert re.search(r"gate 0\b.*\bRX\b.*\b1\.1 x0\b.*\b1 x0", judged[culprit].reason)


@pytest.mark.parametrize("how", HOW)
def test_alone_with_the_reference_nobody_is_blamed_and_nobody_passes(how):
    judged = judge([cell("jax-jit", spoilt(how))])["jax-jit"]
    assert judged.verdict == Verdict.NOT_COMPARED


@pytest.mark.parametrize("order", [("torch", "jax-jit"), ("jax-jit", "torch")])
def test_the_order_of_variants_does_not_choose_the_truth(order):
    judged = judge([cell(name, spoilt("angle") if name == "jax-jit" else PROGRAM) for name in order])
    assert (judged["jax-jit"].verdict, judged["torch"].verdict) == (Verdict.SETUP_FAULT, Verdict.ROUNDING)
    without = judge([cell(name, spoilt("angle") if name == "jax-jit" else PROGRAM, None) for name in order])
    assert {j.verdict for j in without.values()} == {Verdict.NOT_COMPARED}


def test_two_variants_of_one_backend_are_one_witness():
    block = [cell("torch"), cell("jax", spoilt("sign")), cell("jax-jit", spoilt("sign"))]
    judged = judge(block)
    assert judged["torch"].verdict == Verdict.ROUNDING  # with the reference: two of three
    assert {judged[name].verdict for name in ("jax", "jax-jit")} == {Verdict.SETUP_FAULT}


def test_a_wrong_reading_by_the_reference_accuses_nobody():
    block = [cell(name, reference=spoilt("angle")) for name in ("torch", "jax")]
    assert {j.verdict for j in judge(block).values()} == {Verdict.ROUNDING}


def test_a_circuit_that_the_reference_could_not_read_is_not_judged_by_its_own_word():
    o = cell("torch", reference=None)
    o = replace(
        o, outcome=Outcome(o.outcome.raw | {"reference": {"reason": "ModuleNotFoundError: No module named 'x'"}})
    )
    judged = judge([o])["torch"]
    assert judged.verdict == Verdict.NOT_COMPARED
    assert "torch" in judged.reason
    two = judge(
        [o, replace(cell("tf", reference=None), outcome=Outcome(o.outcome.raw | {"id": "tf", "variant": "tf"}))]
    )
    assert {j.verdict for j in two.values()} == {Verdict.ROUNDING}


def test_a_coefficient_read_with_another_last_bit_is_the_same():
    other = copy.deepcopy(PROGRAM)
    other["gates"][0]["params"][0]["inputs"][0][1] = 1 + 2e-16
    assert {j.verdict for j in judge([cell("tf"), cell("jax", other)]).values()} == {Verdict.ROUNDING}


def test_an_entropy_of_other_wires_is_another_circuit():
    mine, other = copy.deepcopy(PROGRAM), copy.deepcopy(PROGRAM)
    mine["measurements"] = [{"kind": "entropy", "parts": [[1, [0]]]}]
    for parts, base in (([[1, [1]]], None), ([[1, [0]]], 2)):
        other["measurements"] = [{"kind": "entropy", "parts": parts} | ({"base": base} if base else {})]
        assert difference((read(Program, mine),), (read(Program, other),)) == "it measures something else"
    assert difference((read(Program, mine),), (read(Program, mine),)) is None
