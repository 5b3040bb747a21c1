"""Which of several packages is to blame: each is made new alone, with the others old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qparity.releases.bisect import why
from qparity.releases.evaluation import Evaluation

Evaluate = Callable[[str, Mapping[str, str]], Evaluation]
"""(a package, the releases of all) -> the evaluation with these, kept as one of that package."""


@dataclass(frozen=True, slots=True)
class Blame:
    """The packages that give the newer verdict alone; `sentence` says it, `exit_code` is as of a bisect."""

    packages: tuple[str, ...]
    sentence: str
    exit_code: int


def blame(old: Mapping[str, str], new: Mapping[str, str], evaluate: Evaluate) -> Blame:
    """Find which packages change the verdict, each alone.

    Args:
        old, new: the two ends, package -> release, of the same packages.
        evaluate: runs the cell with these releases.
    """
    first = next(iter(new))
    after, before = evaluate(first, new), evaluate(first, old)
    for end, releases in ((after, new), (before, old)):
        if not (end.passes or end.faulty):
            return Blame((), f"{_named(releases)} cannot say, so there is nothing to look for: {why(end)}.", 3)
    if _same(before, after):
        return Blame((), f"{_named(old)} and {_named(new)} are both {after.said}: nothing changed.", 1)
    alone = {name: evaluate(name, {**old, name: new[name]}) for name in new}
    guilty = tuple(name for name, one in alone.items() if _same(one, after))
    if guilty:
        several = " each" if len(guilty) > 1 else ""
        changed = _named({name: new[name] for name in guilty})
        return Blame(guilty, f"{changed}{several} alone: {after.said}; {_named(old)}: {before.said}.", 0)
    said = "; ".join(f"{name} {new[name]} alone: {one.said}" for name, one in alone.items())
    return Blame((), f"No package gives {after.said} alone, so it takes several of them together ({said}).", 1)


def _same(one: Evaluation, other: Evaluation) -> bool:
    """Whether both pass, or have the same fault."""
    return (one.passes and other.passes) or (one.faulty and other.faulty and one.kind == other.kind)


def _named(releases: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {release}" for name, release in releases.items())
