"""Which of several packages is to blame, from what each combination of releases gives."""

from collections.abc import Mapping

import pytest

from qparity.cli.values import each_end
from qparity.releases.blame import blame
from qparity.releases.evaluation import Evaluation

OLD, NEW = {"a": "1", "b": "1", "c": "1"}, {"a": "2", "b": "2", "c": "2"}
GOOD = Evaluation("", verdict="ROUNDING")
LEAK = Evaluation("", verdict="PRECISION-LEAK", stage="loss")
FAILED = Evaluation("", status="failed", reason="no wheel")


def told(wrong, otherwise=GOOD, right=LEAK):
    """What is blamed where `wrong(which are new)` gives the newer verdict."""
    asked = []

    def evaluate(name: str, releases: Mapping[str, str]) -> Evaluation:
        asked.append((name, tuple(releases.values())))
        return right if wrong({each for each, release in releases.items() if release == "2"}) else otherwise

    found = blame(OLD, NEW, evaluate)
    assert all(releases in (("1",) * 3, ("2",) * 3) or releases["abc".index(name)] == "2" for name, releases in asked)
    return found


def test_the_one_that_changes_the_verdict_alone_is_blamed():
    found = told(lambda new: "b" in new)
    assert (found.packages, found.exit_code) == (("b",), 0)
    assert told(lambda new: "b" in new, LEAK, GOOD).packages == ("b",), "a repair has an author, too"
    assert told(lambda new: bool(new & {"a", "c"})).packages == ("a", "c")


def test_where_it_takes_several_nobody_is_blamed():
    found = told(lambda new: {"a", "b"} <= new)
    assert (found.packages, found.exit_code) == ((), 1)
    assert "together" in found.sentence


def test_two_passes_are_one_verdict_wherever_they_come_closest():
    closest = Evaluation("", verdict="ROUNDING", stage="forward")
    assert told(lambda new: "b" in new, closest, Evaluation("", verdict="PEERS-AGREE", stage="update")).exit_code == 1


@pytest.mark.parametrize(("one", "code"), [(GOOD, 1), (LEAK, 1), (FAILED, 3)])
def test_ends_that_are_alike_or_cannot_say_blame_nobody(one, code):
    found = told(lambda new: False, one)
    assert (found.packages, found.exit_code) == ((), code)


def test_ends_are_named_by_package():
    assert each_end("a, b", "b==1.5", "a==3,b==2") == {"a": (None, "3"), "b": ("1.5", "2")}
