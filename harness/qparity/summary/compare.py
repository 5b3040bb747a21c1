"""What changed between two runs: one mark a cell, in asv's letters.

+ new, - gone, ~ the same verdict at the same stage, ! a worse verdict, * another verdict or stage, x has lost its
verdict (failed, unsupported, not compared). `!` and `x` are what must not pass silently: exit code 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from qparity.records.document import Table
from qparity.summary import json as json_view
from qparity.summary import words
from qparity.summary.speeds import reference_change, relative_speeds, shared_means, shared_scenarios, told
from qparity.summary.view import CellView, RunView
from qparity.timing import NOISE, Interval, Speed, decide

ChangeMark = Literal["+", "-", "~", "!", "*", "x"]
SCHEMA = 1
WORSE: tuple[ChangeMark, ...] = ("!", "x")
# from good to bad; a cell with none of these has no verdict
SEVERITY = ("ROUNDING", "PRECISION-LEAK", "SETUP-FAULT", "LOCAL-FAULT")
NAMES: dict[ChangeMark, str] = {
    "!": "worse", "x": "lost their verdict", "*": "changed", "+": "new", "-": "gone", "~": "the same",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One cell in both runs; None where a run has it not.

    `speed` is how many times as long a step takes in the head run, relative to the reference of either run.
    """

    mark: ChangeMark
    base: CellView | None
    head: CellView | None
    speed: Interval | None = None
    noise: float = NOISE

    @property
    def cell(self) -> CellView:
        """The newer of the two."""
        found = self.head or self.base
        assert found is not None
        return found

    @property
    def line(self) -> str:
        """Such as `! fourier torch: ROUNDING (r 0.23) -> LOCAL-FAULT gradient (r 4.4e4); 1.2x slower [1.1, 1.3]`."""
        sides = [said(cell) for cell in (self.base, self.head) if cell is not None]
        if self.mark == "~" and sides[0] == sides[-1]:
            sides = sides[:1]
        speed = f"; {told(self.speed, decide(self.speed, self.noise))}" if self.speed else ""
        return f"{self.mark} {self.cell.scenario} {self.cell.variant}: {' -> '.join(sides)}{speed}"

    @property
    def silent(self) -> bool:
        """Whether nothing changed: neither the verdict nor, as far as it is resolved, the speed."""
        return self.mark == "~" and (self.speed is None or decide(self.speed, self.noise) is Speed.NOT_RESOLVED)


