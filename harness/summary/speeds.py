"""The timed rounds of a run put beside its cells: ratios to a reference with interval and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.store import Run
from harness.summary.view import CellView
from harness.timing import BlockTiming, Interval, LaneTiming, Machine, geometric_mean, least_step_s, read_block


def with_timing(run: Run, cells: Sequence[CellView]) -> list[CellView]:
    """The cells, those that were timed with their `timing`; one reference for the whole run wherever it was timed."""
    scenarios = dict.fromkeys(cell.scenario for cell in cells)
    documents = {name: document for name in scenarios if (document := run.timing(name))}
    order = dict.fromkeys(variant for _, _, variant in run.planned())
    reference = max(order, key=lambda v: sum(v in d["lanes"] for d in documents.values()), default=None)
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


def overall(cells: Sequence[CellView]) -> dict[str, Interval]:
    """Geometric mean ratio to the reference of each variant, over the scenarios that all were timed on and passed."""
    timed = {
        (cell.scenario, cell.variant): cell.timing for cell in cells if cell.timing is not None and cell.mark == "pass"
    }
    variants = dict.fromkeys(variant for _, variant in timed)
    references = {timing.reference for timing in timed.values()}
    shared = [s for s in dict.fromkeys(s for s, _ in timed) if all((s, v) in timed for v in variants)]
    if len(references) != 1 or not shared:
        return {}
    found = {}
    for variant in variants:
        ratios = [ratio for s in shared if (ratio := timed[s, variant].ratio) is not None]
        if ratios:
            found[variant] = geometric_mean(ratios)
    return found


def phrase(timing: LaneTiming) -> str:
    """Such as `0.052x torch [0.049, 0.055] faster`, and why if it is unstable."""
    unstable = f", unstable ({'; '.join(timing.notes)})" if timing.unstable else ""
    if timing.ratio is None:
        return f"the reference{unstable}"
    ends = ", ".join(f"{end:.3g}" for end in (timing.ratio.low, timing.ratio.high))
    return f"{timing.ratio.estimate:.3g}x {timing.reference} [{ends}] {timing.speed}{unstable}"


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
