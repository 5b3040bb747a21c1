"""Timing within a wall-clock budget for all blocks of a run: first each its fewest rounds, then where it tells most.

The clock does not look at the numbers. Where the rest goes does: to the block whose widest interval is the widest, and
in it to the pairs that are not yet as narrow as asked. That looks at widths alone, never at which side of 1 a ratio
lies, as the rule that stops a pair at its target width does (measured by `benchmarks/aa_calibration.py --budget`).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qparity.records.run import LONGEST_BUDGET_S
from qparity.runner.rounds import LEAST_ROUNDS, Bench, Lane, generation
from qparity.runner.timing import most_children, parties
from qparity.scenario.errors import ScenarioError
from qparity.timing.ratios import paired_ratio

FEWEST = 6
"""Rounds of a pair below which it has no interval (`timing.intervals.median_interval`)."""
PILOT_STEPS = 4
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
END_S = 0.3
"""Seconds to end a process."""
ROOMY = 2.0
"""How many generations there must be time for, for a batch of `predict` to be compiled and timed in one of them."""


def parse_seconds(text: str, key: str = "--budget") -> float:
    """`90s`, `2m` or `1.5h` in seconds; ScenarioError, which blames `key`, on anything else."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", text)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_BUDGET_S:
        raise ScenarioError("a time such as 90s, 2m or 1h", key=key, value=text)
    return seconds


@dataclass
class Budget:
    """Seconds given for the timing of a run, and how many of them have been spent since it was begun."""

    given_s: float
    spent_before_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        """Until now."""
        return self.spent_before_s + time.monotonic() - self.began

    @property
    def ends(self) -> float:
        """When it does, by `time.monotonic`."""
        return self.began + self.given_s - self.spent_before_s

    @property
    def left_s(self) -> float:
        """Until it ends; negative where it has been overdrawn."""
        return self.ends - time.monotonic()


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds until a fresh process of a lane waits for its first round, and of a round of it."""

    start_s: float
    round_s: float

    @classmethod
    def recorded(cls, phases: Mapping[str, float], stretch_s: float) -> Cost:
        """What the recorded training of a cell lets expect."""
        step_s = phases.get("step_s", 0.0)
        round_s = max(stretch_s, 2 * step_s)
        started = sum(phases.get(name, 0.0) for name in ("spawn_s", "build_s", "first_step_s"))
        return cls(started + PILOT_STEPS * step_s + round_s, round_s)


@dataclass(eq=False)
class Course:
    """A block on its way to its target. `costs` of its lanes are expected, until they are known."""

    bench: Bench
    lanes: list[Lane]
    costs: dict[str, Cost]

    def __post_init__(self) -> None:
        self.number = 1 + max((each.child for each in self.bench.record.rounds), default=-1)

    def processes(self, lane: Lane) -> int:
        """How many processes of a lane have been measured to their end."""
        known = self.bench.record.lanes.get(lane.name)
        return len(known.children) if known else 0

    def predicted(self, lane: Lane) -> bool:
        """Whether a batch of `predict` has been timed."""
        known = self.bench.record.lanes.get(lane.name)
        return known is not None and any(child["inference_s"] is not None for child in known.children)

    @property
    def timed(self) -> list[Lane]:
        """The lanes that are not left out; the first is the one to compare with."""
        return [lane for lane in self.lanes if lane.name not in self.bench.record.left_out]

    def width(self, base: str, name: str) -> float:
        """The relative half-width of a pair's ratio; infinite where there is none yet."""
        times, theirs, children = self.bench.record.pair(base, name)
        if not times:
            return math.inf
        ratio = paired_ratio(times, theirs, children)
        return ratio.half_width / ratio.estimate

    def reached(self, base: str, name: str) -> bool:
        """Whether a pair is as narrow as asked."""
        return self.width(base, name) <= self.bench.options.target_width

    def open(self) -> list[tuple[float, Lane]]:
        """The pairs that more rounds are for, by their width, the widest first."""
        if not self.timed:
            return []
        base, *others = self.timed
        options, found = self.bench.options, []
        for lane in others:
            rounds = len(self.bench.record.pair(base.name, lane.name)[0])
            processes = self.processes(lane)
            enough = self.reached(base.name, lane.name) or rounds >= options.rounds
            if processes < options.children or (not enough and processes < 2 * options.children):
                found.append((self.width(base.name, lane.name), lane))
        return sorted(found, key=lambda pair: -pair[0])

    def cost(self, lane: Lane) -> Cost:
        """Of a lane: as its processes have shown, else as expected."""
        known = self.bench.record.lanes.get(lane.name)
        if known is None or not known.children:
            return self.costs[lane.name]
        samples = [each.samples[lane.name].wall_s for each in self.bench.record.rounds if lane.name in each.samples]
        round_s = float(np.median(samples)) if samples else self.costs[lane.name].round_s
        phases: list[Mapping[str, float]] = [child["phases"] for child in known.children]  # type: ignore[misc]
        started = [sum(each.get(name, 0.0) for name in ("spawn_s", "build_s", "pilot_s")) for each in phases]
        return Cost(float(np.mean(started)) + round_s, round_s)

    def cost_s(self, party: Sequence[Lane], rounds: int) -> float:
        """Seconds of a generation of these lanes with so many rounds."""
        costs = [self.cost(lane) for lane in party]
        return sum(cost.start_s + END_S + rounds * cost.round_s for cost in costs)


