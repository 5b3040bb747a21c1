"""Find the first release with another verdict: choose the releases, ask them, say what came out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from qparity.environments.errors import EnvironmentProblem
from qparity.releases.evaluation import Bench, Evaluation
from qparity.releases.search import Answer, Change, search

ANOTHER = "another fault than at either end"


@dataclass(frozen=True, slots=True)
class Found:
    """What a bisect came to.

    `old` and `new` are the releases on both sides of the change, None where there is none; `between` are those between
    them that cannot say. `sentence` says it, `exit_code` is 0 where the change was found, 1 where the verdict is the
    same at both ends (or changed before the first), 3 where an end cannot say.
    """

    package: str
    releases: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]
    sentence: str
    exit_code: int
    old: Evaluation | None = None
    new: Evaluation | None = None
    between: tuple[Evaluation, ...] = ()
    factor: float | None = None
    """By how much more than this a step is slower or faster since, where times were looked at and not verdicts."""

    @property
    def faulty(self) -> Evaluation | None:
        """The side of the change that is wrong."""
        return next((each for each in (self.new, self.old) if each is not None and each.faulty), None)


def candidates(package: str, there: Sequence[Version], good: str | None, bad: str | None) -> list[str]:
    """The releases to look at, oldest first.

    Args:
        package: its name.
        there: all that the index has, oldest first.
        good: the oldest one; None: the oldest that qparity supports.
        bad: the newest one; None: the newest that qparity supports.

    Raises:
        EnvironmentProblem: an end is none of the releases, or they are the wrong way round.
    """
    supported = _supported(package)
    usual = [each for each in there if supported is None or supported.specifier.contains(each, prereleases=True)]
    if not usual and not (good and bad):
        raise EnvironmentProblem(f"{package}: no release there is supported; --good and --bad name others")
    first = usual[0] if good is None else _named("--good", good, package, there)
    last = usual[-1] if bad is None else _named("--bad", bad, package, there)
    if not first < last:
        raise EnvironmentProblem(
            f"--good = {first}, --bad = {last}: expected an older and a newer release of {package}"
        )
    return [str(each) for each in there if first <= each <= last]


def _supported(package: str) -> Requirement | None:
    try:
        texts = importlib.metadata.requires("qparity") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    mine = [one for one in map(Requirement, texts) if canonicalize_name(one.name) == package]
    return next((one for one in mine if one.specifier), None)


def _named(option: str, text: str, package: str, there: Sequence[Version]) -> Version:
    try:
        found = Version(text)
    except InvalidVersion:
        found = None
    if found is None or found not in there:
        known = ", ".join(map(str, there[-8:]))
        raise EnvironmentProblem(f"{option} = {text!r}: expected a release of {package} (the newest are {known})")
    return found


def bisect(bench: Bench, releases: Sequence[str], tell: Callable[[Evaluation, str], None]) -> Found:
    """Run as few of these releases as it takes to find where the verdict changes.

    Args:
        bench: what runs a release.
        releases: at least two, oldest first.
        tell: is told each evaluation, and what it means.

    Raises:
        KeyboardInterrupt: what was finished until then is kept.
    """

    def found(sentence: str, code: int, *pair: Evaluation | None, between: tuple[Evaluation, ...] = ()) -> Found:
        old, new = pair or (None, None)
        return Found(bench.package, tuple(releases), tuple(bench.made), sentence, code, old, new, between)

    def cannot(end: Evaluation) -> Found:
        return found(f"{bench.package} {end.release} cannot say, so there is nothing to look for: {why(end)}.", 3)

    new = bench.evaluate(releases[-1])
    tell(new, "the newest")
    if not (new.passes or new.faulty):
        return cannot(new)
    if new.passes:  # what is looked for is a repair: which fault, the oldest tells
        old = bench.evaluate(releases[0])
        tell(old, "the oldest")
        if old.passes:
            return found(f"{bench.package} {old.release} and {new.release} are both {new.said}: nothing changed.", 1)
        if not old.faulty:
            return cannot(old)
        fault = old.kind
    else:
        fault = new.kind

    def ask(place: int) -> Answer:
        one = bench.evaluate(releases[place])
        wrong = one.faulty and one.kind == fault
        answer = Answer.UNKNOWN
        if one.passes or wrong:
            answer = Answer.NEW if one.passes == new.passes else Answer.OLD
        tell(one, answer if answer != Answer.UNKNOWN else f"{answer}: {why(one)}")
        return answer

    change: Change = search(len(releases), ask)
    before = None if change.old is None else bench.evaluate(releases[change.old])
    after, between = bench.evaluate(releases[change.new]), tuple(bench.evaluate(releases[n]) for n in change.between)
    if before is None:
        if between:
            said = f"{bench.package} {between[0].release} cannot say, so nothing is known before {after.release}"
            return found(f"{said}: {why(between[0])}.", 3, None, after, between=between)
        said = f"{bench.package} {after.release} is {after.said} already: the change is older"
        return found(f"{said} (an older release is named by --good).", 1, None, after)
    pair = f"{bench.package} {before.release} is {before.said}, {after.release} is {_told(after)}"
    return found(f"{pair}{end_of(between)}", 0, before, after, between=between)


def end_of(between: Sequence[Evaluation]) -> str:
    """How a sentence on both sides of a change ends."""
    if not between:
        return ": no release lies between them."
    return f"; what lies between them cannot say ({', '.join(each.release for each in between)})."


def why(one: Evaluation) -> str:
    """Why a release cannot say."""
    if one.faulty:
        return f"{ANOTHER}: {one.said}"
    return f"{one.said}: {one.reason}" if one.reason else one.said


def _told(one: Evaluation) -> str:
    return f"{one.said} ({one.where})" if one.where else one.said
