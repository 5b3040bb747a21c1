"""What a hunt found, as lines for a terminal and as JSON: by cause, each find with its script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from qparity.hunt.bench import alike
from qparity.hunt.kept import SORTS, Find, State
from qparity.records import Place
from qparity.records.document import Table
from qparity.store import Run
from qparity.summary.causes import causes
from qparity.summary.judging import judge_block
from qparity.summary.summarise import groups_of, view_of
from qparity.summary.view import CellView

MOST_REASONS = 8
SAID = {"unsupported": "refused", "timeout": "unfinished"}


@dataclass(frozen=True, slots=True)
class Told:
    """Finds with one cause in common, as the report puts red cells together (`summary/causes.py`)."""

    cause: str
    finds: tuple[Find, ...]


def by_cause(run: Run, state: State) -> tuple[Told, ...]:
    """The finds that recurred, those of one cause together."""
    finds = [find for find in state.finds if find.recurred]
    apart = [find for find in finds if find.rules]  # right by themselves: no cell of them is red
    found: list[Told] = []
    cells = _cells(run, {find.small for find in finds} | {find.cells[0].rpartition("/")[0] for find in finds})
    left = [find for find in finds if not find.rules]
    for cause in causes(cells, groups_of(cells)):
        names = {f"{cell.scenario}/{cell.variant}" for cell in cause.cells}
        mine = [find for find in left if names & _names(find)]
        left = [find for find in left if find not in mine]
        if mine:
            verdict = "" if mine[0].fault.status != "ok" else f", {cause.verdict}"
            found.append(Told(f"{cause.name}{verdict}", tuple(mine)))
    found += [Told(find.fault.words, (find,)) for find in left]
    return (*found, *([Told("a rewritten circuit is another function", tuple(apart))] if apart else []))


def _names(find: Find) -> set[str]:
    """The cells that stand for a find, the smallest one's first."""
    return {f"{find.small}/{variant}" for variant in find.where} | {find.cells[0]}


def _cells(run: Run, scenarios: set[str]) -> list[CellView]:
    """Some scenarios of a run, judged."""
    cells = []
    for block in run.plan.blocks:
        if block.scenario.name in scenarios:
            judged = judge_block(run, block)
            cells += [view_of(run, Place(block, cell.id, cell.variant), judged.get(cell.id)) for cell in block.cells]
    return cells


def ended(run: Run) -> list[tuple[tuple[str, str], int]]:
    """What was refused, or took too long: (status, reason) and the number of cells, the most frequent first."""
    found: Counter[tuple[str, str]] = Counter()
    for outcome in run.outcomes().values():
        if outcome.status in ("unsupported", "timeout"):
            found[SAID[outcome.status], alike(outcome.reason or "")] += 1
    return found.most_common()


def lines(told: Sequence[Told], state: State, ended: Sequence[tuple[tuple[str, str], int]] = ()) -> list[str]:
    """The summary; `ended` are groups of cells that have no verdict."""
    counts = state.counts
    cells = state.drawn
    said = ", ".join(f"{counts[name]} {name}" for name in SORTS if counts.get(name))
    found = [
        f"seed {state.seed}, {', '.join(state.variants)}: {counted(counts.get('circuits', 0), 'circuit')} and their "
        f"rewrites, {counted(cells, 'cell')}{f' ({said})' if said else ''}, {state.spent_s / 60:.1f} min"
    ]
    if passed := counts.get("passed over"):
        found.append(f"{counted(passed, 'circuit')} passed over: they hold what was found often enough")
    number = sum(len(each.finds) for each in told)
    found.append(f"{counted(number, 'find')} of {counted(len(told), 'cause')}" if number else "nothing found")
    for each in told:
        found.append(f"{each.cause}:")
        for find in each.finds:
            found += _about(find)
    for (status, reason), number in ended[:MOST_REASONS]:
        found.append(f"{status}, {counted(number, 'cell')}: {reason}")
    if len(ended) > MOST_REASONS:
        found.append(f"and {counted(len(ended) - MOST_REASONS, 'other reason')}")
    for find in state.finds:
        if not find.recurred:
            found.append(f"not counted: {find.cells[0]} was wrong once ({find.fault.words}) and right when run again")
    return found


def _about(find: Find) -> list[str]:
    device = f"{find.device} {find.diff_method}"
    where = f"on {', '.join(find.where)}" if find.where else ""
    rules = f" ({', '.join(find.rules)})" if find.rules else ""
    count = counted(len(find.cells), "cell")
    return [
        f"  {find.words}{rules}, {device}, {where}: {find.fault.words}, {count}, first {find.cells[0]}",
        f"    {find.reason}",
        f"    {find.script or f'no script: {find.no_script}'}",
    ]


def document(told: Sequence[Told], state: State, run: str) -> Table:
    """A JSON object."""
    return {
        "schema": 1,
        "run": run,
        "seed": state.seed,
        "variants": list(state.variants),
        "spent_s": state.spent_s,
        "counts": dict(state.counts),
        "causes": [{"cause": each.cause, "finds": [asdict(find) for find in each.finds]} for each in told],
        "not_counted": [asdict(find) for find in state.finds if not find.recurred],
    }


def counted(number: int, word: str) -> str:
    """Such as `2 cells`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
