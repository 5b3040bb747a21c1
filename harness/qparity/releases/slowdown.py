"""Find the first release at which a step takes longer, or less long, than with the good one, by more than a factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qparity.releases.bisect import Found, end_of, why
from qparity.releases.evaluation import Evaluation
from qparity.releases.pace import PaceBench
from qparity.releases.search import Answer, search

BESIDE = "what the others are measured beside"


def slower(one: Evaluation, factor: float) -> Answer:
    """NEW: the whole interval of its ratio is above the factor, OLD: below, UNKNOWN: it holds it, or there is none."""
    if one.pace is None or one.pace.low <= factor <= one.pace.high:
        return Answer.UNKNOWN
    return Answer.NEW if one.pace.low > factor else Answer.OLD


def faster(one: Evaluation, factor: float) -> Answer:
    """The same of the other direction: NEW where the whole interval is below 1/factor."""
    if one.pace is None or one.pace.low <= 1 / factor <= one.pace.high:
        return Answer.UNKNOWN
    return Answer.NEW if one.pace.high < 1 / factor else Answer.OLD


def find_change_of_speed(
    bench: PaceBench, releases: Sequence[str], factor: float, tell: Callable[[Evaluation, str], None]
) -> Found:
    """Time as few of these releases as it takes to find where the step time changes by more than a factor.

    What is looked for is a slowdown; a speed-up where the newest release is faster by more than the factor. The oldest
    release is not timed by itself: it is what all others are measured beside.

    Args:
        bench: times a release beside the oldest of these.
        releases: at least two, oldest first.
        factor: above 1.
        tell: is told each evaluation, and what it means.

    Raises:
        KeyboardInterrupt: what was finished until then is kept.
    """
    name, good = bench.package, bench.good
    by = f"by more than {factor:g}"

    def found(sentence: str, code: int, *ends: Evaluation, between: tuple[Evaluation, ...] = ()) -> Found:
        old, new = ends or (None, None)
        return Found(name, tuple(releases), tuple(bench.made), sentence, code, old, new, between, factor)

    new = bench.evaluate(releases[-1])
    tell(new, "the newest")
    answers = slower(new, factor), faster(new, factor)
    if new.pace is None:
        return found(f"{name} {new.release} cannot say, so there is nothing to look for: {why(new)}.", 3)
    takes = f"A step with {name} {new.release} takes {new.said} the time with {good}"
    if Answer.NEW not in answers:
        if Answer.UNKNOWN in answers:
            return found(f"{takes}, too uncertain to say whether that is a change {by}: nothing to look for.", 3)
        return found(f"{takes}: no change {by}.", 1)
    answer, word = (slower, "slower") if answers[0] is Answer.NEW else (faster, "faster")

    def ask(place: int) -> Answer:
        if not place:
            return Answer.OLD  # it is what the others are measured beside
        one = bench.evaluate(releases[place])
        said = answer(one, factor)
        unknown = why(one) if one.pace is None else "its interval does not say on which side"
        means = {Answer.NEW: f"{word} {by}", Answer.OLD: f"not {word} {by}", Answer.UNKNOWN: f"{said}: {unknown}"}
        tell(one, means[said])
        return said

    change = search(len(releases), ask)
    assert change.old is not None
    before = bench.evaluate(releases[change.old]) if change.old else _itself(good, new)
    after, between = bench.evaluate(releases[change.new]), tuple(bench.evaluate(releases[n]) for n in change.between)
    said = f"A step with {name} {after.release} takes {after.said} the time with {good}"
    if change.old:
        said += f", and with {before.release} {before.said}"
    return found(f"{said}{end_of(between)}", 0, before, after, between=between)


def _itself(good: str, beside: Evaluation) -> Evaluation:
    """The good release as one side of the change: with what was recorded of it in another one's evaluation."""
    assert beside.pace is not None
    return Evaluation(good, reason=BESIDE, versions=beside.pace.good_versions, python=beside.python)
