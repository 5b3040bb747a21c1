"""The search: between a release that gives the old answer and one that gives the new one, with some that cannot say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What a release says."""

    OLD = "old"
    NEW = "new"
    UNKNOWN = "cannot say"


@dataclass(frozen=True, slots=True)
class Change:
    """Where the answer changes: places of releases. Those in `between` cannot say.

    `old` is None where the first release gives the new answer already, or cannot say.
    """

    old: int | None
    new: int
    between: tuple[int, ...] = ()


def search(count: int, ask: Callable[[int], Answer]) -> Change:
    """Find the first of `count` releases that gives the new answer; the last one does, which is not asked here.

    The first is asked only if no other gives the old answer, so ten releases take three questions, or four. A release
    that cannot say is passed over for the one nearest to it.
    """
    old, new = 0, count - 1
    sure = False
    unknown: set[int] = set()
    while left := [n for n in range(old + 1, new) if n not in unknown]:
        middle = min(left, key=lambda n: (abs(2 * n - old - new), n))
        match ask(middle):
            case Answer.OLD:
                old, sure = middle, True
            case Answer.NEW:
                new = middle
            case Answer.UNKNOWN:
                unknown.add(middle)
    between = tuple(n for n in sorted(unknown) if old < n < new)
    if not sure and count > 1:
        match ask(0):
            case Answer.NEW:
                return Change(None, 0)
            case Answer.UNKNOWN:
                return Change(None, new, (0, *between))
    return Change(old if count > 1 else None, new, between)
