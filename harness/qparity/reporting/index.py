"""The page over all runs: which there are, how verdicts and ratios went from run to run, and where they changed.

A changed verdict is one of two neighbouring runs that have the cell; a step of a ratio one of `qparity.timing.steps`,
among the runs of one machine with one reference. Beside each stands what else was different between the two runs.

A run need be judged once only: what its report says of it can be read back from the report's own data.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from markupsafe import Markup

from qparity import records
from qparity.records import RunRecord
from qparity.records.document import Table
from qparity.records.kinds import Count, Kind, Text
from qparity.reporting import html
from qparity.store import differences, machine
from qparity.summary.view import SYMBOLS, Mark
from qparity.timing import Interval
from qparity.timing.steps import steps

MOST_COLUMNS = 20
MOST_ROWS = 400
MOST_CHANGES = 100
MOST_DIFFERENCES = 6
MARKS: dict[Mark, str] = {
    "pass": "agrees", "expected": "fault as expected", "fail": "disagrees", "error": "did not finish",
    "uncompared": "not compared", "unsupported": "unsupported",
}  # fmt: skip
_DATA = '<script type="application/json" id="run-data">'
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


Ratio = Annotated[float, Kind("a positive number", lambda value: type(value) in (float, int) and value > 0)]


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of a cell over the reference's, with its interval where it has ends."""

    ratio: Ratio | None = None
    ratio_low: Ratio | None = None
    ratio_high: Ratio | None = None
    reference: Text | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What a report says of a cell, as far as it is shown here."""

    scenario: Text
    variant: Text
    line: Text
    mark: Mark
    timing: Timing | None = None

    @property
    def ratio(self) -> float | None:
        """The time over the reference's, where there is one."""
        return self.timing.ratio if self.timing else None


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of its run (`check --json`), as far as it is shown here."""

    cells: tuple[Cell, ...]
    run: Text = ""
    created: Text = ""
    sentence: Text = ""
    exit_code: Count | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One run: its folder's record, the file of its report, and what that says."""

    report: str
    record: RunRecord
    document: Report

    @property
    def symbol(self) -> str:
        """Whether the run was as expected."""
        return "✓" if self.document.exit_code == 0 else "✗"

    @property
    def created(self) -> str:
        """Such as `2026-11-22 11:53`."""
        return self.document.created[:16].replace("T", " ")

    @property
    def commit(self) -> str:
        """The commit it ran at, shortened; a star where files had been changed."""
        git = self.record.environment.git
        return f"{git.commit[:9]}{'*' if git.dirty else ''}" if git and git.commit else ""


@dataclass(frozen=True, slots=True)
class History:
    """One scenario on one variant over the runs, oldest first: its cell in each, or None; ratios as a line."""

    scenario: str
    variant: str
    cells: tuple[Cell | None, ...]
    changed: tuple[int, ...] = ()
    """The columns at which its verdict is another one than in the last run before that has it."""
    stepped: tuple[int, ...] = ()
    """The columns at which its ratio took a step."""

    @property
    def moved(self) -> bool:
        """Whether its mark is not the same in all runs that have it."""
        return len({cell.mark for cell in self.cells if cell}) > 1

    def rose(self, column: int) -> bool:
        """Whether a step at this column was one to a larger ratio."""
        ratios = [cell.ratio for cell in self.cells[: column + 1] if cell and cell.ratio]
        return ratios[-1] > ratios[-2]

    @property
    def points(self) -> str:
        """The ratios as a polyline, 60 by 14; empty with fewer than two."""
        found = [(i, math.log(r)) for i, cell in enumerate(self.cells) if cell and (r := cell.ratio)]
        if len(found) < 2:
            return ""
        low, high = min(y for _, y in found), max(y for _, y in found)
        span, width = max(high - low, 0.05), max(1, len(self.cells) - 1)
        return " ".join(f"{2 + 56 * i / width:.1f},{12 - 10 * (y - low) / span:.1f}" for i, y in found)


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in a cell from one run to a later one: in words, and what else was different between them."""

    entry: Entry
    before: Entry
    row: History
    what: str
    worse: bool

    @property
    def between(self) -> str:
        """The environment's differences, and the commits."""
        found = differences(self.before.record.environment, self.entry.record.environment)
        if self.before.commit != self.entry.commit:
            found = [*found, f"commit: {self.before.commit or 'none'} -> {self.entry.commit or 'none'}"]
        more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
        return "; ".join(found[:MOST_DIFFERENCES]) + more if found else "nothing that is recorded"


