"""How a step time grows with wires, layers or batch: a fitted exponent, and between which sizes two variants cross."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, count, pairwise

import numpy as np
from scipy import special

from qparity.scenario.schema import ABOUT, Scenario
from qparity.timing.intervals import CONFIDENCE, Interval
from qparity.timing.ratios import quotient
from qparity.timing.speed import NOISE, Speed, decide

AXES = ("wires", "layers", "batch size")
LEAST_SIZES = 3
WIDEST = 1.0


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """`time = scale * size ** exponent` (seconds), over the sizes that were measured."""

    scale: float
    exponent: Interval

    @property
    def told(self) -> bool:
        """Whether the exponent's interval says anything: one wider than 1 holds constant and linear growth alike."""
        return self.exponent.high - self.exponent.low <= WIDEST

    def at(self, size: float) -> float:
        """Seconds at a size."""
        return self.scale * size**self.exponent.estimate


def fit_power_law(sizes: Sequence[float], times_s: Sequence[float], confidence: float = CONFIDENCE) -> PowerLaw:
    """Least squares of log(time) on log(size), with Student's interval of the slope (n - 2 degrees of freedom).

    For wires give the state's size, 2 ** wires: exponent 1 is then "linear in the statevector". With two sizes the
    interval is infinite.

    Raises:
        ValueError: fewer than two different sizes, or a size or time that is not positive.
    """
    x, y = np.asarray(sizes, dtype=np.float64), np.asarray(times_s, dtype=np.float64)
    if x.shape != y.shape or len(np.unique(x)) < 2 or not ((x > 0).all() and (y > 0).all()):
        raise ValueError("a fit needs two different positive sizes and a positive time for each")
    x, y = np.log(x), np.log(y)
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread)
    intercept = float(y.mean() - slope * x.mean())
    degrees = len(x) - 2
    half = math.inf
    if degrees > 0:
        variance = float(np.sum((y - intercept - slope * x) ** 2)) / degrees
        half = float(special.stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(variance / spread)
    return PowerLaw(math.exp(intercept), Interval(slope - half, slope, slope + half))


@dataclass(frozen=True, slots=True)
class Point:
    """A timed cell: its scenario as in the plan, the rows of a batch that was timed, the seconds of a step.

    `ratio` is its time over the reference's of its scenario (of the reference itself: 1), `machine` tells where.
    """

    scenario: Scenario
    variant: str
    batch_size: int
    step_s: float
    ratio: Interval
    reference: str
    machine: str = ""

    def size(self, axis: str) -> int:
        """Along an axis; of the batch what was run, which is less than was declared where there are few samples."""
        return {"batch size": self.batch_size, "wires": self.scenario.wires, "layers": self.scenario.layers}[axis]


@dataclass(frozen=True, slots=True)
class Growth:
    """A variant's timed cells over the sizes of scenarios that differ along one axis alone, by rising size.

    For wires the law is over 2 ** wires. `group` is what the scenarios' names share.
    """

    axis: str
    group: str
    variant: str
    points: tuple[Point, ...]
    law: PowerLaw

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the points."""
        return tuple(point.size(self.axis) for point in self.points)

    @property
    def times_s(self) -> tuple[float, ...]:
        """Seconds a step, of the points."""
        return tuple(point.step_s for point in self.points)


@dataclass(frozen=True, slots=True)
class Crossing:
    """At size `low` of an axis variant `below` is faster than `above`, at `high`, the next resolved one, slower."""

    axis: str
    group: str
    below: str
    above: str
    low: int
    high: int


def growths(points: Sequence[Point]) -> list[Growth]:
    """Every family of scenarios that differ in wires, layers or batch size alone, with three sizes or more.

    How much data there is does not change a step, nor whether there are as many features as wires: both may differ
    within a family. Where two scenarios of a family have one size, they are of two families.
    """
    found = []
    for axis in AXES:
        families: dict[tuple[str, str, int], dict[int, Point]] = defaultdict(dict)
        for point in points:
            size, others = point.size(axis), _others(point.scenario, axis) + point.machine
            number = next(n for n in count() if size not in families[others, point.variant, n])
            families[others, point.variant, number][size] = point
        for (_, variant, _), family in families.items():
            if len(family) < LEAST_SIZES:
                continue
            members = tuple(family[size] for size in sorted(family))
            sizes = [2.0**size if axis == "wires" else size for size in sorted(family)]
            law = fit_power_law(sizes, [point.step_s for point in members])
            found.append(Growth(axis, _shared([p.scenario.name for p in members]), variant, members, law))
    return found


def crossings(found: Sequence[Growth], noise: float = NOISE) -> list[Crossing]:
    """Where any two variants of a group change places: between two sizes at which the faster one is resolved.

    Not from the fitted laws: two lines cross somewhere, whether the variants do or not.
    """
    crossed = []
    for a, b in combinations(found, 2):
        if (a.axis, a.group) == (b.axis, b.group):
            resolved = [(size, speed) for size, speed in _compared(a, b, noise) if speed is not Speed.NOT_RESOLVED]
            for (low, before), (high, after) in pairwise(resolved):
                if before is not after:
                    below, above = (a, b) if before is Speed.FASTER else (b, a)
                    crossed.append(Crossing(a.axis, a.group, below.variant, above.variant, low, high))
    return crossed


def _compared(a: Growth, b: Growth, noise: float) -> list[tuple[int, Speed]]:
    """Size by size whether `a` is faster or slower than `b`; through the reference of their scenario."""
    theirs = {point.scenario.name: point for point in b.points}
    pairs = [(mine, theirs[mine.scenario.name]) for mine in a.points if mine.scenario.name in theirs]
    pairs = [(mine, other) for mine, other in pairs if mine.reference == other.reference]
    return [(mine.size(a.axis), decide(quotient(mine.ratio, other.ratio), noise)) for mine, other in pairs]


def _others(scenario: Scenario, axis: str) -> str:
    """Everything that a family shares."""
    names = ABOUT if axis == "batch size" else ABOUT | {axis}
    along = {"epochs", "batch_size"} if axis == "batch size" else {"epochs"}
    left_out = dict.fromkeys(names, True) | {"training": along, "data": {"samples"}}
    kept = scenario.model_dump(mode="json", exclude=left_out)
    if scenario.data.options.get("features") == scenario.wires:
        kept["data"] |= {"features": "as many as wires"}
    return json.dumps(kept, sort_keys=True)


def _shared(names: Sequence[str]) -> str:
    """The parts that all names have, such as `scaling-wires-default`."""
    return "-".join(part for part in names[0].split("-") if all(part in name.split("-") for name in names))
