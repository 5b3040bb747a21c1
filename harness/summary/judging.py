"""From a run folder to a judgement per cell, block by block: only one block's traces are in memory."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from harness.store import Run

if TYPE_CHECKING:
    from harness.parity import Judgement, Observation


MANY = 200
"""Blocks from which on it pays to judge on all cores."""


def judgements(run: Run) -> "dict[str, Judgement]":
    """Judge every block of the run; keyed by cell id."""
    found: dict[str, Judgement] = {}
    for judged in _each(run):
        found |= judged
    return found


def _each(run: Run) -> "Iterator[dict[str, Judgement]]":
    """The judgements of every block, in forks that share the plan and return no more than their verdicts."""
    blocks = run.record["plan"]["blocks"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1  # where there is one, there is fork
    if len(blocks) < MANY or cores < 2:
        yield from (judge_block(run, block) for block in blocks)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, context, initializer=_share, initargs=(run,)) as pool:
        yield from pool.map(_judge_shared, range(len(blocks)), chunksize=32)


_shared: list[Run] = []


def _share(run: Run) -> None:
    _shared[:] = [run]


def _judge_shared(number: int) -> "dict[str, Judgement]":
    (run,) = _shared
    return judge_block(run, run.record["plan"]["blocks"][number])


def judge_block(run: Run, block: dict[str, Any]) -> "dict[str, Judgement]":
    """Judge one scenario's cells: `block` is {scenario, cells: [{id, variant}]} of the plan."""
    from harness.parity import UNREADABLE, judge, unreadable  # the oracle takes a moment to import

    observations = observations_of(run, block)
    try:
        return judge(observations)
    except UNREADABLE as error:
        return {observation.cell: unreadable(error) for observation in observations}


def observations_of(run: Run, block: dict[str, Any]) -> "list[Observation]":
    """All cells of a block that have an outcome, as the judge sees them."""
    from harness.parity import Observation, own_program

    sampled = bool(block["scenario"].get("shots"))
    family = sum(bool(scenario.get("shots")) for scenario, _, _ in run.planned()) if sampled else 1
    outcomes = [(cell["id"], run.outcome(cell["id"])) for cell in block["cells"]]
    return [
        Observation(outcome, run.trace(cell_id), outcome.get("expected") or {}, own_program(outcome), family)
        for cell_id, outcome in outcomes
        if outcome is not None
    ]
