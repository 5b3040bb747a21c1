"""The timed rounds of a run put beside its cells: ratios to a reference with interval and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.store import Run, machine_differences
from harness.summary.view import CellView
from harness.timing import (
    BlockTiming,
    Growth,
    Interval,
    LaneTiming,
    Machine,
    geometric_mean,
    growths,
    least_step_s,
    quotient,
    read_block,
)


def with_timing(run: Run, cells: Sequence[CellView], reference: str | None = None) -> list[CellView]:
    """The cells, those that were timed with their `timing`; one reference for the whole run wherever it was timed.

    `reference` is by default the variant that was timed in most scenarios.
    """
    scenarios = dict.fromkeys(cell.scenario for cell in cells)
    documents = {name: document for name in scenarios if (document := run.timing(name))}
    order = dict.fromkeys(variant for _, _, variant in run.planned())
    reference = reference or max(order, key=lambda v: sum(v in d["lanes"] for d in documents.values()), default=None)
    blocks: dict[str, BlockTiming] = {}
    for name, document in documents.items():
        try:
            blocks[name] = read_block(document, reference)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue  # a run folder may come from anywhere: what cannot be read was not measured
    planned = {scenario["name"]: scenario for scenario, _, _ in run.planned()}
    return [
        _timed(cell, blocks[cell.scenario], planned[cell.scenario], documents[cell.scenario])
        if cell.scenario in blocks
        else cell
        for cell in cells
    ]


def growth(run: Run, cells: Sequence[CellView]) -> tuple[Growth, ...]:
    """Step times over wires, layers and batch size, of the cells that were timed in rounds and earned their time."""
    planned = {scenario["name"]: scenario for scenario, _, _ in run.planned()}
    timed = [(planned[c.scenario], c.variant, c.timing.step_s) for c in cells if c.timing and c.speed != "struck"]
    try:
        return tuple(growths(timed))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return ()  # a plan may come from anywhere


def overall(cells: Sequence[CellView]) -> dict[str, Interval]:
    """Geometric mean ratio to the reference of each variant, over the scenarios that all were timed on and passed."""
    timed = {
        (cell.scenario, cell.variant): cell.timing for cell in cells if cell.timing is not None and cell.mark == "pass"
    }
    references = {timing.reference for timing in timed.values()}
    if len(references) != 1:
        return {}
    whole = {place[0] for place, timing in timed.items() if timing.ratio is None}
    return shared_means({p: t.ratio for p, t in timed.items() if t.ratio is not None and p[0] in whole})


def shared_means(ratios: Mapping[tuple[str, str], Interval]) -> dict[str, Interval]:
    """Geometric mean of each variant's ratios, by (scenario, variant), over the scenarios where every variant has one.

    Over any other set of scenarios, variants would be compared by which scenarios they can run.
    """
    scenarios, variants = (dict.fromkeys(place[k] for place in ratios) for k in (0, 1))
    shared = [s for s in scenarios if all((s, v) in ratios for v in variants)]
    return {v: geometric_mean([ratios[s, v] for s in shared]) for v in variants} if shared else {}


def relative_speeds(
    base: Sequence[CellView],
    base_environment: Mapping[str, Any],
    head: Sequence[CellView],
    head_environment: Mapping[str, Any],
) -> tuple[dict[tuple[str, str], Interval], str]:
    """How a cell's ratio to the reference changed from one run to another, by (scenario, variant); why not if nowhere.

    Ratios of ratios: what made the whole machine slower that day is in neither. Two machines are never compared.
    """
    if changed := machine_differences(dict(base_environment), dict(head_environment)):
        return {}, f"the runs were made on different machines ({changed[0]})"
    before = {(c.scenario, c.variant): c.timing for c in base if c.timing and c.speed != "struck"}
    settings = {(c.scenario, c.variant): c.settings for c in base}
    found = {}
    for cell in head:
        then, now = before.get((cell.scenario, cell.variant)), cell.timing
        if not (then and now and then.ratio and now.ratio) or cell.speed == "struck":
            continue
        same = _what_ran(settings[cell.scenario, cell.variant]) == _what_ran(cell.settings)
        if same and then.reference == now.reference:
            found[cell.scenario, cell.variant] = quotient(now.ratio, then.ratio)
    return found, "no cell was timed against the same reference, with the same settings, in both runs"


def _what_ran(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A scenario without its name and what is expected of it."""
    return {key: value for key, value in settings.items() if key not in ("name", "expect")}


def ratio_phrase(ratio: Interval) -> str:
    """Such as `1.3x [1.2, 1.4]`."""
    return f"{ratio.estimate:.3g}x [{ratio.low:.3g}, {ratio.high:.3g}]"


def phrase(timing: LaneTiming) -> str:
    """Such as `0.052x torch [0.049, 0.055] faster`, and why if it is unstable."""
    unstable = f", unstable ({'; '.join(timing.notes)})" if timing.unstable else ""
    if timing.ratio is None:
        return f"the reference{unstable}"
    times, _, ends = ratio_phrase(timing.ratio).partition(" ")
    return f"{times} {timing.reference} {ends} {timing.speed}{unstable}"


def _timed(cell: CellView, block: BlockTiming, scenario: Mapping[str, Any], document: Mapping[str, Any]) -> CellView:
    timing = block.lanes.get(cell.variant)
    return cell if timing is None else replace(cell, timing=timing, limit_s=_limit_s(cell, scenario, document))


def _limit_s(cell: CellView, scenario: Mapping[str, Any], document: Mapping[str, Any]) -> float | None:
    """The least seconds of a step on the machine that was measured beside the rounds; None where it is not known."""
    try:
        programs = [layer["program"] for layer in cell.resolved["quantum_layers"]]
        rows = int(document["lanes"][cell.variant]["batch_size"])
        where = str(cell.resolved["device"]), str(cell.resolved["diff_method"])
        return least_step_s(programs, rows, scenario["dtype"], *where, Machine.read(document["machine"]))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