@dataclass(frozen=True, slots=True, eq=False)
class RunChanges:
    """Two runs, cell by cell: worst changes first.

    `no_speed` says why speeds were not compared; then none is. `reference` is the variant that all of them are relative
    to, and how many times as long its own steps take, unpaired.
    """

    base: str
    head: str
    changes: tuple[Change, ...]
    no_speed: str = ""
    noise: float = NOISE
    reference: tuple[str, float] | None = None

    @property
    def speeds(self) -> dict[str, Interval]:
        """Geometric mean of the speeds of each variant, over the scenarios in which every variant has one."""
        return shared_means(self._found)

    @property
    def _found(self) -> dict[tuple[str, str], Interval]:
        return {(c.cell.scenario, c.cell.variant): c.speed for c in self.changes if c.speed}

    @property
    def speed_lines(self) -> list[str]:
        """Each variant's mean, and what they are relative to."""
        shared = len(shared_scenarios(self._found))
        over = f"over {shared} {'scenario' if shared == 1 else 'scenarios'} that all of them have"
        lines = [f"{v}: {told(r, decide(r, self.noise))}, {over}" for v, r in self.speeds.items()]
        if self.reference and self._found:
            name, times = self.reference
            lines.append(f"relative to {name}, whose own steps take {times:.3g}x as long (unpaired: drift is in it)")
        return lines + ([f"not compared: {self.no_speed}"] if self.no_speed else [])

    @property
    def exit_code(self) -> int:
        """1 if a verdict got worse or was lost, else 0."""
        return int(bool(self.worse))

    @property
    def worse(self) -> tuple[Change, ...]:
        """The changes that fail the comparison."""
        return tuple(change for change in self.changes if change.mark in WORSE)

    @property
    def summary(self) -> str:
        """The counts in words, such as `1 worse, 17 the same`."""
        counts = Counter(change.mark for change in self.changes)
        return ", ".join(f"{counts[mark]} {name}" for mark, name in NAMES.items() if counts[mark]) or "no cells"

    def lines(self) -> list[str]:
        """For people: every change but the cells that are the same, speeds over all, then the counts."""
        speed = [f"speed: {line}" for line in self.speed_lines]
        changed = [c.line for c in self.changes if not c.silent]
        return [*changed, *speed, f"{self.base} -> {self.head}: {self.summary}"]

    def document(self) -> Table:
        """For scripts: `schema, base, head, exit_code, counts, speed, no_speed, reference (variant, and how many
        times as long its own steps take, unpaired), cells`; a cell is one of `check --json`
        with `change` (the mark), `speed` (`ratio, ratio_low, ratio_high, speed` or null) and `base`, the same cell in
        the base run or null; a cell that is gone is the base's."""
        return {
            "schema": SCHEMA,
            "base": self.base,
            "head": self.head,
            "exit_code": self.exit_code,
            "counts": dict(Counter(change.mark for change in self.changes)),
            "speed": {variant: _speed(ratio, self.noise) for variant, ratio in self.speeds.items()},
            "no_speed": self.no_speed or None,
            "reference": dict(zip(("variant", "times"), self.reference, strict=True)) if self.reference else None,
            "cells": [
                json_view.cell(c.cell)
                | {
                    "change": c.mark,
                    "line": c.line,
                    "speed": None if c.speed is None else _speed(c.speed, c.noise),
                    "base": None if c.base is None else json_view.cell(c.base),
                }
                for c in self.changes
            ],
        }


def compare(base: RunView, head: RunView) -> RunChanges:
    """Every cell of either run, matched by scenario and variant."""
    ours, theirs = ({(c.scenario, c.variant): c for c in view.cells} for view in (base, head))
    speeds, why_not = relative_speeds(base.cells, head.cells)
    changes, noise = [], max(base.noise, head.noise)
    for place in {**theirs, **ours}:
        sides = ours.get(place), theirs.get(place)
        changes.append(Change(_mark(*sides), *sides, speeds.get(place), noise))
    marks = list(NAMES)
    changes.sort(key=lambda change: marks.index(change.mark))
    timed = any(cell.timing for view in (base, head) for cell in view.cells)
    untold = "" if speeds or not timed else why_not
    reference = reference_change(base.cells, head.cells)
    return RunChanges(base.id, head.id, tuple(changes), untold, noise, reference)


def said(cell: CellView) -> str:
    """What is said of a cell, in a few words."""
    if cell.verdict not in SEVERITY:
        return cell.verdict or cell.status
    place = f" {cell.stage}" if cell.verdict != "ROUNDING" and cell.stage else ""
    return f"{cell.verdict}{place}" + (f" (r {words.number(cell.r)})" if cell.r is not None else "")


def _speed(ratio: Interval, noise: float) -> Table:
    return {**json_view.interval(ratio), "speed": str(decide(ratio, noise))}


def _mark(base: CellView | None, head: CellView | None) -> ChangeMark:
    if base is None:
        return "+"
    if head is None:
        return "-"
    before, after = _severity(base), _severity(head)
    if after is None:
        return (
            "~"
            if before is None and (base.status, base.verdict) == (head.status, head.verdict)
            else ("*" if before is None else "x")
        )
    if before is None:
        return "!" if after else "*"
    if before != after:
        return "!" if after > before else "*"
    return "~" if after == 0 or base.stage == head.stage else "*"


def _severity(cell: CellView) -> int | None:
    return SEVERITY.index(cell.verdict) if cell.verdict in SEVERITY else None
