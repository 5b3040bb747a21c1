"""The search asks few releases, passes over those that cannot say, and never claims more than was answered."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qparity.releases.search import Answer, Change, search


def asked(count: int, first_new: int, unknown: frozenset[int] = frozenset()) -> tuple[Change, list[int]]:
    """What is found where releases from `first_new` on are new, and which ones were asked."""
    order: list[int] = []

    def ask(place: int) -> Answer:
        order.append(place)
        if place in unknown:
            return Answer.UNKNOWN
        return Answer.NEW if place >= first_new else Answer.OLD

    return search(count, ask), order


def test_the_seventh_of_ten_takes_three_questions_beside_the_last():
    assert asked(10, 6) == (Change(5, 6), [4, 6, 5])


@pytest.mark.parametrize("count", [2, 3, 10, 33])
def test_the_change_is_found_wherever_it_is(count):
    for first_new in range(1, count):
        found, order = asked(count, first_new)
        assert found == Change(first_new - 1, first_new)
        assert len(order) <= ceil(log2(count)), "the first is asked only where no other was old"
        assert len(order) == len(set(order))


def test_what_was_so_from_the_first_on_has_no_old_side():
    assert asked(10, 0)[0] == Change(None, 0)
    assert asked(10, 1, frozenset([0]))[0] == Change(None, 1, (0,))


@given(st.integers(2, 40), st.data())
def test_releases_that_cannot_say_are_passed_over(count, data):
    first_new = data.draw(st.integers(1, count - 1))
    unknown = frozenset(data.draw(st.sets(st.integers(1, count - 2)))) if count > 2 else frozenset()
    found, order = asked(count, first_new, unknown)
    before = max(n for n in range(first_new) if n not in unknown)
    after = min(n for n in range(first_new, count) if n not in unknown or n == count - 1)
    assert found == Change(before, after, tuple(n for n in sorted(unknown) if before < n < after))
    assert len(order) == len(set(order))