async def time_within(budget: Budget, courses: Sequence[Course], measured: Callable[[Course], None]) -> None:
    """Measure until all pairs are as narrow as asked, or what is left of the budget holds no further generation.

    Args:
        budget: of the whole run.
        courses: its blocks; those that were begun before go on from where they were.
        measured: told after every generation; to store it.
    """
    surprise = [1.0]
    for course, party in sorted(_unmeasured(courses), key=lambda each: each[0].cost_s(each[1], FEWEST)):
        expected = course.cost_s(party, FEWEST)
        if expected * float(np.median(surprise)) > budget.left_s:
            continue
        start = time.monotonic()
        await _generation(budget, course, party, (FEWEST, FEWEST), inference=False)
        surprise.append((time.monotonic() - start) / expected)
        measured(course)
    while (chosen := _widest(budget, courses)) is not None:
        course, party = chosen
        roomy = budget.left_s > ROOMY * course.cost_s(party, LEAST_ROUNDS)
        inference = roomy and not any(map(course.predicted, party))
        await _generation(budget, course, party, (LEAST_ROUNDS, course.bench.options.quota), inference)
        measured(course)


def _unmeasured(courses: Sequence[Course]) -> list[tuple[Course, list[Lane]]]:
    """The parties of which a lane has not been measured at all."""
    every = [(course, party) for course in courses for party in parties(course.timed, most_children())]
    return [(course, party) for course, party in every if len(party) > 1 and not all(map(course.processes, party))]


def _widest(budget: Budget, courses: Sequence[Course]) -> tuple[Course, list[Lane]] | None:
    """The block with the widest interval that there is time for, and its open lanes beside the first, or one alone."""
    begun = [(course.open(), course) for course in courses if any(map(course.processes, course.lanes))]
    for pairs, course in sorted((each for each in begun if each[0]), key=lambda each: -each[0][0][0]):
        base, lanes = course.timed[0], [lane for _, lane in pairs]
        for party in ([base, *lanes[: max(1, most_children() - 1)]], [base, lanes[0]]):
            if course.cost_s(party, LEAST_ROUNDS) <= budget.left_s:
                return course, party
    return None


async def _generation(
    budget: Budget, course: Course, party: Sequence[Lane], rounds: tuple[int, int], inference: bool
) -> None:
    number, course.number = course.number, course.number + 1
    await generation(course.bench, party, number, rounds, course.reached, budget.ends, budget.ends, inference)
