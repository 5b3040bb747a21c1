"""How many leading bits are right: the number that the matrix shows, and where there is none."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from qparity.parity import Stage, judge
from qparity.parity.audit import audit
from qparity.parity.comparison import compare, series
from qparity.records import Outcome, Program

from .fake import Setting, observe, variants

CIRCUIT = (Stage.FORWARD, Stage.GRADIENT)


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 53), ("float32", 24)])
def test_they_are_the_fewest_of_all_entries_and_steps_at_the_scale_of_what_is_added_up(dtype, digits):
    seen = observe(Setting(dtype=dtype))
    judged = judge([seen])["torch"]
    assert judged.digits == digits
    for stage in (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT, Stage.UPDATE):
        worst = max(
            float(abs(got - expected) / scale)
            for c in audit(seen).comparisons
            if c.stage == stage
            for got, expected, scale in zip(c.got.flat, c.expected.flat, c.scale.flat, strict=True)
        )
        assert judged.right_bits[stage] == math.floor(min(-math.log2(worst), digits)), stage
    assert all(digits - 8 <= judged.right_bits[stage] <= digits for stage in CIRCUIT)


@pytest.mark.parametrize(
    ("fault", "stage", "low", "high"),
    [("float32 forward", Stage.FORWARD, 23, 28), ("float32 gradient", Stage.GRADIENT, 23, 32),
     ("sign flip", Stage.GRADIENT, 0, 6)],
)  # fmt: skip
def test_a_fault_costs_the_bits_of_its_stage_alone(fault, stage, low, high):
    bits = judge([observe(Setting(fault=fault, at=3))])["torch"].right_bits
    assert low <= bits[stage] <= high
    assert min(bits, key=bits.get) == stage
    assert all(bits[other] >= 44 for other in CIRCUIT if other != stage)


def test_an_entry_near_zero_loses_nothing_to_its_own_size():
    """Samples cancel to 1e-18 of what was added up, and rounding has left 1e-17: right, though not one digit is."""
    got, expected = np.array([[1e-17, 1.0]]), np.array([[1e-18, 1.0]])
    c = compare(Stage.GRADIENT, "g", got, expected, (np.full((1, 2), 1e-15), None), np.ones((1, 2)), np.arange(1))
    assert c.fewest_bits == pytest.approx([-math.log2(9e-18)])
    assert series([c], 1).effective_bits[0] > 53


def test_an_exact_stage_has_all_bits_and_one_that_is_no_number_none():
    values = np.array([[0.5], [0.25]])
    for got, bits in ((values, 64), (np.full((2, 1), np.nan), 0)):
        c = compare(Stage.LOSS, "loss", got, values, (values, None), values, np.arange(2))
        assert c.fewest_bits.tolist() == [bits, bits]


def test_of_what_nobody_independent_judged_no_bits_are_claimed():
    block = [replace(o, program=Program(not_covered="QubitUnitary")) for o in variants(Setting(), "tf", "torch")]
    for judged in judge(block).values():
        assert judged.right_bits.keys() == {Stage.LOSS, Stage.UPDATE}
    sampled = observe(Setting())
    scenario = {**sampled.outcome.raw["scenario"], "shots": 1000, "diff_method": "parameter-shift"}
    sampled = replace(sampled, outcome=Outcome(sampled.outcome.raw | {"scenario": scenario}))
    assert judge([sampled])["torch"].right_bits == {}


def test_a_coarser_layer_leaves_fewer_bits_that_could_be():
    o = observe(Setting(dtype="float32"))
    resolved = {**o.outcome.raw["resolved"], "precision": "bfloat16"}
    judged = judge([replace(o, outcome=Outcome(o.outcome.raw | {"resolved": resolved}))])["torch"]
    assert judged.digits == 8
    assert max(judged.right_bits.values()) == 8


def test_the_reason_has_the_same_bits_as_the_matrix_and_no_residual_over_tolerance():
    passed = judge([observe(Setting())])["torch"]
    fewest = min(passed.right_bits[stage] for stage in (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT))
    assert passed.reason.endswith(
        f"; {fewest} of 53 leading bits of predictions, loss and gradients are right at worst"
    )
    wrong = judge([observe(Setting(fault="float32 gradient", at=3))])["torch"]
    assert wrong.reason.endswith(f"; {wrong.right_bits[Stage.GRADIENT]} of 53 leading bits are right at worst")
    assert f"expected {wrong.expected:.6g}"[:14] in wrong.reason
    for judged in (passed, wrong):
        assert judged.r is not None
        assert "r = " not in judged.reason


def test_the_reason_has_no_bits_where_not_all_was_judged():
    (judged, *_) = judge([replace(observe(Setting()), program=Program(not_covered="QubitUnitary"))]).values()
    assert "bits" not in judged.reason


def test_got_and_expected_have_no_more_digits_than_tell_them_apart():
    wrong = judge([observe(Setting(fault="float32 forward", at=3))])["torch"]
    got, expected = re.search(r"got (\S+), expected (\S+);", wrong.reason).groups()
    assert got[:-1] != expected[:-1]
    assert max(len(got), len(expected)) <= len("-0.123456789012")
