"""Which backend should I use? Answered from paired times of cells that agree, or not at all.

A variant is recommended for a set of scenarios only if it passed all of them, no other variant that passed is as
fast in any of them (the intervals do not overlap), and it disagrees nowhere in the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from qparity.scenario.variant import ALL, every_mode
from qparity.summary.choice import MOST, ahead_of, spaced
from qparity.summary.view import CellView, RunView
from qparity.timing import ONE, Interval

EVERYWHERE = "wherever it was timed"
SETTINGS = ("device", "diff_method", "wires")
NEVER = "in no scenario do two variants agree that were timed"
ALONE = "nothing was timed: a speed is a ratio, of two variants that train to the end in one scenario"
EVERY_MODE = f"`-v {ALL}` runs every mode"
FEW = 10
"""A slower start that has paid off within so few steps is not mentioned."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One variant for some scenarios.

    `faster` is how many times the next best variant's step takes at least, smallest and largest over the scenarios;
    from `steps` training steps on its start has paid (1: it always has), before that `before` is ahead. `unstable` says
    how many of these times are not to be relied on. `absent` are the modes that were not run, and might be faster.
    """

    variant: str
    where: str
    scenarios: int
    faster: tuple[float, float]
    steps: int
    before: str | None
    unstable: Literal["all", "some"] | None = None
    absent: tuple[str, ...] = ()

    @property
    def steady(self) -> str:
        """Where and by how much its step is faster, such as `with lightning.qubit (3 timed scenarios): ...`."""
        low, high = (f"{end:.0f}" if end >= 10 else f"{end:.3g}" for end in self.faster)
        timed = "1 timed scenario" if self.scenarios == 1 else f"{self.scenarios} timed scenarios"
        most = "" if low == high else f" ({high}x where most)"
        return f"{self.where} ({timed}): a step at least {low}x faster than the next best that was run and agrees{most}"

    @property
    def start(self) -> str:
        """From when on a slower start has paid; empty if it always has."""
        if self.steps <= 1:
            return ""
        text = f", and its slower start (imports not counted) has paid from {spaced(self.steps)} steps on"
        return text + (f" (for few steps take {self.before})" if self.before else "")

    @property
    def reserve(self) -> str:
        """What is to be said against it."""
        text = f"; {self.unstable} of these times are not to be relied on" if self.unstable else ""
        return text + (f"; not run: {', '.join(self.absent)} ({EVERY_MODE})" if self.absent else "")

    @property
    def conditions(self) -> str:
        """Everything but the variant's name."""
        return self.steady + self.start + self.reserve


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What can be said, and a line for each set of scenarios about which nothing can."""

    advice: tuple[Advice, ...] = ()
    silent: tuple[str, ...] = ()


def recommend(view: RunView) -> Recommendation:
    """One answer for the whole run if there is one, else one for each device and method, else for each size."""
    scenarios = _timed(view)
    unmeasured = (view.untimed,) if view.untimed else ()
    if not scenarios:
        return Recommendation((), unmeasured or (NEVER if any(cell.timing for cell in view.cells) else ALONE,))
    faulty = {variant: cells[-1].scenario for variant, cells in view.wrong.items()}
    found = list(_answers(scenarios, faulty, EVERYWHERE, SETTINGS))
    missing = absent(view)
    return Recommendation(
        tuple(replace(item, absent=missing) for item in found if isinstance(item, Advice)),
        (*(item for item in found if isinstance(item, str)), *unmeasured),
    )


def absent(view: RunView) -> tuple[str, ...]:
    """The modes of every backend that the run has no cell of, on the accelerators that it ran on."""
    places = dict.fromkeys(name.partition("@")[2] or "cpu" for name in view.variants)
    return tuple(name for place in places for mode in every_mode(place) if (name := str(mode)) not in view.variants)


Block = Sequence[CellView]
"""The cells of one scenario."""


def _timed(view: RunView) -> list[Block]:
    """The scenarios on which at least two variants agree and were timed."""
    blocks: dict[str, list[CellView]] = {}
    for cell in view.cells:
        blocks.setdefault(cell.scenario, []).append(cell)
    return [cells for cells in blocks.values() if len(_candidates(cells)) > 1]


def _answers(
    scenarios: Sequence[Block], faulty: Mapping[str, str], where: str, settings: Sequence[str]
) -> Iterator[Advice | str]:
    """Advice for these scenarios; if there is none, for each value of the first setting that tells them apart."""
    best = _best(scenarios, faulty)
    if isinstance(best, CellView):
        yield _advice(best.variant, scenarios, where)
        return
    for i, name in enumerate(settings):
        groups: dict[str, list[Block]] = {}
        for cells in scenarios:
            groups.setdefault(str(getattr(cells[0].settings, name, None)), []).append(cells)
        if len(groups) > 1:
            for value, group in groups.items():
                yield from _answers(group, faulty, _named(where, name, value), settings[i + 1 :])
            return
    yield f"{where}: {best}"


def _named(where: str, name: str, value: str) -> str:
    words = f"on {value} wire{'' if value == '1' else 's'}" if name == "wires" else f"with {value}"
    return words if where == EVERYWHERE else f"{where} {words.replace('with', 'and') if 'with' in where else words}"


def _best(scenarios: Sequence[Block], faulty: Mapping[str, str]) -> CellView | str:
    """A cell of the variant that is fastest in every scenario, or why there is none."""
    winners: dict[str, CellView] = {}
    for cells in scenarios:
        first, second, *_ = sorted(_candidates(cells), key=lambda cell: _ratio(cell).estimate)
        noise = max(cell.timing.noise for cell in _candidates(cells) if cell.timing)
        if _ratio(first).high * (1 + noise) >= min(_ratio(c).low for c in _candidates(cells) if c is not first):
            return f"{first.variant} and {second.variant} cannot be told apart ({first.scenario})"
        winners[first.variant] = first
    if len(winners) > 1:
        return f"{' or '.join(winners)}, depending on the scenario"
    (winner,) = winners.values()
    if winner.variant in faulty:
        return f"{winner.variant} is fastest, but disagrees in {faulty[winner.variant]}"
    return winner


def _advice(variant: str, scenarios: Sequence[Block], where: str) -> Advice:
    factors, steps = [], 1
    for cells in scenarios:
        winner = next(cell for cell in _candidates(cells) if cell.variant == variant)
        others = [cell for cell in _candidates(cells) if cell is not winner]
        factors.append(min(_ratio(cell).low for cell in others) / _ratio(winner).high)
        steps = max(steps, *(_ahead_from(winner, other) for other in others))
    marks = {cell.timing.unstable for cells in scenarios for cell in _candidates(cells) if cell.timing}
    unstable: Literal["all", "some"] | None = "all" if marks == {True} else "some" if True in marks else None
    faster = min(factors), max(factors)
    if steps < FEW:
        return Advice(variant, where, len(scenarios), faster, 1, None, unstable)
    early = {min(_candidates(cells), key=lambda cell: _total_s(cell, steps / 10)).variant for cells in scenarios}
    before = early.pop() if len(early) == 1 else None
    return Advice(variant, where, len(scenarios), faster, steps, before, unstable)


def _ahead_from(winner: CellView, other: CellView) -> int:
    """Steps from which on the winner's total time is surely the smaller."""
    region = ahead_of(winner, other)
    return region[0] if region else MOST


def _candidates(cells: Block) -> list[CellView]:
    """Cells that agree and were timed."""
    return [cell for cell in cells if cell.mark == "pass" and cell.timing is not None]


def _ratio(cell: CellView) -> Interval:
    return (cell.timing and cell.timing.ratio) or ONE


def _total_s(cell: CellView, steps: float) -> float:
    """Seconds from the end of the imports to the end of so many steps."""
    return cell.timing.start_s + steps * cell.timing.step_s if cell.timing else math.inf
