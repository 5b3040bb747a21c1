"""What of a run has no speed though it could have one, in a line that says what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import PurePath

from qparity.records.run import LONGEST_BUDGET_S
from qparity.records.timing import OUT_OF_TIME
from qparity.store import Run
from qparity.summary.view import CellView
from qparity.summary.words import command, resumed

FIRST_BUDGET_S = 120.0
MORE = 1.5
"""How much more is given than so many scenarios have taken, when a budget was too small."""
MOST_NAMES = 3


def untimed(run: Run, cells: Sequence[CellView]) -> str:
    """One line without a full stop; empty where everything that could be timed was, or nothing can be.

    Two variants that trained to the end are what can be timed; what has a fault put in is not.
    """
    trained: dict[str, list[CellView]] = {}
    for cell in cells:
        if cell.status == "ok":
            trained.setdefault(cell.scenario, []).append(cell)
    could = {scenario: found for scenario, found in trained.items() if len(found) > 1}
    timed = {cell.scenario for cell in cells if cell.timing or cell.untimed not in (None, OUT_OF_TIME)}
    left = [scenario for scenario in could if scenario not in timed]
    if not any(_sound(run, could[scenario]) for scenario in left):  # of a large run most answer at once
        return ""
    if len(left) == len(could):
        return f"nothing was timed{_within(run)}; {_remedy(run, could[left[0]][0], len(left), 0)}"
    left = [scenario for scenario in left if _sound(run, could[scenario])]
    names = ", ".join(left[:MOST_NAMES]) + (f" and {len(left) - MOST_NAMES} more" if len(left) > MOST_NAMES else "")
    remedy = _remedy(run, could[left[0]][0], len(left), len(could) - len(left))
    were = "was" if len(left) == 1 else "were"
    return f"{len(left)} of {len(could)} scenarios {were} not timed{_within(run)} ({names}); {remedy}"


def _sound(run: Run, cells: Sequence[CellView]) -> bool:
    """Whether at least two of these cells have no fault put in."""
    return sum(outcome is not None and outcome.fault is None for outcome in (run.outcome(c.id) for c in cells)) > 1


def _within(run: Run) -> str:
    budget = run.record.budget
    return f" within the budget of {as_asked(budget.given_s)}" if budget else ""


def _remedy(run: Run, cell: CellView, left: int, timed: int) -> str:
    """How to time what is left: the run's own command, to be gone on with; in words where it has none to repeat."""
    words, budget = run.record.command, run.record.budget
    if run.record.merged is not None:
        return "time the runs that it was merged from, and merge them again"
    if cell.settings is not None and cell.settings.script is not None and cell.settings.script.recorded:
        return "a recording is not: run the script itself, with qparity run"
    if not isinstance(words, tuple) or len(words) < 2 or words[1] != "run" or not _ours(words[0]):
        return "to have times, run it again with timing"
    more_s = FIRST_BUDGET_S if budget is None else budget.given_s * MORE * (left + timed) / max(timed, 0.5)
    given_s = min(more_s, LONGEST_BUDGET_S)
    on_cluster = "--engine" in words and "dask" in words
    timing = [] if on_cluster else ["--budget", as_asked(given_s)]
    return f"to time {'them' if timed and left > 1 else 'it'}: {command(resumed(words, run.id, timing))}"


def _ours(program: str) -> bool:
    path = PurePath(program)
    return path.stem == "qparity" or (path.name == "__main__.py" and path.parent.name == "cli")


def as_asked(seconds: float) -> str:
    """Seconds as `--budget` takes them: `90s`, `2m`, `1h`; in whole minutes, rounded up, from two minutes on."""
    if seconds < 120 and seconds % 60:
        return f"{ceil(seconds * 10) / 10:g}s"
    minutes = ceil(seconds / 60)
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"
