"""What changed between two runs: one mark a cell, in asv's letters.

+ new, - gone, ~ the same verdict at the same stage, ! a worse verdict, * another verdict or stage, x has lost its
verdict (failed, unsupported, not compared). `!` and `x` are what must not pass silently: exit code 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from harness.summary import json as json_view
from harness.summary import words
from harness.summary.view import CellView, RunView

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
    """One cell in both runs; None where a run has it not."""

    mark: ChangeMark
    base: CellView | None
    head: CellView | None

    @property
    def cell(self) -> CellView:
        """The newer of the two."""
        found = self.head or self.base
        assert found is not None
        return found

    @property
    def line(self) -> str:
        """Such as `! fourier torch: ROUNDING (r 0.23) -> LOCAL-FAULT gradient (r 4.4e4)`."""
        sides = [said(cell) for cell in (self.base, self.head) if cell is not None]
        if self.mark == "~" and sides[0] == sides[-1]:
            sides = sides[:1]
        return f"{self.mark} {self.cell.scenario} {self.cell.variant}: {' -> '.join(sides)}"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two runs, cell by cell: worst changes first."""

    base: str
    head: str
    changes: tuple[Change, ...]

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
        """For people: every change but the cells that are the same, then the counts."""
        return [c.line for c in self.changes if c.mark != "~"] + [f"{self.base} -> {self.head}: {self.summary}"]

    def document(self) -> dict[str, Any]:
        """For scripts: `schema, base, head, exit_code, counts, cells`; a cell is one of `check --json` with `change`
        (the mark) and `base`, the same cell in the base run or null; a cell that is gone is the base's."""
        return {
            "schema": SCHEMA,
            "base": self.base,
            "head": self.head,
            "exit_code": self.exit_code,
            "counts": dict(Counter(change.mark for change in self.changes)),
            "cells": [
                json_view.cell(c.cell)
                | {"change": c.mark, "line": c.line, "base": None if c.base is None else json_view.cell(c.base)}
                for c in self.changes
            ],
        }


def compare(base: RunView, head: RunView) -> Comparison:
    """Every cell of either run, matched by scenario and variant."""
    ours, theirs = ({(c.scenario, c.variant): c for c in view.cells} for view in (base, head))
    changes = [_change(ours.get(place), theirs.get(place)) for place in {**theirs, **ours}]
    marks = list(NAMES)
    return Comparison(base.id, head.id, tuple(sorted(changes, key=lambda change: marks.index(change.mark))))


def said(cell: CellView) -> str:
    """What is said of a cell, in a few words."""
    if cell.verdict not in SEVERITY:
        return cell.verdict or cell.status
    place = f" {cell.stage}" if cell.verdict != "ROUNDING" and cell.stage else ""
    return f"{cell.verdict}{place}" + (f" (r {words.number(cell.r)})" if cell.r is not None else "")


def _change(base: CellView | None, head: CellView | None) -> Change:
    return Change(_mark(base, head), base, head)


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
        return "*"
    if before != after:
        return "!" if after > before else "*"
    return "~" if after == 0 or base.stage == head.stage else "*"


def _severity(cell: CellView) -> int | None:
    return SEVERITY.index(cell.verdict) if cell.verdict in SEVERITY else None
