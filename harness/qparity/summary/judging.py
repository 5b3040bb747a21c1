"""From a run folder to a judgement per cell, block by block: only one block's traces are in memory."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from qparity.records import Block
from qparity.scenario.schema import SAMPLE_WEIGHT
from qparity.store import Run

if TYPE_CHECKING:
    from qparity.parity import Judgement, Observation


MANY = 200
"""Blocks from which on it pays to judge on all cores."""
WITHIN_S = 300.0
"""What is certain to take the oracle longer than this for one cell is not judged unless asked for."""
_RECORDED = ("sample_loss", "learning_rate", "iterations")
_HASHED = ("order", "weights", "x", "y")


def judgements(run: Run, within_s: float = WITHIN_S) -> "dict[str, Judgement]":
    """Judge every block of the run; keyed by cell id. A cell that would take longer than `within_s` is not compared."""
    found: dict[str, Judgement] = {}
    for judged in by_block(run, within_s):
        found |= judged
    return found


def by_block(run: Run, within_s: float = WITHIN_S, stages: bool = True) -> "Iterator[dict[str, Judgement]]":
    """The judgements of one block of the plan after the other, each as soon as it is there.

    Without `stages` they may come without their series over the steps and their pairs, which are most of them.
    Of a large run they are made in forks that share the plan, check what they read, and return no more than verdicts.
    """
    blocks = run.plan.blocks
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1  # where there is one, there is fork
    if len(blocks) < MANY or cores < 2:
        yield from (judge_block(run, block, within_s) for block in blocks)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, context, initializer=_share, initargs=(run, within_s, stages)) as pool:
        for judged, damaged, checked in pool.map(_judge_shared, range(len(blocks)), chunksize=32):
            run.leave_out(damaged, checked)
            yield judged


_shared: list[tuple[Run, float, bool]] = []


def _share(run: Run, within_s: float, stages: bool) -> None:
    _shared[:] = [(run, within_s, stages)]


def _judge_shared(number: int) -> "tuple[dict[str, Judgement], dict[str, str], dict[str, int]]":
    """The judgements of a block, the files that only now proved damaged, and the cells that did not."""
    ((run, within_s, stages),) = _shared
    damaged, checked = len(run.damage), len(run.checked)
    judged = judge_block(run, run.plan.blocks[number], within_s)
    if not stages:
        judged = {cell: replace(found, stages={}, pairs=()) for cell, found in judged.items()}
    return judged, dict(islice(run.damage.items(), damaged, None)), dict(islice(run.checked.items(), checked, None))


def judge_block(run: Run, block: Block, within_s: float = WITHIN_S) -> "dict[str, Judgement]":
    """Judge one scenario's cells: a block of the plan.

    A cell of which something was not recorded, or that is too large to judge, is not compared, and stands in nobody's
    way; nor does one at whose recordings the judge fails.
    """
    from qparity.parity import Judgement, Verdict

    whole, refused = [], {}
    for o in observations_of(run, block):
        if why := lacking(o) or too_large(o, within_s):
            refused[o.cell] = Judgement(Verdict.NOT_COMPARED, f"not compared: {why}")
        else:
            whole.append(o)
    return refused | _judged(whole)


def _judged(observations: "list[Observation]") -> "dict[str, Judgement]":
    """The judge's word on every cell; one at whose recordings it fails is judged apart from the others."""
    from qparity.parity import UNREADABLE, judge, unreadable  # the oracle takes a moment to import

    try:
        return judge(observations)
    except UNREADABLE as error:
        if len(observations) == 1:
            return {observations[0].cell: unreadable(error)}
    odd: dict[str, Judgement] = {}
    alone: dict[str, Judgement] = {}
    rest = []
    for o in observations:
        try:
            alone |= judge([o])
            rest.append(o)
        except UNREADABLE as error:
            odd[o.cell] = unreadable(error)
    return odd | _judged(rest) if odd else alone  # readable alone and not together: without each other's word


def lacking(o: "Observation") -> str | None:
    """What must have been recorded of a cell for its judgement to mean something, and was not; one line, or None.

    A check finds no fault in what was not recorded, so a folder with less in it would pass more easily.
    """
    outcome, trace = o.outcome, o.trace
    if outcome.status != "ok" or trace is None:
        return None
    weighted = [SAMPLE_WEIGHT] if o.scenario.data.weight else []
    if missing := [name for name in (*_RECORDED, *weighted) if name not in trace]:
        return f"the cell left a trace without {', '.join(missing)}"
    audit, resolved = outcome.audit, outcome.resolved
    for name, told in (("expected", o.expected.hashes), ("audit", audit.hashes)):
        if absent := [each for each in (*_HASHED, *weighted) if getattr(told, each) is None]:
            return f"the outcome has no {name}.hashes.{absent[0]}"
    declared, read = o.expected.hyperparameters, audit.hyperparameters
    if not o.own_optimizer and (not declared or not declared.keys() <= read.keys()):
        return "the outcome does not say which hyper-parameters the optimizer used"
    if resolved.state and audit.hashes.state is None:
        return "the outcome has no audit.hashes.state"
    if o.whole_model:
        return None
    if o.program is None:
        return "the outcome has no gate program"
    added = any(name.startswith("extra_") for name in trace) or any(w.constraint for w in resolved.weights)
    if added or resolved.own:
        return "the outcome of a bare circuit has regularizers, constraints, or a training of its own"
    asked, method = o.scenario.diff_method, resolved.diff_method
    if method is not None and (method != asked if asked != "best" else method in ("finite-diff", "spsa")):
        return f"the outcome was differentiated with {method}, the plan asks for {asked}"
    return None


def too_large(o: "Observation", within_s: float) -> str | None:
    """Why a cell is not judged that would take too long; None for one that does not."""
    from qparity.summary import cost

    needed = cost.seconds(o)
    return f"too large to judge within {within_s:.3g} s (about {needed:.3g} s)" if needed > within_s else None


def observations_of(run: Run, block: Block) -> "list[Observation]":
    """All cells of a block that have an outcome, as the judge sees them."""
    from qparity.parity import Observation

    family = sum(bool(each.scenario.shots) for each in run.plan.places()) if block.scenario.shots else 1
    found = (run.recorded(cell.id) for cell in block.cells)
    return [Observation.of(outcome, trace, family) for outcome, trace in filter(None, found)]