def render(entries: Sequence[Entry]) -> str:
    """The page, from runs oldest first."""
    shown = list(entries)[-MOST_COLUMNS:]
    rows = _history(shown)
    changes = [change for row in rows for change in _changes(row, shown)]
    changes.sort(key=lambda change: (-shown.index(change.entry), not change.worse))
    return html.environment().get_template("index.html.j2").render(
        entries=list(reversed(entries)),
        columns=shown,
        rows=rows[:MOST_ROWS],
        changes=changes[:MOST_CHANGES],
        more_changes=max(0, len(changes) - MOST_CHANGES),
        left_out=max(0, len(rows) - MOST_ROWS),
        symbols=SYMBOLS,
        style=Markup(html.file("style.css")),
        policy=POLICY,
    )  # fmt: skip


def _history(entries: Sequence[Entry]) -> list[History]:
    """Every scenario and variant of the runs; those whose verdict moved come first."""
    tables = [{(c.scenario, c.variant): c for c in entry.document.cells} for entry in entries]
    places = dict.fromkeys(place for table in reversed(tables) for place in table)
    machines = [machine(entry.record.environment) for entry in entries]
    rows = [_row(s, v, tuple(table.get((s, v)) for table in tables), machines) for s, v in places]
    return sorted(rows, key=lambda row: (not row.moved, not row.stepped, row.cells.count(None)))


def _row(scenario: str, variant: str, cells: tuple[Cell | None, ...], machines: Sequence[Table]) -> History:
    """A cell's history with the places at which it changed."""
    there = [(i, cell) for i, cell in enumerate(cells) if cell]
    changed = tuple(i for (_, before), (i, cell) in pairwise(there) if cell.mark != before.mark)
    timed = [(i, cell.timing) for i, cell in there if cell.timing and cell.timing.ratio and cell.mark == "pass"]
    if timed:  # one machine, one reference: those of the newest run
        last, newest = timed[-1]
        timed = [(i, t) for i, t in timed if t.reference == newest.reference and machines[i] == machines[last]]
    ratios = [Interval(t.ratio_low or 0.0, t.ratio or 1.0, t.ratio_high or math.inf) for _, t in timed]
    return History(scenario, variant, cells, changed, tuple(timed[k][0] for k in steps(ratios)))


def _changes(row: History, entries: Sequence[Entry]) -> Iterator[Change]:
    there = [i for i, cell in enumerate(row.cells) if cell]
    for i in row.changed:
        last = max(j for j in there if j < i)
        before, now = row.cells[last], row.cells[i]
        assert before
        assert now
        what = f"{SYMBOLS[before.mark]} {MARKS[before.mark]} → {SYMBOLS[now.mark]} {MARKS[now.mark]}: {now.line}"
        yield Change(entries[i], entries[last], row, what, now.mark in ("fail", "error"))
    starts = [0, *row.stepped]
    for k, i in enumerate(row.stepped):
        last = max(j for j in there if j < i)
        end = row.stepped[k + 1] if k + 1 < len(row.stepped) else len(row.cells)
        before_ratio, after = (_middle(row.cells[a:b]) for a, b in ((starts[k], i), (i, end)))
        slower = after > before_ratio
        factor = max(after, before_ratio) / min(after, before_ratio)
        what = f"{factor:.3g}x {'slower' if slower else 'faster'} against {_reference(row.cells[i])} than before"
        yield Change(entries[i], entries[last], row, f"{what} ({before_ratio:.3g} → {after:.3g})", slower)


def _middle(cells: Sequence[Cell | None]) -> float:
    return statistics.median(cell.ratio for cell in cells if cell and cell.ratio)


def _reference(cell: Cell | None) -> str:
    return (cell.timing.reference if cell and cell.timing else None) or "the reference"


def read(report: str) -> Report | None:
    """The data that the text of a report carries; None where it is not one of ours."""
    start = report.find(_DATA)
    try:
        found = json.loads(report[start + len(_DATA) : report.index("</script>", start)]) if start >= 0 else None
        return records.read(Report, found)
    except (ValueError, RecursionError):
        return None
