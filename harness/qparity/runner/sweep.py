"""The sweep: run what is missing in a run folder, store each outcome as it comes, close the run whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from qparity.records import Environment, Outcome, Timing, read
from qparity.runner.budget import Budget, Cost, Course, time_within
from qparity.runner.cell import CellResult
from qparity.runner.condition import sentinel
from qparity.runner.events import (
    BlockFinished,
    BlockTimed,
    CellFinished,
    CellProgress,
    Event,
    Listener,
    SweepStarted,
    WorkerStarted,
)
from qparity.runner.local import Options, run_blocks
from qparity.runner.machine import machine_rates
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool
from qparity.runner.rounds import CALIBRATION, Bench, Lane, Record, Tell, TimingOptions
from qparity.runner.timing import time_block
from qparity.store import Run, differences, fingerprint

_T = TypeVar("_T")


class Halted(Exception):
    """The sweep cannot go on: results cannot be written, or the cluster is gone. What was finished is stored."""


class Ledger:
    """The run as an engine sees it: what is to do, and where every result goes as soon as it is there."""

    def __init__(self, run: Run, blocks: Sequence[Block], listen: Listener, retry: bool) -> None:
        self.run, self.blocks, self.listen = run, blocks, listen
        missing = set(run.missing(retry))
        left = [replace(block, cells=tuple(c for c in block.cells if c.id in missing)) for block in blocks]
        self.left = [block for block in left if block.cells]
        self._whole = {block.scenario.name: block for block in blocks}
        listen(SweepStarted(tuple(blocks), tuple(c.id for b in blocks for c in b.cells if c.id not in missing)))

    def store(self, cell: Cell, result: CellResult) -> None:
        """A cell has ended."""
        with self._writing():
            self.run.write_outcome(result.outcome, result.trace)
        self.listen(CellFinished(cell, result.outcome))

    def hear(self, event: Event) -> None:
        """Something happened; what a worker says of itself is kept."""
        if isinstance(event, WorkerStarted) and event.state == "ready":
            self.update(workers={**self.run.record.table("workers"), event.key: event.about})
        self.listen(event)

    def update(self, **fields: Any) -> None:
        """Replace top-level fields of `run.json`."""
        with self._writing():
            self.run.update(**fields)

    def logs(self) -> Path:
        """The folder that cells print to."""
        with self._writing():
            return self.run.logs()

    def store_log(self, cell: Cell, content: bytes) -> None:
        """What a cell printed, where it was not written to its log directly."""
        with self._writing():
            self.run.write_log(cell.id, content)

    def finished(self, block: Block) -> None:
        """All cells of a block have ended; `block` may hold those alone that were missing."""
        self.listen(BlockFinished(self._whole[block.scenario.name]))

    def untimed(self) -> list[Block]:
        """Whole blocks without timed rounds."""
        return [block for block in self.blocks if self.run.timing(block.scenario.name) is None]

    @cached_property
    def elsewhere(self) -> bool:
        """Whether the run was begun in another environment: rounds of both are not to be mixed."""
        return bool(differences(self.run.record.environment, read(Environment, fingerprint())))

    def budget(self, timing: TimingOptions) -> Budget | None:
        """What is asked for now, or else stands in the run, less what has been spent of it."""
        known = self.run.record.budget
        given_s = timing.run_s or (known.given_s if known else None)
        return None if given_s is None else Budget(given_s, known.spent_s if known else 0.0)

    def spend(self, budget: Budget) -> None:
        """Keep what is given, and spent."""
        self.update(budget={"given_s": budget.given_s, "spent_s": budget.spent_s})

    def store_timing(self, block: Block, timing: Timing) -> None:
        """The rounds of a block have been measured."""
        with self._writing():
            self.run.write_timing(block.scenario.name, timing)
        self.listen(BlockTimed(block))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _halted(error, self.run) from None


Engine = Callable[[Ledger], Coroutine[Any, Any, None]]


def sweep(
    run: Run,
    blocks: Sequence[Block],
    options: Options,
    listen: Listener = lambda _: None,
    timing: TimingOptions | None = None,
    engine: Engine | None = None,
    retry: bool = False,
) -> bool:
    """Run the cells of `blocks` that have no outcome in `run` yet, then time the blocks that have no rounds yet,
    or within a budget those whose intervals are wide.

    Args:
        run: where everything is stored, as it comes.
        blocks: whole blocks of the run's plan.
        options: of the local engine.
        listen: hears what happens.
        timing: how to measure; None: nothing is timed.
        engine: what executes the cells; the local machine if it is left out.
        retry: run the cells again, too, that have an outcome but did not train to an end.

    Returns:
        True if everything was run, False after Ctrl-C or SIGTERM: what was finished until then is stored.

    Raises:
        Halted: something outside the cells fails for good.
        StoreError: another process writes this run.
    """
    with run.claimed():
        try:
            run.update(state="running")
            ledger = Ledger(run, blocks, listen, retry)
            if timing is not None and (budget := ledger.budget(timing)) is not None:
                ledger.spend(budget)  # stands in the run before anything has been spent of it
            asyncio.run(terminable((engine or partial(on_this_machine, options=options, timing=timing))(ledger)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            run.finish("interrupted")
            return False
        except BaseException as error:
            with contextlib.suppress(OSError):  # the disk may be full
                run.finish("interrupted")
            if halted := _first(error, Halted):
                raise halted from None
            lost = _first(error, OSError)
            if isinstance(lost, OSError) and not isinstance(
                lost, BrokenPipeError
            ):  # that is the reader of what we print
                raise _halted(lost, run) from None
            raise
        try:
            run.finish("finished")
        except OSError as error:
            raise _halted(error, run) from None
        return True


def _halted(error: OSError, run: Run) -> Halted:
    """Files of the run, or those of the workers, that cannot be used any more, in one line."""
    return Halted(f"{error.filename or run.path}: {error.strerror or error}")


async def terminable(engine: Coroutine[Any, Any, _T]) -> _T:
    """Run an engine; SIGTERM cancels it as Ctrl-C does, between two steps and not in the middle of one."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None
    before = signal.getsignal(signal.SIGTERM)
    try:
        loop.add_signal_handler(signal.SIGTERM, this.cancel)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        return await engine
    try:
        return await engine
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


