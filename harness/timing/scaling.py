"""How a step time grows with wires, layers or batch: a fitted exponent, and where two variants cross."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import special

from harness.timing.intervals import CONFIDENCE, Interval

# Name of an axis -> where a scenario holds it: table (or none) and key.
AXES = {"wires": ("", "wires"), "layers": ("", "layers"), "batch size": ("training", "batch_size")}
LEAST_SIZES = 3


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """`time = scale * size ** exponent` (seconds); `sizes` is the range it was fitted over."""

    scale: float
    exponent: Interval
    sizes: tuple[float, float]

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
    ends = math.exp(x.min()), math.exp(x.max())
    return PowerLaw(math.exp(intercept), Interval(slope - half, slope, slope + half), ends)


def crossover(a: PowerLaw, b: PowerLaw) -> float | None:
    """The size at which two fitted variants take the same time; None if that is not inside both fitted ranges."""
    difference = a.exponent.estimate - b.exponent.estimate
    if difference == 0:
        return None
    power = math.log(b.scale / a.scale) / difference
    low, high = max(a.sizes[0], b.sizes[0]), min(a.sizes[1], b.sizes[1])
    inside = low > 0 and math.log(low) <= power <= math.log(high)
    return math.exp(power) if inside else None


@dataclass(frozen=True, slots=True)
class Growth:
    """A variant's step times (seconds) over the sizes of scenarios that differ along one axis alone.

    `sizes` are as the scenarios give them; for wires the law is over 2 ** wires. `group` is what their names share.
    """

    axis: str
    group: str
    variant: str
    sizes: tuple[int, ...]
    times_s: tuple[float, ...]
    law: PowerLaw


@dataclass(frozen=True, slots=True)
class Crossing:
    """At `size` of an axis two variants of a group take the same time; `below` is faster before, `above` after."""

    axis: str
    group: str
    below: str
    above: str
    size: float


def growths(points: Sequence[tuple[Mapping[str, Any], str, float]]) -> list[Growth]:
    """Every family of scenarios that differ in wires, layers or batch size alone, with three sizes or more.

    Args:
        points: (scenario as in the plan, variant, seconds a step) of every timed cell. How much data there is does
            not change a step, nor how many features: both may differ within a family.
    """
    found = []
    for axis, (table, key) in AXES.items():
        families: dict[tuple[str, str], dict[int, tuple[str, float]]] = defaultdict(dict)
        for scenario, variant, time_s in points:
            size = (scenario[table] if table else scenario)[key]
            families[_others(scenario, axis), variant][size] = (str(scenario["name"]), time_s)
        for (_, variant), family in families.items():
            if len(family) < LEAST_SIZES:
                continue
            sizes = tuple(sorted(family))
            times = tuple(family[size][1] for size in sizes)
            law = fit_power_law([_work_size(axis, size) for size in sizes], times)
            found.append(Growth(axis, _shared([name for name, _ in family.values()]), variant, sizes, times, law))
    return found


def crossings(found: Sequence[Growth]) -> list[Crossing]:
    """Where any two variants of a group cross within the sizes both were measured at."""
    crossed = []
    for a, b in combinations(found, 2):
        if (a.axis, a.group) == (b.axis, b.group) and (size := crossover(a.law, b.law)) is not None:
            slow, fast = sorted((a, b), key=lambda each: each.law.exponent.estimate)[::-1]
            crossed.append(Crossing(a.axis, a.group, slow.variant, fast.variant, _natural_size(a.axis, size)))
    return crossed


def _others(scenario: Mapping[str, Any], axis: str) -> str:
    """Everything that a family shares."""
    table, key = AXES[axis]
    kept = {k: v for k, v in scenario.items() if k not in ("name", "expect", "data")}
    kept["training"] = {k: v for k, v in scenario["training"].items() if k != "epochs"}
    (kept[table] if table else kept).pop(key)
    return json.dumps(kept, sort_keys=True)


def _shared(names: Sequence[str]) -> str:
    """The parts that all names have, such as `scaling-wires-default`."""
    return "-".join(part for part in names[0].split("-") if all(part in name.split("-") for name in names))


def _work_size(axis: str, size: float) -> float:
    return 2.0**size if axis == "wires" else size


def _natural_size(axis: str, size: float) -> float:
    return math.log2(size) if axis == "wires" else size
