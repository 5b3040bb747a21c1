"""Which releases are looked at, and what counts as a change."""

from dataclasses import replace
from importlib import metadata

import pytest
from packaging.version import Version

from qparity.environments.errors import EnvironmentProblem
from qparity.releases import told
from qparity.releases.bisect import bisect, candidates
from qparity.releases.evaluation import Evaluation

THERE = [*map(Version, ["2.9", "3.0", "3.1", "3.2", "4.0"])]


@pytest.fixture(autouse=True)
def _supported(monkeypatch):
    monkeypatch.setattr(
        metadata, "requires", lambda _: ["rich>=1", "Planted_Package>=3,<4", "planted-package; extra == 'x'"]
    )


@pytest.mark.parametrize(
    ("good", "bad", "chosen"),
    [
        (None, None, ["3.0", "3.1", "3.2"]),
        ("2.9", None, ["2.9", "3.0", "3.1", "3.2"]),
        ("3.1", "4.0", ["3.1", "3.2", "4.0"]),
    ],
)
def test_ends_are_what_is_supported_unless_they_are_named(good, bad, chosen):
    assert candidates("planted-package", THERE, good, bad) == chosen


def test_a_package_that_qparity_knows_nothing_of_is_taken_whole():
    assert candidates("other", THERE, None, None) == [*map(str, THERE)]


@pytest.mark.parametrize(
    ("good", "bad", "line"),
    [
        ("3.3", None, "--good = '3.3': expected a release of other"),
        (None, "new", "--bad = 'new': expected a release of other"),
        ("3.2", "3.0", "--good = 3.2, --bad = 3.0: expected an older and a newer release of other"),
    ],
)
def test_an_end_that_is_none_is_one_line(good, bad, line):
    with pytest.raises(EnvironmentProblem) as refused:
        candidates("other", THERE, good, bad)
    assert str(refused.value).startswith(line)


GOOD = Evaluation("", verdict="ROUNDING", r=0.3)
LEAK = Evaluation("", verdict="PRECISION-LEAK", stage="loss", step=0, tensor="loss", r=1e6, reason="it leaks")
WRONG = Evaluation(
    "", verdict="LOCAL-FAULT", stage="forward", step=0, tensor="predictions", r=1e9, reason="it is wrong"
)
UNJUDGED = Evaluation("", verdict="NOT-COMPARED", reason="nobody judged it")
FAILED = Evaluation("", status="failed", reason="ImportError: no")
ABSENT = Evaluation("", ran=False, status="not installed", reason="no wheel")


class Bench:
    """Evaluations as they were told, in place of runs."""

    package = "planted"

    def __init__(self, *evaluations: Evaluation) -> None:
        self.all = {str(n): replace(each, release=str(n)) for n, each in enumerate(evaluations, 1)}
        self.made: list[Evaluation] = []

    def evaluate(self, release: str) -> Evaluation:
        if self.all[release] not in self.made:
            self.made.append(self.all[release])
        return self.all[release]


def looked_for(*evaluations: Evaluation):
    bench = Bench(*evaluations)
    return bisect(bench, list(bench.all), lambda *_: None)


def sides(found) -> tuple[str | None, str | None, list[str]]:
    old, new = (each.release if each else None for each in (found.old, found.new))
    return old, new, [each.release for each in found.between]


@pytest.mark.parametrize("odd", [FAILED, ABSENT, UNJUDGED, WRONG])
def test_a_release_that_fails_for_another_reason_is_neither_good_nor_bad(odd):
    found = looked_for(GOOD, GOOD, odd, LEAK, LEAK)
    assert (sides(found), found.exit_code) == (("2", "4", ["3"]), 0)
    assert "3" in found.sentence
    assert any(odd.reason in line for line in told.lines(found)) or odd is WRONG
    text = told.issue(found, "a cell", (), None, {})
    assert "3 cannot say" in text
    assert "one of 3, 4" in text, "which of them it was is not known"


def test_a_repair_is_a_change_too():
    found = looked_for(LEAK, LEAK, WRONG, GOOD, GOOD)
    assert (sides(found), found.exit_code) == (("2", "4", ["3"]), 0)
    assert found.faulty == replace(LEAK, release="2")


def test_what_else_changed_is_said():
    """A release may bring others with it, or leave out what does not go with it: then it need not be to blame."""
    old = replace(GOOD, versions={"planted": "1", "helper": "1", "numpy": "2"})
    new = replace(LEAK, versions={"planted": "2", "helper": "2", "numpy": "2", "other": "5"})
    found = looked_for(old, new)
    assert told.also_changed(found) == ["helper: 1 -> 2", "other: absent -> 5"]
    assert "helper: 1 -> 2" in told.lines(found)[-1]
    assert "and with it helper: 1 -> 2" in told.issue(found, "a cell", (), None, {})
    assert "no other version" in told.issue(looked_for(GOOD, LEAK), "a cell", (), None, {})


def test_where_nothing_changes_nothing_is_found():
    assert (looked_for(GOOD, LEAK, GOOD).exit_code, looked_for(LEAK, LEAK, LEAK).exit_code) == (1, 1)
    assert sides(looked_for(LEAK, LEAK, LEAK)) == (None, "1", [])


@pytest.mark.parametrize("odd", [FAILED, ABSENT, UNJUDGED])
def test_an_end_that_cannot_say_ends_it(odd):
    for found in (looked_for(GOOD, GOOD, odd), looked_for(odd, LEAK, LEAK), looked_for(odd, GOOD, GOOD)):
        assert found.exit_code == 3
        assert odd.reason in found.sentence
