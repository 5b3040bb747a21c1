"""The sweep: run what is missing in a run folder, store each outcome as it comes, close the run whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from harness.runner.cell import CellResult
from harness.runner.events import (
    BlockFinished,
    BlockTimed,
    CellFinished,
    CellProgress,
    Event,
    Listener,
    SweepStarted,
    WorkerStarted,
)
from harness.runner.local import Options, run_blocks
from harness.runner.machine import machine_rates
from harness.runner.plan import Block, Cell
from harness.runner.pool import Pool
from harness.runner.timing import Lane, TimingOptions, time_block
from harness.store import Run


def sweep(
    run: Run,
    blocks: Sequence[Block],
    options: Options,
    listen: Listener = lambda _: None,
    timing: TimingOptions | None = None,
) -> bool:
    """Run the cells of `blocks` that have no outcome in `run` yet, then time the blocks that have no rounds yet.

    Returns:
        True if everything was run, False after Ctrl-C: what was finished until then is stored.
    """
    missing = set(run.missing())
    left = [replace(block, cells=tuple(c for c in block.cells if c.id in missing)) for block in blocks]
    left = [block for block in left if block.cells]
    whole = {block.scenario.name: block for block in blocks}
    done = tuple(cell.id for block in blocks for cell in block.cells if cell.id not in missing)
    listen(SweepStarted(tuple(blocks), done))

    def store(cell: Cell, result: CellResult) -> None:
        if result.program is not None:
            run.write_program(cell.scenario.name, result.program)
        run.write_outcome(result.outcome, result.trace)
        listen(CellFinished(cell, result.outcome))

    def hear(event: Event) -> None:
        if isinstance(event, WorkerStarted) and event.state == "ready":
            run.update(workers={**run.record["workers"], event.key: event.about})
        listen(event)

    async def time_all(pool: Pool, cpus: list[int]) -> None:
        machine = None
        for block in blocks if timing else ():
            lanes = lanes_of(run, block)
            if timing and len(lanes) > 1 and run.timing(block.scenario.name) is None:
                machine = machine or machine_rates(cpus)

                def tell(cell: Cell, done: int, most: int) -> None:
                    listen(CellProgress(cell, "timing", done, most))

                found = await time_block(pool, block, lanes, run.path / "logs", cpus, timing, tell)
                run.write_timing(block.scenario.name, {**found, "machine": machine})
                listen(BlockTimed(block))

    run.update(state="running")
    try:
        asyncio.run(
            run_blocks(
                left,
                run.path / "logs",
                options,
                store,
                hear,
                lambda b: listen(BlockFinished(whole[b.scenario.name])),
                time_all,
            )
        )
    except KeyboardInterrupt:
        run.finish("interrupted")
        return False
    except BaseException:
        run.finish("interrupted")
        raise
    run.finish("finished")
    return True


def lanes_of(run: Run, block: Block) -> list[Lane]:
    """The cells of a block worth timing: those that trained to the end, without a fault put in."""
    outcomes = [(cell, run.outcome(cell.id)) for cell in block.cells]
    return [Lane(str(cell.variant), cell) for cell, o in outcomes if o and o["status"] == "ok" and "fault" not in o]
