"""The page over all runs: which there are, and how verdicts and ratios went from run to run.

A run need be judged once only: what its report says of it can be read back from the report's own data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from markupsafe import Markup

from qparity import records
from qparity.records import RunRecord
from qparity.records.kinds import Count, Kind, Text
from qparity.reporting import html
from qparity.summary.view import SYMBOLS, Mark

MOST_COLUMNS = 20
MOST_ROWS = 400
_DATA = '<script type="application/json" id="run-data">'
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


Ratio = Annotated[float, Kind("a positive number", lambda value: type(value) in (float, int) and value > 0)]


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of a cell over the reference's."""

    ratio: Ratio | None = None


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

    @property
    def moved(self) -> bool:
        """Whether its mark is not the same in all runs that have it."""
        return len({cell.mark for cell in self.cells if cell}) > 1

    @property
    def points(self) -> str:
        """The ratios as a polyline, 60 by 14; empty with fewer than two."""
        found = [(i, math.log(r)) for i, cell in enumerate(self.cells) if cell and (r := cell.ratio)]
        if len(found) < 2:
            return ""
        low, high = min(y for _, y in found), max(y for _, y in found)
        span, width = max(high - low, 0.05), max(1, len(self.cells) - 1)
        return " ".join(f"{2 + 56 * i / width:.1f},{12 - 10 * (y - low) / span:.1f}" for i, y in found)


def render(entries: Sequence[Entry]) -> str:
    """The page, from runs oldest first."""
    shown = list(entries)[-MOST_COLUMNS:]
    rows = _history(shown)
    return html.environment().get_template("index.html.j2").render(
        entries=list(reversed(entries)),
        columns=shown,
        rows=rows[:MOST_ROWS],
        left_out=max(0, len(rows) - MOST_ROWS),
        symbols=SYMBOLS,
        style=Markup(html.file("style.css")),
        policy=POLICY,
    )  # fmt: skip


def _history(entries: Sequence[Entry]) -> list[History]:
    """Every scenario and variant of the runs; those whose verdict moved come first."""
    tables = [{(c.scenario, c.variant): c for c in entry.document.cells} for entry in entries]
    places = dict.fromkeys(place for table in reversed(tables) for place in table)
    rows = [History(s, v, tuple(table.get((s, v)) for table in tables)) for s, v in places]
    return sorted(rows, key=lambda row: (not row.moved, row.cells.count(None)))


def read(report: str) -> Report | None:
    """The data that the text of a report carries; None where it is not one of ours."""
    start = report.find(_DATA)
    try:
        found = json.loads(report[start + len(_DATA) : report.index("</script>", start)]) if start >= 0 else None
        return records.read(Report, found)
    except (ValueError, RecursionError):
        return None
