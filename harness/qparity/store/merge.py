"""Join runs: the shards of one sweep, or one sweep run in several environments, as one run folder.

Cells are the same where scenario and variant are. Where two runs have the same cell and do not agree, the later run
wins, and `run.json` says so in `merged.notes`; no difference is silent. The worker of every cell is kept apart by run
where its environment differs, so that each cell still names the versions it ran on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qparity.records import Block, Plan, PlannedCell, Timing
from qparity.records.trace import Trace
from qparity.store.errors import StoreError
from qparity.store.fingerprint import differences
from qparity.store.run import Run

Place = tuple[str, str]
TOLD = ("id", "created", "command", "environment", "nodes")
"""What is told of each run that was merged (`records.Source`)."""


def merge(runs: Sequence[Run], results_dir: Path | str) -> Run:
    """A new finished run in `results_dir` with the cells of all `runs`; they stay as they are.

    `run.json` gets `merged` {runs: [{id, created, command, environment, nodes}], notes: [one line]}, every outcome gets
    `run`, the id of the run it came from.

    Raises:
        StoreError: no runs, or one scenario name that means two different scenarios.
    """
    if not runs:
        raise StoreError("merge: no run given")
    ordered = sorted(runs, key=lambda run: str(run.record.created))
    notes: list[str] = []
    chosen = _chosen(ordered, notes)
    blocks = _blocks(ordered, chosen, notes)
    sources = sorted({source for run in ordered for source in run.plan.sources})
    first = ordered[0].record.environment
    for run in ordered[1:]:
        notes += [f"{run.id}: another environment: {line}" for line in differences(first, run.record.environment)]
    plan = Plan(tuple(blocks), tuple(sources)).to_dict()
    environment = ordered[-1].record.table("environment")
    merged = Run.create(results_dir, plan, environment, ["qparity", "merge", *(run.id for run in ordered)])
    names, workers = _workers(ordered)
    _carry_tables(ordered, chosen, merged, notes)
    for cell_id, run in chosen.values():
        outcome = run.outcome(cell_id)
        if outcome is not None:
            worker = names.get((run.id, outcome.worker), outcome.worker)
            merged.write_outcome(outcome.changed(worker=worker, run=run.id), run.trace(cell_id))
        if (log := run.log(cell_id)) is not None:
            merged.write_log(cell_id, log)
    told = [each for run in ordered for each in _sources(run)]
    told += [{name: run.record.raw.get(name) for name in TOLD} for run in ordered]
    merged.update(workers=workers, merged={"runs": told, "notes": notes})
    merged.finish("finished" if not merged.missing() else "interrupted")
    return merged


def _chosen(runs: Sequence[Run], notes: list[str]) -> dict[Place, tuple[str, Run]]:
    """For each scenario and variant the cell's id and the run to take it from, in the order of the plans."""
    chosen: dict[Place, tuple[str, Run]] = {}
    for run in runs:
        for block, cell_id, variant in run.planned():
            place = (block.scenario.name, variant)
            before = chosen.get(place)
            if before is None:
                chosen[place] = cell_id, run
            elif run.outcome(cell_id) is not None:
                if before[1].outcome(before[0]) is not None and (why := _disagreement(before, (cell_id, run))):
                    notes.append(f"{'/'.join(place)}: {before[1].id} and {run.id} {why}; the later is taken")
                chosen[place] = cell_id, run
    return chosen


def _disagreement(a: tuple[str, Run], b: tuple[str, Run]) -> str | None:
    """How two outcomes of one cell differ; None if they are the same to the bit."""
    if a[0] != b[0]:
        return "ran another source or scenario"
    first, second = a[1].outcome(a[0]), b[1].outcome(b[0])
    if first is None or second is None:
        return "have not both an outcome"
    if first.status != second.status:
        return f"ended {first.status} and {second.status}"
    ours, theirs = a[1].trace(a[0]) or Trace(), b[1].trace(b[0]) or Trace()
    different = [n for n in sorted(ours.keys() | theirs.keys()) if not _same(ours.get(n), theirs.get(n))]
    return f"recorded other values of {', '.join(different[:3])}" if different else None


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return False
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _blocks(runs: Sequence[Run], chosen: dict[Place, tuple[str, Run]], notes: list[str]) -> list[Block]:
    """One block a scenario, with the variants of all runs; a note where their circuits or models are not one file."""
    blocks: dict[str, Block] = {}
    for run in runs:
        for block in run.plan.blocks:
            name = block.scenario.name
            known = blocks.setdefault(name, block)
            if known.scenario != block.scenario:
                raise StoreError(f"merge: scenario {name} of {run.id} is another one than in the runs before it")
            if len({known.source_sha256, block.source_sha256} - {""}) > 1:
                notes.append(f"{name}: {run.id} ran another source of its circuit or model than the runs before it")
    cells: dict[str, list[PlannedCell]] = {}
    for (name, variant), (cell_id, _) in chosen.items():
        cells.setdefault(name, []).append(PlannedCell(cell_id, variant))
    return [replace(block, cells=tuple(cells.get(name, ()))) for name, block in blocks.items()]


def _carry_tables(runs: Sequence[Run], chosen: Mapping[Place, tuple[str, Run]], merged: Run, notes: list[str]) -> None:
    """Timings of every scenario; those of two runs are never mixed.

    A timing gets `run`, where it was measured. A variant whose outcome is another one, from another run, has no time in
    it: what was judged and what was timed would be two programs.
    """
    timed: dict[str, str] = {}
    for run in runs:
        for block in run.plan.blocks:
            name = block.scenario.name
            timing = run.timing(name)
            if timing is not None:
                if name in timed:
                    notes.append(f"{name}: timed in {timed[name]} and {run.id}; the later is taken")
                timed[name] = run.id
                for variant, lane in timing.lanes.items():
                    mine = lane.id or "", run
                    shown = chosen.get((name, variant), mine)
                    if shown[1] is not run and _disagreement(mine, shown):
                        why = f"timed in {run.id}, its outcome is another one, of {shown[1].id}"
                        timing = timing.without(variant, why)
                merged.write_timing(name, Timing({"run": run.id} | timing.raw))


def _workers(runs: Sequence[Run]) -> tuple[dict[tuple[str, str | None], str], dict[str, object]]:
    """New names of the workers, (run, old name) -> name, and the workers: one that differs gets its run's id added."""
    names: dict[tuple[str, str | None], str] = {}
    workers: dict[str, object] = {}
    for run in runs:
        for key, about in run.record.table("workers").items():
            name = key if workers.get(key, about) == about else f"{key} ({run.id})"
            names[run.id, key] = name
            workers[name] = about
    return names, workers


def _sources(run: Run) -> list[object]:
    found = run.record.table("merged").get("runs")
    return found if isinstance(found, list) else []
