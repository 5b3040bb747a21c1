"""The timed rounds of a run put beside its cells: ratios to a reference with interval and verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qparity.records import Timing
from qparity.records.document import Table
from qparity.scenario.registry import GPU_DEVICES
from qparity.scenario.schema import ABOUT, Scenario
from qparity.store import Run, changes, machine
from qparity.summary.view import CellView
from qparity.timing import (
    ONE,
    BlockTiming,
    Growth,
    Interval,
    LaneTiming,
    Machine,
    Point,
    PowerLaw,
    Speed,
    geometric_mean,
    growths,
    least_step_s,
    quotient,
    read_block,
)

UNREAD = "its timed rounds cannot be read"


def with_timing(run: Run, cells: Sequence[CellView], reference: str | None = None) -> list[CellView]:
    """The cells, those that were timed with their `timing`; one reference for the whole run wherever it was timed.

    `reference` is by default the variant that was timed in most scenarios.
    """
    scenarios = dict.fromkeys(cell.scenario for cell in cells)
    found = {name: timing for name in scenarios if (timing := run.timing(name))}
    order = dict.fromkeys(variant for _, _, variant in run.planned())
    reference = reference or max(order, key=lambda v: sum(v in t.lanes for t in found.values()), default=None)
    blocks: dict[str, BlockTiming] = {}
    for name, timing in found.items():
        try:
            blocks[name] = read_block(timing, reference)
        except (ArithmeticError, ValueError):  # a run folder may come from anywhere
            blocks[name] = BlockTiming(None, {}, dict.fromkeys(timing.lanes, UNREAD))
    damaged = dict(run.damaged)
    return [
        _timed(run, cell, blocks[cell.scenario], found[cell.scenario])
        if cell.scenario in blocks
        else replace(cell, untimed=UNREAD)
        if f"timings/{cell.scenario}.json" in damaged
        else cell
        for cell in cells
    ]


def growth(cells: Sequence[CellView]) -> tuple[Growth, ...]:
    """Step times over wires, layers and batch size, of the cells that were timed in rounds and earned their time."""
    try:
        return tuple(growths([_point(c, c.settings) for c in cells if c.timing and c.settings and c.speed != "struck"]))
    except (ArithmeticError, ValueError):
        return ()  # times may come from anywhere


@dataclass(frozen=True, slots=True)
class Overall:
    """How fast each variant is over many scenarios.

    `ratios` are geometric means of the ratios to `reference` (which has 1), over the scenarios `shared`: those that all
    variants were timed on and passed, of all those `timed`. `unstable` says that some of these times should not be
    relied on.
    """

    reference: str
    ratios: Mapping[str, Interval]
    shared: tuple[str, ...]
    timed: tuple[str, ...]
    unstable: bool
    noise: float

    @property
    def over(self) -> str:
        """Such as `over 3 of 9 timed scenarios`."""
        count, timed = len(self.shared), len(self.timed)
        if timed == 1:
            return "over the one timed scenario"
        return f"over {count} of {timed} timed scenarios" if count < timed else f"over all {timed} timed scenarios"


def reference_of(cells: Sequence[CellView]) -> str | None:
    """The variant that most ratios are relative to; None if nothing was timed."""
    found = Counter(cell.timing.reference for cell in cells if cell.timing).most_common(1)
    return found[0][0] if found else None


def overall(cells: Sequence[CellView]) -> Overall | None:
    """Over the scenarios in which the run's reference was timed and passed; None if all variants share none.

    A run may have been made on several machines: then over those of the one with most of it.
    """
    timed = tuple(dict.fromkeys(cell.scenario for cell in cells if cell.timing))
    earned = [cell for cell in cells if cell.timing and cell.mark == "pass"]
    ((here, _),) = Counter(str(cell.timed_on) for cell in earned).most_common(1) or (("", 0),)
    passed = {(c.scenario, c.variant): c.timing for c in earned if c.timing and str(c.timed_on) == here}
    reference = reference_of(cells)
    if reference is None:
        return None
    ratios = {place: t.ratio or ONE for place, t in passed.items() if (place[0], reference) in passed}
    shared, means = shared_scenarios(ratios), shared_means(ratios)
    if len(means) < 2:
        return None
    lanes = [passed[s, v] for s in shared for v in means]
    unstable, noise = any(lane.unstable for lane in lanes), max(lane.noise for lane in lanes)
    return Overall(reference, means, shared, timed, unstable, noise)


def shared_means(ratios: Mapping[tuple[str, str], Interval]) -> dict[str, Interval]:
    """Geometric mean of each variant's ratios, by (scenario, variant), over the scenarios where every variant has one.

    Over any other set of scenarios, variants would be compared by which scenarios they can run.
    """
    shared = shared_scenarios(ratios)
    return (
        {v: geometric_mean([ratios[s, v] for s in shared]) for v in dict.fromkeys(v for _, v in ratios)}
        if shared
        else {}
    )


def shared_scenarios(ratios: Mapping[tuple[str, str], Interval]) -> tuple[str, ...]:
    """The scenarios where every variant has a ratio."""
    scenarios, variants = (dict.fromkeys(place[k] for place in ratios) for k in (0, 1))
    return tuple(s for s in scenarios if all((s, v) in ratios for v in variants))


def relative_speeds(base: Sequence[CellView], head: Sequence[CellView]) -> tuple[dict[tuple[str, str], Interval], str]:
    """How a cell's ratio to the reference changed from one run to another, by (scenario, variant); why not if nowhere.

    Ratios of ratios: what made the whole machine slower that day is in neither, nor what made the reference slower. Two
    machines are never compared.
    """
    before = {(c.scenario, c.variant): c for c in base if c.timing and c.speed != "struck"}
    why_not = "no cell was timed against the same reference, with the same settings, in both runs"
    found = {}
    for cell in head:
        then = before.get((cell.scenario, cell.variant))
        if not (then and then.timing and cell.timing) or cell.speed == "struck":
            continue
        if changed := changes(then.timed_on, cell.timed_on):
            why_not = f"the runs were made on different machines ({changed[0]})"
        elif (then.timing.ratio and cell.timing.ratio) and _same_question(then, cell):
            found[cell.scenario, cell.variant] = quotient(cell.timing.ratio, then.timing.ratio)
    return found, why_not


def reference_change(base: Sequence[CellView], head: Sequence[CellView]) -> tuple[str, float] | None:
    """The reference of both runs and how many times as long its own steps take now; None if it has not one.

    The geometric mean over the scenarios of both. Unpaired: the drift of the whole machine is in it.
    """
    before = {c.scenario: c for c in base if c.timing and c.timing.ratio is None and c.speed != "struck"}
    pairs = [
        (before[c.scenario], c)
        for c in head
        if c.timing and c.timing.ratio is None and c.speed != "struck" and c.scenario in before
    ]
    same = [(a, b) for a, b in pairs if _same_question(a, b) and not changes(a.timed_on, b.timed_on)]
    names = {b.variant for _, b in same}
    if len(names) != 1:
        return None
    return names.pop(), float(np.exp(np.mean([np.log(_step_s(b) / _step_s(a)) for a, b in same])))


def _step_s(cell: CellView) -> float:
    assert cell.timing
    return cell.timing.step_s


def _same_question(a: CellView, b: CellView) -> bool:
    """Whether two times answer one question: the same scenario, over the same reference."""
    assert a.timing
    assert b.timing
    return a.timing.reference == b.timing.reference and _what_ran(a.settings) == _what_ran(b.settings)


def _what_ran(settings: Scenario | None) -> Table:
    """A scenario without its name and what is expected of it."""
    return settings.model_dump(exclude=set(ABOUT)) if settings else {}


def _point(cell: CellView, scenario: Scenario) -> Point:
    assert cell.timing
    timing = cell.timing
    return Point(
        scenario,
        cell.variant,
        timing.batch_size,
        timing.step_s,
        timing.ratio or ONE,
        timing.reference,
        str(cell.timed_on),
    )


def ratio_phrase(ratio: Interval) -> str:
    """Such as `1.3x [1.2, 1.4]`."""
    return f"{ratio.estimate:.3g}x [{ratio.low:.3g}, {ratio.high:.3g}]"


def told(ratio: Interval, speed: Speed | None, than: str = "", sign: str = "x") -> str:
    """A ratio of step times in words, the 95% interval in brackets.

    `22x faster than torch [20, 24]` is 1/22 of its time, `3.1x slower than torch [3, 3.2]` 3.1 times its time; what is
    not resolved is `cannot tell from torch [0.97x to 1.04x its time]`.
    """
    shown = times(ratio, speed)
    low, middle, high = (f"{value:.3g}" for value in (shown.low, shown.estimate, shown.high))
    other = f" than {than}" if than else ""
    if speed in (None, Speed.NOT_RESOLVED):
        return f"cannot tell{f' from {than}' if than else ''} [{low}{sign} to {high}{sign} its time]"
    return f"{middle}{sign} {speed}{other} [{low}, {high}]"


def times(ratio: Interval, speed: Speed | None) -> Interval:
    """How many times faster or slower: the inverse of a ratio below 1."""
    if speed is not Speed.FASTER:
        return ratio
    return Interval(1 / ratio.high, 1 / ratio.estimate, 1 / ratio.low if ratio.low else math.inf)


def exponent_told(law: PowerLaw) -> str:
    """Such as `0.98 [0.91, 1.05]`; an exponent whose interval says nothing is not shown."""
    exponent = law.exponent
    return f"{exponent.estimate:.3g} [{exponent.low:.3g}, {exponent.high:.3g}]" if law.told else "cannot tell"


def phrase(timing: LaneTiming) -> str:
    """Such as `19x faster than torch [18, 20]`, and why if that is not to be relied on."""
    unstable = f", not to be relied on ({'; '.join(timing.notes)})" if timing.unstable else ""
    if timing.ratio is None:
        return f"the reference{unstable}"
    return told(timing.ratio, timing.speed, str(timing.reference)) + unstable


def _timed(run: Run, cell: CellView, block: BlockTiming, found: Timing) -> CellView:
    timing = block.lanes.get(cell.variant)
    if timing is None:
        return replace(cell, untimed=block.left_out.get(cell.variant))
    return replace(cell, timing=timing, timed_on=_machine(run, found), limit_s=_limit_s(cell, timing, found))


def _machine(run: Run, found: Timing) -> Table:
    """Where a scenario was timed: by the run that this one was merged from, on a node of a cluster, or here."""
    sources = {each.id: each for each in run.record.merged.runs} if run.record.merged else {}
    holder = sources.get(found.run or "", run.record)
    return machine((holder.nodes or {}).get(found.node or "", holder.environment))


def _limit_s(cell: CellView, timing: LaneTiming, found: Timing) -> float | None:
    """The least seconds of a step on the cores that were measured beside the rounds; None where it is not known."""
    device, method, settings = cell.resolved.device, cell.resolved.diff_method, cell.settings
    if cell.variant.endswith("@gpu") or device in GPU_DEVICES:
        return None
    if found.machine is None or settings is None or device is None or method is None or not cell.resolved.programs:
        return None
    try:
        rates = Machine.of(found.machine)
        return least_step_s(cell.resolved.programs, timing.batch_size, settings.dtype, device, method, rates)
    except (ArithmeticError, LookupError, ValueError):
        return None
