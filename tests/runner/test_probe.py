"""What an expectations file says of the matrix: a fault that is known is marked as such, one that has gone is not."""

import datetime

import pytest

from qparity.parity import Judgement, Verdict
from qparity.parity.expectation import Expectation
from qparity.records import Outcome
from qparity.runner.probe import Combination, nothing_known, probed
from qparity.summary.doctor import mark, matrix_text
from qparity.summary.gate import Gate

CELL = Combination("lightning.qubit", "adjoint", "torch")
FAILED = Outcome({"id": "a", "variant": "torch", "status": "failed", "reason": "No gradient defined for it"})
RIGHT = Outcome({"id": "a", "variant": "torch", "status": "ok"})


def known(**of):
    entry = Expectation("lightning.qubit-*", "reported upstream", datetime.date(9999, 1, 1), **of)
    return Gate((entry,)).of


def test_what_ends_as_known_is_marked_and_says_why():
    found = probed(CELL, FAILED, None, {}, known(status="failed", message="No gradient"))
    assert (mark(found), found.known) == ("≈", "reported upstream")
    assert "No gradient defined for it (known: reported upstream)" in matrix_text([found])
    assert found.to_dict()["known"] == "reported upstream"


@pytest.mark.parametrize(
    ("expected", "outcome", "sign"),
    [
        (nothing_known, FAILED, "✗"),
        (known(status="failed", message="something else"), FAILED, "✗"),
        (known(verdict=Verdict.LOCAL_FAULT), FAILED, "✗"),
        (known(status="failed", message="No gradient", variant="jax"), FAILED, "✗"),
    ],
)
def test_what_ends_otherwise_is_as_bad_as_without_the_file(expected, outcome, sign):
    found = probed(CELL, outcome, None, {}, expected)
    assert (mark(found), found.known) == (sign, None)


def test_a_fault_that_has_gone_is_said_to_have_gone():
    judged = Judgement(verdict=Verdict.ROUNDING, reason="within rounding")
    found = probed(CELL, RIGHT, judged, {}, known(verdict=Verdict.LOCAL_FAULT))
    assert (mark(found), found.known) == ("✗", None)
    assert "ROUNDING: within rounding (the fault has gone, remove the expectation" in matrix_text([found])
