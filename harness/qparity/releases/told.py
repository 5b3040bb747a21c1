"""What a bisect found, as lines for a terminal, as JSON, and as the text of an issue for the package's tracker."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict

from qparity import __version__
from qparity.records.document import Table
from qparity.releases.bisect import Found, why
from qparity.releases.evaluation import Evaluation
from qparity.store.fingerprint import changes
from qparity.summary.words import number, seconds

SHOWS = {1: "the divergence shows", 0: "it does not show"}
HEADINGS = ("release", "verdict", "where", "r", "run")


def table(found: Found) -> list[tuple[str, ...]]:
    """The evaluations by release, with headings; what a release cannot say is in place of its verdict's place."""
    order = {release: place for place, release in enumerate(found.releases)}
    made = sorted(found.evaluations, key=lambda each: order[each.release])
    if found.factor is not None:
        return [("release", f"step time over {found.releases[0]}'s", "a step", "measured"), *map(_timed, made)]
    return [HEADINGS, *map(_judged, made)]


def _judged(one: Evaluation) -> tuple[str, ...]:
    where = one.where if one.passes or one.faulty else str(one.reason or "")
    return one.release, one.said, where, number(one.r) if one.r is not None else "", one.run or ""


def _timed(one: Evaluation) -> tuple[str, ...]:
    if (pace := one.pace) is None:
        return one.release, one.said, str(one.reason or ""), ""
    steps = f"{seconds(pace.step_s)}, beside {seconds(pace.good_step_s)}"
    return one.release, one.said, steps, "; ".join([f"{pace.rounds} rounds", *pace.notes])


def lines(found: Found) -> list[str]:
    """The table, aligned, and the sentence."""
    rows = table(found)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    told = ["  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), *filter(None, row[2:])]) for row in rows[1:]]
    beside = [f"Other versions differ there too: {'; '.join(others)}."] if (others := also_changed(found)) else []
    return [*(line.rstrip() for line in told), found.sentence, *beside]


def also_changed(found: Found) -> list[str]:
    """Which other versions differ between both sides of the change, a line each: what the releases require, or lack."""
    if found.old is None or found.new is None:
        return []
    name = found.package.replace("-", "_")
    before, after = ({k: v for k, v in each.versions.items() if k != name} for each in (found.old, found.new))
    return changes(before, after)


def beside(found: Found) -> str:
    """What else differs between both sides, as the rest of a sentence."""
    others = also_changed(found)
    return f"and with it {'; '.join(others)}" if others else "and no other version that was recorded differs"


def document(found: Found, **files: object) -> Table:
    """A JSON object; `files` are entries beside."""
    ends = {name: getattr(found, name) for name in ("old", "new")}
    return {
        "schema": 1,
        "package": found.package,
        "releases": list(found.releases),
        "evaluations": [asdict(each) | {"said": each.said} for each in found.evaluations],
        **{name: each.release if each else None for name, each in ends.items()},
        "between": [each.release for each in found.between],
        "also_changed": also_changed(found),
        "factor": found.factor,
        "sentence": found.sentence,
        **files,
    }


def issue(found: Found, cell: str, pins: tuple[str, ...], script: str | None, ran: Mapping[str, int | None]) -> str:
    """The text of an issue in Markdown.

    Args:
        found: both sides of the change are known.
        cell: what was trained, in words.
        pins: what else was asked for.
        script: the reproducer; None: there is none.
        ran: release -> the exit code of the script there; None: it did not end.
    """
    old, new, wrong = found.old, found.new, found.faulty
    assert old is not None
    assert new is not None
    assert wrong is not None
    did = "repaired" if new.passes else "introduced"
    parts = [
        f"# {found.package} {new.release}: {wrong.stage} {'is right again' if new.passes else 'is wrong'}",
        f"{cell} is `{old.said}` with {found.package} {old.release} and `{new.said}` with {new.release}; "
        f"the difference was {did} in {when(found)}. With {wrong.release}: {wrong.reason}.",
        f"Each release was put in place of the other, {beside(found)}. The numbers were judged against an independent "
        "computation of higher precision, with a tolerance derived from rounding.",
        "## Releases",
        markdown(found),
    ]
    if found.between:
        parts.append("\n".join(f"- {each.release} cannot say: {why(each)}" for each in found.between))
    if script is not None:
        codes = "\n".join(f"- {found.package} {release}: {_ended(code)}" for release, code in ran.items())
        install = " ".join([f"{found.package}=={wrong.release}", *pins])
        parts += [
            "## To reproduce",
            f"`pip install {install}`, then this script, which exits with 1 if the divergence shows and with 0 if not:",
            codes,
            f"```python\n{script.rstrip()}\n```",
        ]
    parts += ["## Environment", environment(wrong), f"Found by qparity {__version__} (`qparity bisect`)."]
    return "\n\n".join(parts) + "\n"


def when(found: Found) -> str:
    """The release of the change, or those of which it is one."""
    assert found.new is not None
    names = [each.release for each in found.between] + [found.new.release]
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def markdown(found: Found) -> str:
    """The table without the run folders."""
    rows = [row[:4] for row in table(found)]
    rows.insert(1, ("---",) * len(rows[0]))
    return "\n".join(f"| {' | '.join(entry.replace('|', '/') for entry in row)} |" for row in rows)


def _ended(code: int | None) -> str:
    if code is None:
        return "the script did not end"
    return f"exit code {code}, {SHOWS.get(code, 'it failed')}"


def environment(one: Evaluation) -> str:
    """Python, machine and versions, in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
    return f"Python {one.python or 'unknown'} on {platform.system()} {platform.machine()}: {versions}."
