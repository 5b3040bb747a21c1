"""The page over all runs: which there are, and how verdicts and ratios went from run to run.

A run need be judged once only: what its report says of it can be read back from the report's own data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from qparity.records import RunRecord
from qparity.reporting import html
from qparity.summary.view import SYMBOLS

MOST_COLUMNS = 20
MOST_ROWS = 400
_DATA = '<script type="application/json" id="run-data">'
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Entry:
    """One run: its folder's record, the file of its report, and what `check --json` says of it."""

    report: str
    record: RunRecord
    document: dict[str, Any]

    @property
    def symbol(self) -> str:
        """Whether the run was as expected."""
        return "✓" if self.document.get("exit_code") == 0 else "✗"

    @property
    def created(self) -> str:
        """Such as `2026-11-22 11:53`."""
        return str(self.document.get("created"))[:16].replace("T", " ")

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
    cells: tuple[dict[str, Any] | None, ...]

    @property
    def moved(self) -> bool:
        """Whether its mark is not the same in all runs that have it."""
        return len({cell["mark"] for cell in self.cells if cell}) > 1

    @property
    def points(self) -> str:
        """The ratios as a polyline, 60 by 14; empty with fewer than two."""
        found = [(i, math.log(r)) for i, cell in enumerate(self.cells) if (r := _ratio(cell))]
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
    tables = [{(c["scenario"], c["variant"]): c for c in entry.document.get("cells", ())} for entry in entries]
    places = dict.fromkeys(place for table in reversed(tables) for place in table)
    rows = [History(s, v, tuple(table.get((s, v)) for table in tables)) for s, v in places]
    return sorted(rows, key=lambda row: (not row.moved, row.cells.count(None)))


def read(report: str) -> dict[str, Any] | None:
    """The data that the text of a report carries; None where it is not one of ours."""
    start = report.find(_DATA)
    try:
        found = json.loads(report[start + len(_DATA) : report.index("</script>", start)]) if start >= 0 else None
    except (ValueError, RecursionError):
        return None
    cells = found.get("cells") if isinstance(found, dict) else None
    return found if isinstance(cells, list) and all(map(_is_cell, cells)) else None


def _is_cell(cell: Any) -> bool:
    """Whether a cell of a report has what is shown of it here: the report may not be ours."""
    if not isinstance(cell, dict) or not all(isinstance(cell.get(key), str) for key in ("scenario", "variant", "line")):
        return False
    timing = cell.get("timing")
    ratio = timing.get("ratio") if isinstance(timing, dict) else timing
    return cell.get("mark") in tuple(SYMBOLS) and (ratio is None or (isinstance(ratio, int | float) and ratio > 0))


def _ratio(cell: dict[str, Any] | None) -> float | None:
    timing = (cell or {}).get("timing") or {}
    return timing.get("ratio") or None
