"""Why is a variant slower: whose code ran in its steps, beside the reference's, and where it is slowest a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qparity.reporting.flame import flame
from qparity.summary.speeds import times
from qparity.summary.view import CellView, RunView
from qparity.timing import Interval, LaneTiming, Speed
from qparity.timing.profile import ORDER, OTHER, group_of, own_shares, shares

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
class Slower:
    """A variant that is right, where it is slowest against another that is: how many times, and for what.

    `more_s` are the seconds of a step beyond the other's, `group_s` those of them in the code of `group`,
    `function_s` those in one function of it, `module:function`; that is None where no function has a quarter of them.
    """

    cell: CellView
    other: CellView
    times: Interval
    more_s: float
    group: str
    group_s: float
    function: str | None
    function_s: float

    @property
    def whose(self) -> str:
        """Whose code that is, in words."""
        named = {OTHER: "Python code of yours or of another library", "framework": "the framework"}
        return named.get(self.group, self.group)

    @property
    def again(self) -> str:
        """The command that measures both again; empty where a training script was timed."""
        if self.cell.reproduce is None or (self.cell.settings and self.cell.settings.script):
            return ""
        return f"{self.cell.reproduce} -v {self.other.variant}"


@dataclass(frozen=True, slots=True)
class Why:
    """`rows`, the slowest steps first, of `all_rows`; `pictures`, the slowest variants first; `slower`, in words."""

    groups: tuple[str, ...]
    rows: tuple[Row, ...]
    all_rows: int
    pictures: tuple[Picture, ...]
    slower: tuple[Slower, ...]


def why(view: RunView) -> Why | None:
    """None where no timed cell has a profile."""
    rows = [row for cell in view.cells if (row := _row(cell))]
    if not rows:
        return None
    rows.sort(key=lambda row: -row.step_s)
    used = [k for k in range(len(ORDER)) if any(row.seconds[k] >= 0.005 * row.step_s for row in rows)]
    kept = tuple(Row(row.cell, row.step_s, tuple(row.seconds[k] for k in used)) for row in rows[:MOST_ROWS])
    pictures = _pictures(view, rows)
    return Why(tuple(ORDER[k] for k in used), kept, len(rows), tuple(pictures), _slower(pictures))


def _slower(pictures: Sequence[Picture]) -> tuple[Slower, ...]:
    """Each slow variant once, the slowest first; the reference too, where another is faster."""
    found: dict[str, Slower] = {}
    for picture in pictures:
        each = _compared(picture)
        if each and (each.cell.variant not in found or each.times.estimate > found[each.cell.variant].times.estimate):
            found[each.cell.variant] = each
    return tuple(sorted(found.values(), key=lambda each: -each.times.estimate))


def _compared(picture: Picture) -> Slower | None:
    """The slower of the two; None where it cannot be told, one of them is wrong or has no profile."""
    cell, other = picture.cell, picture.reference
    ratio, speed = (cell.timing.ratio, cell.timing.speed) if cell.timing else (None, None)
    if ratio is None or speed not in (Speed.SLOWER, Speed.FASTER) or other is None:
        return None
    if speed is Speed.FASTER:
        cell, other = other, cell
    mine, theirs = cell.timing, other.timing
    if not mine or not theirs or not mine.profile or not theirs.profile or {cell.speed, other.speed} != {"plain"}:
        return None
    more = mine.step_s - theirs.step_s
    groups = _beyond(mine, shares(mine.profile), theirs, shares(theirs.profile))
    functions = _beyond(mine, own_shares(mine.profile), theirs, own_shares(theirs.profile))
    if more <= 0 or not groups:
        return None
    group, group_s = max(groups.items(), key=lambda each: each[1])
    own = ((name, seconds) for name, seconds in functions.items() if group_of(name) == group)
    function, function_s = max(own, key=lambda each: each[1])
    named = function if function_s > more / 4 else None
    return Slower(cell, other, times(ratio, speed), more, group, group_s, named, function_s)


def _beyond(
    mine: LaneTiming, parts: Mapping[str, float], theirs: LaneTiming, their_parts: Mapping[str, float]
) -> dict[str, float]:
    """Seconds of a step that each part took beyond the same part of the other's step."""
    return {name: part * mine.step_s - their_parts.get(name, 0.0) * theirs.step_s for name, part in parts.items()}


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
