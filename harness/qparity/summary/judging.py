"""From a run folder to a judgement per cell, block by block: only one block's traces are in memory."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from qparity.records import Block
from qparity.scenario import identity
from qparity.scenario.schema import SAMPLE_WEIGHT
from qparity.store import Run

if TYPE_CHECKING:
    from qparity.parity import Judgement, Observation


T = TypeVar("T")
Judged = tuple["dict[str, Judgement]", "list[Observation]"]
"""The judgements of a block, by cell, and all of its cells that have an outcome."""
MANY = 200
"""Blocks from which on it pays to judge on all cores."""
WITHIN_S = 300.0
"""What is certain to take the oracle longer than this for one cell is not judged unless asked for."""
_RECORDED = ("sample_loss", "learning_rate", "iterations")
_HASHED = ("order", "weights", "x", "y")


def judgements(run: Run, within_s: float = WITHIN_S) -> "dict[str, Judgement]":
    """Judge every block of the run; keyed by cell id. A cell that would take longer than `within_s` is not compared."""
    found: dict[str, Judgement] = {}
    for judged in by_block(run, lambda number, judged: judged[0], within_s):
        found |= judged
    return found


def by_block(
    run: Run, make: "Callable[[int, Judged], T]", within_s: float = WITHIN_S, pairs: bool = True
) -> Iterator[T]:
    """What `make` makes of one block of the plan after the other, by its number, each as soon as it is judged.

    Of a large run that is done in forks that share the plan and check what they read: no recording is read twice, and
    no more comes back than what was made of it. Without `pairs` nobody looks how far variants are apart.
    Blocks that are compared with each other (`families`) are judged when the first of them is asked for.
    """
    blocks = run.plan.blocks
    together = list(dict.fromkeys(families(run).values()))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1  # where there is one, there is fork
    if len(blocks) < MANY or cores < 2:
        yield from _in_order(together, (_made(run, numbers, make, within_s, pairs) for numbers in together))
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, context, initializer=_share, initargs=(run, make, within_s, pairs)) as pool:
        yield from _in_order(together, _taken_in(run, pool.map(_made_in_fork, together, chunksize=32)))


def _made(
    run: Run, numbers: Sequence[int], make: "Callable[[int, Judged], T]", within_s: float, pairs: bool
) -> list[T]:
    """What is made of each block of a family."""
    judged = judge_family(run, numbers, within_s, pairs)
    return [make(number, found) for number, found in zip(numbers, judged, strict=True)]


def _taken_in(run: Run, answers: Iterable[tuple[list[T], dict[str, str], dict[str, int]]]) -> Iterator[list[T]]:
    """What forks made, once the run knows which files proved damaged there, and which did not."""
    for made, damaged, checked in answers:
        run.leave_out(damaged, checked)
        yield made


def _in_order(together: Sequence[tuple[int, ...]], made: Iterable[list[T]]) -> Iterator[T]:
    """What was made of block 0, 1, ..., from that of families in the order of their first blocks."""
    waiting: dict[int, T] = {}
    number = 0
    for numbers, found in zip(together, made, strict=True):
        waiting |= dict(zip(numbers, found, strict=True))
        while number in waiting:
            yield waiting.pop(number)
            number += 1


def families(run: Run) -> dict[int, tuple[int, ...]]:
    """Of each block of the plan, by number, those that it is compared with, itself among them."""
    found: dict[object, list[int]] = {}
    for number, block in enumerate(run.plan.blocks):
        methods = block.scenario.judged_by_methods
        key = (identity.family(block.scenario), block.source_sha256) if methods else number
        found.setdefault(key, []).append(number)
    return {number: tuple(numbers) for numbers in found.values() for number in numbers}


_shared: list[tuple[Run, Callable[..., Any], float, bool]] = []


def _share(run: Run, make: Callable[..., Any], within_s: float, pairs: bool) -> None:
    _shared[:] = [(run, make, within_s, pairs)]


def _made_in_fork(numbers: tuple[int, ...]) -> tuple[list[Any], dict[str, str], dict[str, int]]:
    """What is made of a family of blocks, the files that only now proved damaged, and the cells that did not."""
    ((run, make, within_s, pairs),) = _shared
    damaged, checked = len(run.damage), len(run.checked)
    made = _made(run, numbers, make, within_s, pairs)
    return made, dict(islice(run.damage.items(), damaged, None)), dict(islice(run.checked.items(), checked, None))


def judge_block(run: Run, block: Block, within_s: float = WITHIN_S) -> "dict[str, Judgement]":
    """Judge one scenario's cells: a block of the plan, with those that it is compared with as far as they have run."""
    if not block.scenario.judged_by_methods:
        return _judge_alone(observations_of(run, block), within_s, True)[0]
    number = [each.scenario.name for each in run.plan.blocks].index(block.scenario.name)
    numbers = families(run)[number]
    return judge_family(run, numbers, within_s)[numbers.index(number)][0]


def judge_family(run: Run, numbers: Sequence[int], within_s: float = WITHIN_S, pairs: bool = True) -> list[Judged]:
    """Judge blocks of the plan that are compared with each other, or one."""
    from qparity.parity import UNREADABLE, compare_methods

    judged, seen, cells = [], [], []
    for number in numbers:
        observations = observations_of(run, run.plan.blocks[number])
        found, whole = _judge_alone(observations, within_s, pairs)
        judged.append(found)
        seen.append(observations)
        cells += whole
    if run.plan.blocks[numbers[0]].scenario.judged_by_methods:
        try:
            said = compare_methods(cells, {cell: found for each in judged for cell, found in each.items()})
            judged = [{cell: said.get(cell, found) for cell, found in each.items()} for each in judged]
        except UNREADABLE:  # recordings that are readable alone and not together
            pass
    return list(zip(judged, seen, strict=True))


def _judge_alone(observations: "Sequence[Observation]", within_s: float, pairs: bool) -> Judged:
    """The judgements of a block by itself, and those of its cells that were judged.

    A cell of which something was not recorded, or that is too large to judge, is not compared, and stands in nobody's
    way; nor does one at whose recordings the judge fails.
    """
    from qparity.parity import Judgement, Verdict

    whole, refused = [], {}
    for o in observations:
        if why := lacking(o) or too_large(o, within_s):
            refused[o.cell] = Judgement(Verdict.NOT_COMPARED, f"not compared: {why}")
        else:
            whole.append(o)
    return refused | _judged(whole, pairs), whole


def _judged(observations: "list[Observation]", pairs: bool) -> "dict[str, Judgement]":
    """The judge's word on every cell; one at whose recordings it fails is judged apart from the others."""
    from qparity.parity import UNREADABLE, judge, unreadable  # the oracle takes a moment to import

    try:
        return judge(observations, pairs)
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
    return odd | _judged(rest, pairs) if odd else alone  # readable alone and not together: without each other's word


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
