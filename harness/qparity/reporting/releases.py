"""The page of `qparity versions`: a table for each package, a row for each release, a column for each cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from qparity.reporting import html
from qparity.reporting.index import POLICY
from qparity.reporting.matrix import WORST
from qparity.summary.view import SYMBOLS, Mark
from qparity.summary.words import MARKS, NO_REASON, agreement, rest


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell (`scenario on variant`) with one release of a package: what it looks like, in short, and why."""

    package: str
    release: str
    cell: str
    mark: Mark
    said: str
    reason: str | None = None

    @property
    def anchor(self) -> str:
        """The deep link to it, such as `#keras/3.14.1/smoke%20on%20torch`."""
        return "#" + "/".join(quote(part, safe="") for part in (self.package, self.release, self.cell))

    @property
    def name(self) -> str:
        """It in words."""
        return f"{self.package} {self.release}, {self.cell}"

    @property
    def symbol(self) -> str:
        """That of its mark."""
        return SYMBOLS[self.mark]


@dataclass(frozen=True, slots=True)
class Row:
    """One release: an entry for each column of its table, None where the cell does not run the package.

    `changed` are the columns in which it says something else than the release in the row above.
    """

    release: str
    entries: tuple[Entry | None, ...]
    changed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """All releases of a package, in the order in which they were asked for; `cells` are the columns."""

    package: str
    cells: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why entries are no pass: the same reason for all of them."""

    number: int
    text: str
    entries: tuple[Entry, ...]


def render(entries: Sequence[Entry], command: str, created: str) -> str:
    """The page as text, to be written as UTF-8: it needs no script.

    Args:
        entries: row by row.
        command: that made it.
        created: when.
    """
    found = reasons(entries)
    counts: dict[Mark, int] = dict.fromkeys(MARKS, 0) | Counter(entry.mark for entry in entries)
    worst: Mark = min((entry.mark for entry in entries), key=WORST.index, default="uncompared")
    return html.environment().get_template("releases.html.j2").render(
        tables=[table(entries, package) for package in dict.fromkeys(entry.package for entry in entries)],
        reasons=found,
        reason_of={entry: reason.number for reason in found for entry in reason.entries},
        sentence=" ".join(filter(None, (agreement(counts), rest(counts)))),
        symbol=SYMBOLS[worst],
        good=worst in ("pass", "expected", "unsupported") and bool(counts["pass"] + counts["expected"]),
        command=command,
        created=created,
        style=Markup(html.file("style.css")),
        policy=POLICY,
    )  # fmt: skip


def table(entries: Sequence[Entry], package: str) -> Table:
    """The table of a package."""
    mine = [entry for entry in entries if entry.package == package]
    cells = tuple(dict.fromkeys(entry.cell for entry in mine))
    rows: list[Row] = []
    for release in dict.fromkeys(entry.release for entry in mine):
        there: Mapping[str, Entry] = {entry.cell: entry for entry in mine if entry.release == release}
        row = tuple(there.get(cell) for cell in cells)
        above = rows[-1].entries if rows else row
        pairs = enumerate(zip(above, row, strict=True))
        rows.append(Row(release, row, frozenset(k for k, (a, b) in pairs if a and b and a.said != b.said)))
    return Table(package, cells, tuple(rows))


def reasons(entries: Sequence[Entry]) -> tuple[Reason, ...]:
    """The reasons of all that is no pass, the worst first, each once."""
    told: dict[tuple[Mark, str], list[Entry]] = {}
    for entry in entries:
        if entry.mark != "pass":
            told.setdefault((entry.mark, entry.reason or NO_REASON), []).append(entry)
    ordered = sorted(told.items(), key=lambda each: WORST.index(each[0][0]))
    return tuple(Reason(n, text, tuple(group)) for n, ((_, text), group) in enumerate(ordered, 1))
