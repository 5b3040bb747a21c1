"""The text of an issue on a change of speed, for the package's tracker."""

from __future__ import annotations

from qparity import __version__
from qparity.releases.bisect import Found, why
from qparity.releases.told import beside, environment, markdown, when
from qparity.summary.words import number

HOW = (
    "Each release was measured beside {good}: fresh processes of both train the same steps on the same core in turn, "
    "round by round. A ratio is the median over rounds of the two times of a round, with its 95% interval, which "
    "allows for the difference between two processes of one program. What was trained was not judged."
)


def issue(found: Found, cell: str, command: str) -> str:
    """The text in Markdown.

    Args:
        found: both sides of the change are known.
        cell: what was trained, in words.
        command: that measures it again.
    """
    old, new = found.old, found.new
    assert old is not None
    assert new is not None
    assert new.pace is not None
    assert found.factor is not None
    name, good = found.package, found.releases[0]
    slower = new.pace.low > found.factor
    as_before = f" and {old.pace.said} times with {old.release}" if old.pace else ""
    parts = [
        f"# {name} {new.release}: a training step takes {number(new.pace.ratio)} times as long",
        f"A step of {cell} takes {new.pace.said} the time of {name} {good} with {new.release}{as_before}: it is "
        f"{'slower' if slower else 'faster'} by more than {found.factor:g} since {when(found)}.",
        f"{HOW.format(good=f'{name} {good}')} Each release was put in place of the other, {beside(found)}.",
        "## Releases",
        markdown(found),
    ]
    if found.between:
        parts.append("\n".join(f"- {each.release} cannot say: {why(each)}" for each in found.between))
    parts += [
        "## To measure it again",
        f"```console\n$ {command}\n```",
        "## Environment",
        environment(new),
        f"Found by qparity {__version__} (`qparity bisect --speed`).",
    ]
    return "\n\n".join(parts) + "\n"
