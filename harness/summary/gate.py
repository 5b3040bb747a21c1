"""What `check` is told beside the run: expectations and a floor of coverage, and how a run can fall short of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.summary.view import CellView

if TYPE_CHECKING:
    from harness.parity.expectation import Expectation
    from harness.store import Run


@dataclass(frozen=True, slots=True)
class Floor:
    """How many cells must have been compared: a number of them, or a share (0 to 1) of those planned."""

    least: float
    share: bool

    @classmethod
    def parse(cls, text: str) -> Floor:
        """`12` is a number of cells, `0.8` and `1.0` are shares; ValueError otherwise."""
        share = "." in text
        least = float(text) if share else int(text)
        if least < 0 or (share and not least <= 1):
            raise ValueError(text)
        return cls(least, share)

    def of(self, planned: int) -> float:
        """The number of cells asked for."""
        return self.least * planned if self.share else self.least

    def __str__(self) -> str:
        return f"{self.least:.0%}" if self.share else f"{self.least:g}"


@dataclass(frozen=True, slots=True)
class Gate:
    """The expectations of a file, judged on a day, and the floor."""

    expectations: tuple[Expectation, ...] = ()
    floor: Floor | None = None
    today: datetime.date = field(default_factory=datetime.date.today)

    def of(self, scenario: str, variant: str, versions: Mapping[str, str]) -> Expectation | None:
        """The first entry that speaks of a cell and has not expired."""
        for e in self.expectations:
            if e.expires >= self.today and e.selects(scenario, variant) and e.holds_for(versions):
                return e
        return None

    def unmet(self, run: Run) -> tuple[str, ...]:
        """A line for each entry that has expired, fits no cell, or cannot apply."""
        planned = [(s["name"], variant, versions_of(run, cell_id)) for s, cell_id, variant in run.planned()]
        return tuple(line for e in self.expectations if (line := self._problem(e, planned)))

    def shortfall(self, cells: Sequence[CellView]) -> tuple[str, ...]:
        """A line if the floor is not reached. A cell counts if its verdict rests on a comparison."""
        if self.floor is None:
            return ()
        compared = sum(cell.verdict not in (None, "NOT-COMPARED") for cell in cells)
        if compared >= self.floor.of(len(cells)):
            return ()
        return (f"Coverage: {compared} of {len(cells)} cells were compared, --min-compared asks for {self.floor}.",)

    def _problem(self, e: Expectation, planned: Sequence[tuple[str, str, dict[str, str]]]) -> str | None:
        selected = [cell for cell in planned if e.selects(cell[0], cell[1])]
        if e.expires < self.today:
            return f"Expectation {e} expired on {e.expires}."
        if not selected:
            return f"Expectation {e} fits no cell of this run."
        if any(versions for *_, versions in selected) and not any(e.recorded(versions) for *_, versions in selected):
            return f"Expectation {e} asks about a package of which no worker recorded a version."
        if all(self.of(*cell) not in (None, e) for cell in selected):
            return f"Expectation {e} is never reached: entries before it take all its cells."
        return None


def versions_of(run: Run, cell_id: str) -> dict[str, str]:
    """The package versions that the worker of a cell recorded; none where the cell never reached one."""
    worker = (run.outcome(cell_id) or {}).get("worker")
    about = (run.record.get("workers") or {}).get(worker) or {}
    return dict(about.get("versions") or {})
