"""Why is a variant slower: whose code ran in its steps, beside the reference's, and where it is slowest a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qparity.reporting.flame import flame
from qparity.summary.view import CellView, RunView
from qparity.timing.profile import ORDER, shares

MOST_ROWS = 60
MOST_PICTURES = 6


@dataclass(frozen=True, slots=True)
class Row:
    """A timed cell: the seconds of a step, and whose code they were spent in, in the order of `ORDER`."""

    cell: CellView
    step_s: float
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A variant where it is slowest against its reference, and that reference in the same scenario."""

    cell: CellView
    slower: float
    svg: Markup
    reference: CellView | None
    reference_svg: Markup | None


@dataclass(frozen=True, slots=True)
class Why:
    """`rows`, the slowest steps first, of `all_rows`; `pictures`, the slowest variants first."""

    groups: tuple[str, ...]
    rows: tuple[Row, ...]
    all_rows: int
    pictures: tuple[Picture, ...]


def why(view: RunView) -> Why | None:
    """None where no timed cell has a profile."""
    rows = [row for cell in view.cells if (row := _row(cell))]
    if not rows:
        return None
    rows.sort(key=lambda row: -row.step_s)
    used = [k for k in range(len(ORDER)) if any(row.seconds[k] >= 0.005 * row.step_s for row in rows)]
    kept = tuple(Row(row.cell, row.step_s, tuple(row.seconds[k] for k in used)) for row in rows[:MOST_ROWS])
    return Why(tuple(ORDER[k] for k in used), kept, len(rows), tuple(_pictures(view, rows)))


def _row(cell: CellView) -> Row | None:
    timing = cell.timing
    if timing is None or timing.profile is None or not (found := shares(timing.profile)):
        return None
    return Row(cell, timing.step_s, tuple(timing.step_s * found[name] for name in ORDER))


def _pictures(view: RunView, rows: Sequence[Row]) -> list[Picture]:
    slowest: dict[str, tuple[float, CellView]] = {}
    for row in rows:
        timing = row.cell.timing
        if timing and timing.ratio and timing.ratio.estimate > slowest.get(row.cell.variant, (0.0, row.cell))[0]:
            slowest[row.cell.variant] = timing.ratio.estimate, row.cell
    found = []
    for slower, cell in sorted(slowest.values(), key=lambda each: -each[0])[:MOST_PICTURES]:
        timing = cell.timing
        assert timing
        assert timing.profile
        beside = view.cell(cell.scenario, timing.reference)
        theirs = beside.timing.profile if beside and beside.timing else None
        found.append(
            Picture(
                cell,
                slower,
                flame(timing.profile, f"Where a step of {cell.name} goes"),
                beside,
                flame(theirs, f"Where a step of {beside.name} goes") if theirs and beside else None,
            )
        )
    return found