async def on_this_machine(ledger: Ledger, options: Options, timing: TimingOptions | None) -> None:
    """The engine of this machine: all cells side by side, then the timing of one block after the other."""

    logs = ledger.logs()

    async def time_all(pool: Pool, cpus: list[int]) -> None:
        if timing is None:
            return

        def tell(cell: Cell, done: int, most: int) -> None:
            ledger.listen(CellProgress(cell, "timing", done, most))

        if (budget := ledger.budget(timing)) is not None:
            courses = courses_of(ledger, pool, logs, cpus, timing, tell)
            rates = machine_rates(cpus) if courses else None

            def measured(course: Course) -> None:
                ledger.store_timing(course.bench.block, course.bench.timing.changed(machine=rates))
                ledger.spend(budget)

            try:
                await time_within(budget, courses, measured)
            finally:
                ledger.spend(budget)
            return
        machine = None
        for block in ledger.untimed():
            lanes = lanes_of(ledger.run, block)
            if len(lanes) > 1:
                machine = machine or machine_rates(cpus)
                found = await time_block(pool, block, lanes, logs, cpus, timing, tell)
                ledger.store_timing(block, found.changed(machine=machine))

    await run_blocks(ledger.left, logs, options, ledger.store, ledger.hear, ledger.finished, time_all)


def courses_of(
    ledger: Ledger, pool: Pool, logs: Path, cpus: list[int], timing: TimingOptions, tell: Tell
) -> list[Course]:
    """What a budget is for: every block with cells to compare, from where its rounds are; none of another machine."""
    found = []
    for block in ledger.blocks:
        lanes = lanes_of(ledger.run, block)
        known = ledger.run.timing(block.scenario.name)
        if len(lanes) < 2 or (known is not None and ledger.elsewhere):
            continue
        record = Record.of(known) if known else Record(sentinel_s=[sentinel(cpus) for _ in range(CALIBRATION)])
        phases = {lane.name: o.seconds for lane in lanes if (o := ledger.run.outcome(lane.cell.id))}
        costs = {name: Cost.recorded(seconds, timing.stretch_s) for name, seconds in phases.items()}
        found.append(Course(Bench(pool, block, logs, cpus, timing, record, tell), lanes, costs))
    return found


def lanes_of(run: Run, block: Block) -> list[Lane]:
    """The cells of a block worth timing: those that trained to the end, without a fault put in."""
    outcomes = [(cell, run.outcome(cell.id)) for cell in block.cells]
    return [Lane(str(cell.variant), cell) for cell, outcome in outcomes if outcome and worth_timing(outcome)]


def worth_timing(outcome: Outcome) -> bool:
    """Whether a cell trained to the end, without a fault put in."""
    return outcome.status == "ok" and outcome.fault is None


def _first(error: BaseException, kind: type[Exception]) -> BaseException | None:
    """The first exception of a kind in what task groups raised."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, (_first(each, kind) for each in error.exceptions)), None)
    return error if isinstance(error, kind) else None
