"""Which variant is the fastest for a training of so many steps: start and steps together, where the data decide it.

A variant is surely ahead of another for N steps if even the slowest of its starts and the largest that their ratio may
be leave its total below the other's: the same ends of the same intervals that a break-even is made of. What is surely
ahead of all others is the answer; else all that nothing is surely ahead of. Only cells that agree are compared, and a
variant that disagrees anywhere in the run is left out and named. Imports are not counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qparity.summary.view import CellView, RunView
from qparity.timing import ONE, Interval, surely_ahead

MOST = 10**9
"""Steps; what does not change below that does not change."""

Block = Sequence[CellView]
"""The cells of one scenario."""


@dataclass(frozen=True, slots=True)
class Answer:
    """From `start` steps on, up to where the next answer starts: what may be fastest, one variant if it surely is.

    `wins` counts the scenarios in which a variant surely is.
    """

    start: int
    best: tuple[str, ...]
    wins: Mapping[str, int]
    scenarios: int

    @property
    def coarse(self) -> str:
        """What is said without counting scenarios."""
        if len(self.best) > 1 and sum(self.wins.values()) == self.scenarios:
            return f"{' or '.join(self.best)}, depending on the scenario"
        return self.said.partition(" (surely")[0]

    @property
    def said(self) -> str:
        """Such as `jax-jit`, or `cannot tell between torch and jax-jit`."""
        if len(self.best) == 1:
            return self.best[0]
        if sum(self.wins.values()) == self.scenarios:
            counts = ", ".join(f"{name} in {count}" for name, count in self.wins.items())
            return f"it depends on the scenario: {counts} of {self.scenarios}"
        names = f"{', '.join(self.best[:-1])} and {self.best[-1]}"
        some = [f"{name} in {count} of {self.scenarios}" for name, count in self.wins.items()]
        return f"cannot tell between {names}" + (f" (surely {', '.join(some)} scenarios)" if some else "")


@dataclass(frozen=True, slots=True)
class Choice:
    """The answers for some scenarios, by rising number of steps."""

    name: str
    scenarios: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def ranges(self) -> tuple[str, ...]:
        """Such as `up to 130 steps: torch`, `from 131 steps on: jax-jit`; in how many scenarios is left out."""
        coarse: list[tuple[int, str]] = []
        for answer in self.answers:
            if not coarse or coarse[-1][1] != answer.coarse:
                coarse.append((answer.start, answer.coarse))
        ends = [*(start - 1 for start, _ in coarse[1:]), None]
        return tuple(f"{_steps(start, end)}: {said}" for (start, said), end in zip(coarse, ends, strict=True))


def choices(view: RunView) -> tuple[Choice, ...]:
    """First of all timed scenarios together, then of each; empty if nothing was timed on two variants that agree."""
    blocks = timed(view)
    if not blocks:
        return ()
    names = tuple(cells[0].scenario for cells in blocks)
    every = Choice(f"all {len(names)} timed scenarios" if len(names) > 1 else names[0], names, answers(blocks))
    each = [Choice(name, (name,), answers([cells])) for name, cells in zip(names, blocks, strict=True)]
    return (every, *(each if len(names) > 1 else ()))


def timed(view: RunView) -> list[Block]:
    """The scenarios with at least two candidates, and those: cells that agree and were timed.

    A variant that disagrees in any scenario is no candidate.
    """
    blocks: dict[str, list[CellView]] = {}
    for cell in view.cells:
        if cell.mark == "pass" and cell.timing is not None and cell.variant not in view.wrong:
            blocks.setdefault(cell.scenario, []).append(cell)
    return [cells for cells in blocks.values() if len(cells) > 1]


def answers(blocks: Sequence[Block]) -> tuple[Answer, ...]:
    """For these scenarios; neighbours that say the same are one."""
    regions = [_regions(cells) for cells in blocks]
    order = dict.fromkeys(cell.variant for cells in blocks for cell in cells)
    turns = {n for each in regions for region in each.values() for n in region if 1 < n < MOST}
    found: list[Answer] = []
    for start in sorted({1, *turns}):
        per = [_best(cells, each, start) for cells, each in zip(blocks, regions, strict=True)]
        wins = Counter(best[0] for best in per if len(best) == 1)
        named = {name for best in per for name in best}
        answer = Answer(start, tuple(name for name in order if name in named), dict(wins), len(per))
        if not found or (found[-1].best, found[-1].wins) != (answer.best, answer.wins):
            found.append(answer)
    return tuple(found)


def _best(cells: Block, regions: Mapping[tuple[str, str], tuple[int, int]], steps: int) -> tuple[str, ...]:
    """The variants that nothing is surely ahead of, for so many steps; one that is surely ahead of all, alone."""
    names = [cell.variant for cell in cells]
    ahead = {pair for pair, (first, end) in regions.items() if first <= steps < end}
    for name in names:
        if all((name, other) in ahead for other in names if other != name):
            return (name,)
    return tuple(name for name in names if not any((other, name) in ahead for other in names))


def _regions(cells: Block) -> dict[tuple[str, str], tuple[int, int]]:
    """(variant, other) -> the steps [first, end) at which it is surely ahead, ends inwards to two digits."""
    found = {}
    for mine in cells:
        for theirs in cells:
            if mine is not theirs and (region := ahead_of(mine, theirs)):
                found[mine.variant, theirs.variant] = region
    return found


def ahead_of(mine: CellView, theirs: CellView) -> tuple[int, int] | None:
    """At which steps, [first, end), a cell's training is surely the shorter one; None if at none."""
    a, b = mine.timing, theirs.timing
    assert a
    assert b
    noise = max(a.noise, b.noise)
    low = (b.ratio or ONE).low
    most = (a.ratio or ONE).high * (1 + noise) / low if low > 0 else math.inf
    step = Interval(b.step_ends_s[0], b.step_s, b.step_ends_s[1])
    low, high = surely_ahead(a.start_ends_s, b.start_ends_s, step, most)
    first, end = round_up(max(low, 0.0) + 1e-9), _round_down(high)
    return (max(first, 1), end) if max(first, 1) < end else None


def round_up(steps: float) -> int:
    """To two digits, upwards: 4312 becomes 4400."""
    if steps >= MOST:
        return MOST
    whole = math.ceil(steps)
    unit = 10 ** max(0, len(str(whole)) - 2)
    return math.ceil(whole / unit) * unit


def _round_down(steps: float) -> int:
    if steps >= MOST:
        return MOST
    whole = math.floor(steps)
    unit = 10 ** max(0, len(str(max(whole, 1))) - 2)
    return whole // unit * unit


def _steps(start: int, end: int | None) -> str:
    if end is None:
        return f"from {spaced(start)} steps on" if start > 1 else "for any number of steps"
    if start == end:
        return f"for {spaced(start)} step{'' if start == 1 else 's'}"
    return f"up to {spaced(end)} steps" if start == 1 else f"{spaced(start)} to {spaced(end)} steps"


def spaced(steps: int) -> str:
    """Such as `17 000`, which does not break."""
    return f"{steps:,}".replace(",", "\N{NO-BREAK SPACE}")
