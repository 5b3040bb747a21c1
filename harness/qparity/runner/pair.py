"""One cell in two environments, measured against itself in one timing block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qparity.records import Timing, Worker, read
from qparity.records.document import Table
from qparity.runner.local import available_cores
from qparity.runner.plan import Block
from qparity.runner.pool import Pool
from qparity.runner.rounds import Lane, TimingOptions
from qparity.runner.sweep import terminable
from qparity.runner.timing import time_block


@dataclass(frozen=True, slots=True)
class Side:
    """An environment: its name in the timing, and the interpreters by backend."""

    name: str
    interpreters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """The rounds, in which a lane is a side, and what the workers of each side said of themselves."""

    timing: Timing
    workers: dict[str, Worker] = field(default_factory=dict)


def time_pair(block: Block, sides: Sequence[Side], logs: Path, threads: int, options: TimingOptions) -> Pair:
    """Measure the first cell of a block in each of these environments, in turn, the first one being the reference.

    Each side has servers of its own, with a folder for their logs; no cell is recorded, and nothing judged. What goes
    wrong with a side leaves it out of the timing, with the reason.

    Raises:
        KeyboardInterrupt: it was interrupted, or told to end by SIGTERM.
    """
    try:
        return asyncio.run(terminable(_measured(block, sides, logs, threads, options)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _measured(block: Block, sides: Sequence[Side], logs: Path, threads: int, options: TimingOptions) -> Pair:
    workers: dict[str, Worker] = {}

    def started(side: str, key: str, state: str, about: Table, reason: str) -> None:
        if state == "ready":
            workers[side] = read(Worker, about)

    async with contextlib.AsyncExitStack() as stack:
        lanes = []
        for side in sides:
            folder = logs / side.name
            folder.mkdir(parents=True, exist_ok=True)
            pool = Pool(folder, threads, side.interpreters, partial(started, side.name))
            lanes.append(Lane(side.name, block.cells[0], await stack.enter_async_context(pool)))
        assert lanes[0].pool is not None
        cpus = available_cores()[:threads]
        return Pair(await time_block(lanes[0].pool, block, lanes, logs, cpus, options), workers)
