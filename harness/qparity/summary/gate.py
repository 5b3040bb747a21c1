"""What `check` is told beside the run: expectations, a floor of coverage, a largest slowdown."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qparity.summary.judging import WITHIN_S
from qparity.summary.speeds import ratio_phrase, relative_speeds
from qparity.summary.view import CellView, RunView

if TYPE_CHECKING:
    from qparity.parity.expectation import Expectation
    from qparity.store import Run


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
    """The expectations of a file, judged on a day, the floors, and the largest slowdown that passes.

    `least_judged` is the share (0 to 1) of each cell's tensors of all steps that something independent must have
    judged; with `require_judge` a cell that is PEERS-AGREE counts as not compared.

    `max_slowdown` is of a variant against `reference`, or, where there is a `base` run, against itself in that run.
    `within_s` is how long the oracle may take for one cell.
    """

    expectations: tuple[Expectation, ...] = ()
    floor: Floor | None = None
    least_judged: float | None = None
    require_judge: bool = False
    today: datetime.date = field(default_factory=datetime.date.today)
    max_slowdown: float | None = None
    reference: str | None = None
    base: RunView | None = None
    within_s: float = WITHIN_S

    def of(self, scenario: str, variant: str, versions: Mapping[str, str]) -> Expectation | None:
        """The first entry that speaks of a cell and has not expired."""
        for e in self.expectations:
            if e.expires >= self.today and e.selects(scenario, variant) and e.holds_for(versions):
                return e
        return None

    def unmet(self, run: Run) -> tuple[str, ...]:
        """A line for each entry that has expired, fits no cell, or cannot apply."""
        if not self.expectations:  # else every outcome would be read again
            return ()
        planned = [(b.scenario.name, variant, versions_of(run, cell_id)) for b, cell_id, variant in run.planned()]
        return tuple(line for e in self.expectations if (line := self._problem(e, planned)))

    def shortfall(self, cells: Sequence[CellView]) -> tuple[str, ...]:
        """A line if the floor is not reached. A cell counts if its verdict rests on a comparison."""
        if self.floor is None:
            return ()
        compared = sum(cell.verdict not in (None, "NOT-COMPARED") for cell in cells)
        if compared >= self.floor.of(len(cells)):
            return ()
        return (f"Coverage: {compared} of {len(cells)} cells were compared, --min-compared asks for {self.floor}.",)

    def unjudged(self, cells: Sequence[CellView]) -> tuple[str, ...]:
        """A line for each cell of which too little was judged."""
        if self.least_judged is None:
            return ()
        ran = [cell for cell in cells if cell.status == "ok"]
        few = [cell for cell in ran if cell.judged < self.least_judged * max(cell.judgeable, 1)]
        asked = f"--min-judged asks for {self.least_judged:.0%}"
        return tuple(f"Judged: {c.judged} of {c.judgeable} tensors of all steps of {c.name}, {asked}." for c in few)

    def slowdown(self, cells: Sequence[CellView]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A line for each cell that is certainly slower than allowed; a line for each that lost its place, or one if
        nothing could be compared.

        Certainly: its whole interval lies above `max_slowdown`. Only times that were earned count. A reference that got
        slower itself is not seen: all is relative to it.
        """
        if self.max_slowdown is None:
            return (), ()
        earned = [cell for cell in cells if cell.timing is not None and cell.speed != "struck"]
        if self.base is not None:
            found, why_not = relative_speeds(self.base.cells, earned)
            wanted = {(c.scenario, c.variant) for c in self.base.cells if c.timing and c.timing.ratio}
            than = f"its time relative to the reference in {self.base.id}"
        else:
            mine = [(c, c.timing) for c in earned if c.timing and self.reference in (None, c.timing.reference)]
            found = {(c.scenario, c.variant): timing.ratio for c, timing in mine if timing.ratio}
            wanted = {(c.scenario, c.variant) for c in cells if c.untimed}
            why_not = f"no cell was timed against {self.reference or 'another'}"
            than = f"the time of {' or '.join(dict.fromkeys(timing.reference for _, timing in mine))}"
        slow = tuple(
            f"Speed: {scenario} {variant} takes {ratio_phrase(ratio)} {than}, more than {self.max_slowdown:g}x."
            for (scenario, variant), ratio in found.items()
            if ratio.low > self.max_slowdown
        )
        lost = [
            c for c in cells if (c.scenario, c.variant) in wanted - found.keys() and c.mark not in ("fail", "error")
        ]
        if not found and not any(cell.untimed for cell in lost):
            return slow, (f"Speed: nothing was compared: {why_not}.",)
        return slow, tuple(f"Speed: {c.scenario} {c.variant} was not compared: {_why_lost(c)}." for c in lost)

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


def _why_lost(cell: CellView) -> str:
    if cell.untimed or cell.status != "ok":
        return cell.untimed or f"{cell.status}: {cell.reason}"
    return "timed against another reference, or with other settings" if cell.timing else "it was not timed"


def versions_of(run: Run, cell_id: str) -> dict[str, str]:
    """The package versions that the worker of a cell recorded; none where the cell never reached one."""
    outcome = run.outcome(cell_id)
    worker = run.record.workers.get(outcome.worker or "") if outcome else None
    return dict(worker.versions) if worker else {}
