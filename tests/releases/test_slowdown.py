"""A change of speed, from simulated ratios: above, below, and intervals that hold the factor."""

from dataclasses import replace

import pytest

from qparity.releases import told, told_speed
from qparity.releases.evaluation import Evaluation, Pace
from qparity.releases.search import Answer
from qparity.releases.slowdown import faster, find_change_of_speed, slower

ABSENT = Evaluation("", ran=False, status="not installed", reason="no wheel")


def timed(ratio: float, low: float, high: float) -> Evaluation:
    versions = {"planted": "0", "numpy": "2"}
    return Evaluation("", versions=versions, python="3", pace=Pace(ratio, low, high, 0.1, 0.1, 12, (), versions))


SAME, SLOW, QUICK = timed(1.0, 0.97, 1.03), timed(3.0, 2.8, 3.2), timed(0.4, 0.38, 0.42)
UNSURE = timed(1.3, 1.1, 1.5)
"""It holds 1.3."""


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((1.31, 1.4), Answer.NEW),
        ((1.2, 1.29), Answer.OLD),
        ((0.5, 0.6), Answer.OLD),
        ((1.2, 1.4), Answer.UNKNOWN),
        ((1.3, 1.4), Answer.UNKNOWN),
        ((1.2, 1.3), Answer.UNKNOWN),
    ],
)
def test_slower_is_an_interval_wholly_above_the_factor(interval, said):
    low, high = interval
    assert slower(timed((low + high) / 2, low, high), 1.3) is said
    assert faster(timed(2 / (low + high), 1 / high, 1 / low), 1.3) is said, "the other direction is its mirror image"


def test_what_was_not_timed_cannot_say():
    assert slower(ABSENT, 1.3) is faster(ABSENT, 1.3) is Answer.UNKNOWN


class Bench:
    """Ratios as they were told, in place of rounds: of the releases 2, 3, ... beside 1."""

    package, good = "planted", "1"

    def __init__(self, *evaluations: Evaluation) -> None:
        self.all = {str(n): replace(each, release=str(n)) for n, each in enumerate(evaluations, 2)}
        self.made: list[Evaluation] = []

    def evaluate(self, release: str) -> Evaluation:
        if self.all[release] not in self.made:
            self.made.append(self.all[release])
        return self.all[release]


def looked_for(*evaluations: Evaluation, factor: float = 1.3):
    bench = Bench(*evaluations)
    return find_change_of_speed(bench, ["1", *bench.all], factor, lambda *_: None)


def sides(found) -> tuple[str | None, str | None, list[str]]:
    old, new = (each.release if each else None for each in (found.old, found.new))
    return old, new, [each.release for each in found.between]


def test_the_seventh_of_ten_takes_four_evaluations():
    found = looked_for(*[SAME] * 5, *[SLOW] * 4)
    assert (sides(found), found.exit_code) == (("6", "7", []), 0)
    assert len(found.evaluations) == 4
    assert found.sentence == (
        "A step with planted 7 takes 3.00x (2.80 to 3.20) the time with 1, and with 6 1.00x (0.970 to 1.03): "
        "no release lies between them."
    )


@pytest.mark.parametrize("odd", [UNSURE, ABSENT])
def test_a_release_that_cannot_say_is_passed_over_and_named(odd):
    found = looked_for(SAME, SAME, odd, SLOW, SLOW)
    assert (sides(found), found.exit_code) == (("3", "5", ["4"]), 0)
    assert "what lies between them cannot say (4)" in found.sentence
    text = told_speed.issue(found, "a cell", "qparity bisect x")
    assert "since one of 4, 5" in text
    assert "4 cannot say" in text
    assert any((odd.reason or odd.said) in line for line in told.lines(found))


def test_the_second_of_all_is_measured_beside_the_good_one_which_is_a_side_itself():
    found = looked_for(SLOW, SLOW, SLOW)
    assert (sides(found), found.exit_code) == (("1", "2", []), 0)
    assert told.also_changed(found) == [], "what was recorded of the good one is compared"
    assert "times with 1" not in told_speed.issue(found, "a cell", "qparity bisect x")


def test_a_speed_up_is_looked_for_where_the_newest_is_faster():
    found = looked_for(SAME, SLOW, QUICK, QUICK)
    assert (sides(found), found.exit_code) == (("3", "4", []), 0)
    assert "faster by more than 1.3 since 4" in told_speed.issue(found, "a cell", "qparity bisect x")


def test_what_does_not_change_and_what_nobody_can_say_end_it():
    assert looked_for(SLOW, SAME).exit_code == 1
    for odd in (UNSURE, ABSENT, timed(0.8, 0.7, 0.9)):  # the last one holds 1/1.3
        assert looked_for(SLOW, odd).exit_code == 3
    assert "no wheel" in looked_for(SLOW, ABSENT).sentence
