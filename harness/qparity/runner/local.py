"""The local engine: cells side by side on this machine's cores, each child bound to a core of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qparity.runner import memory
from qparity.runner.cell import CellResult, run_cell
from qparity.runner.events import CellProgress, Listener, WorkerStarted
from qparity.runner.inputs import inputs_of
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool
from qparity.runner.reference import References


@dataclass(frozen=True, slots=True)
class Options:
    """How to execute cells.

    `jobs` cells at a time (None: as many as have cores of their own), `threads` a cell, `timeout` seconds for a whole
    cell, `interpreters` by backend or backend@accelerator, `memory_bytes` for all cells together (None: what is free
    when the sweep starts); `isolation` is `fork`, `spawn`, or None for what platform and accelerator need. `full_fit`:
    `model.fit` repeats every recorded step, not only as many as it takes to show that it trains the same. `no_fit`:
    it repeats none.
    """

    jobs: int | None = None
    threads: int = 1
    timeout: float = 900.0
    interpreters: dict[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    isolation: str | None = None
    full_fit: bool = False
    no_fit: bool = False


Store = Callable[[Cell, CellResult], None]
Afterwards = Callable[[Pool, list[int]], Awaitable[None]]


async def nothing(pool: Pool, cpus: list[int]) -> None:
    """No work after the cells."""


async def run_blocks(
    blocks: Sequence[Block],
    logs: Path,
    options: Options,
    store: Store,
    listen: Listener,
    finished: Callable[[Block], None],
    afterwards: Afterwards = nothing,
    standing: Pool | None = None,
) -> None:
    """Run every cell of the blocks; each result goes to `store` when it is there.

    `afterwards` is given the pool and one group of cores when no cell runs any more: the time to measure. A `standing`
    pool is used and left running; else there is one for these blocks alone.
    """
    jobs = options.jobs or max(1, len(available_cores()) // options.threads)
    cores = Cores(jobs, options.threads, options.memory_bytes or memory.free_bytes())
    told = options.threads, options.interpreters
    own = Pool(logs, *told, lambda *said: listen(WorkerStarted(*said)), options.isolation)
    async with contextlib.nullcontext(standing) if standing else own as pool:
        references = References(pool, logs)
        async with asyncio.TaskGroup() as tasks:
            for block in blocks:
                await cores.free()
                tasks.create_task(run_block(pool, block, cores, logs, options, store, listen, finished, references))
        async with cores.take() as cpus:
            await afterwards(pool, cpus)


async def run_block(
    pool: Pool,
    block: Block,
    cores: Cores,
    logs: Path,
    options: Options,
    store: Store,
    listen: Listener,
    finished: Callable[[Block], None],
    references: References,
) -> None:
    """All cells of one block, as cores come free."""
    inputs = functools.cache(lambda: inputs_of(block))  # made when the first cell has its cores

    async def one(cell: Cell) -> None:
        least = 0 if cell.on_gpu else memory.least_bytes(cell.scenario)
        async with cores.take(least, cell.on_gpu) as cpus:
            result = await run_cell(
                pool,
                block,
                cell,
                inputs(),
                logs / f"{cell.id}.log",
                cpus,
                options.timeout,
                lambda phase, step: listen(CellProgress(cell, phase, step, cell.scenario.steps)),
                cores.memory_bytes,
                references,
                options.full_fit,
                options.no_fit,
            )
            store(cell, result)

    async with asyncio.TaskGroup() as tasks:
        for cell in block.cells:
            tasks.create_task(one(cell))
    finished(block)


class Cores:
    """The cores cells may use, handed out in groups of `threads`, first come first served, as far as memory goes."""

    def __init__(self, jobs: int, threads: int, memory_bytes: int) -> None:
        cores = available_cores()
        groups = [cores[i : i + threads] for i in range(0, len(cores) - threads + 1, threads)] or [cores]
        self._queue: asyncio.Queue[list[int]] = asyncio.Queue()
        for number in range(max(1, jobs)):
            self._queue.put_nowait(groups[number % len(groups)])
        self._waiting = 0
        self.memory_bytes = memory_bytes
        self._held = 0
        self._gpu = asyncio.Semaphore(1)
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, memory_bytes: int = 0, gpu: bool = False) -> AsyncIterator[list[int]]:
        """Hold a group of cores, and memory, or the GPU (its memory is for one cell at a time).

        What alone is too much memory is handed out alone, and refused by the cell.
        """
        async with self._gpu if gpu else contextlib.nullcontext(), self._group(memory_bytes) as group:
            yield group

    @asynccontextmanager
    async def _group(self, memory_bytes: int) -> AsyncIterator[list[int]]:
        self._waiting += 1
        try:
            group = await self._queue.get()
        finally:
            self._waiting -= 1
        try:
            async with self._freed:
                await self._freed.wait_for(lambda: not self._held or self._held + memory_bytes <= self.memory_bytes)
                self._held += memory_bytes
            try:
                yield group
            finally:
                async with self._freed:
                    self._held -= memory_bytes
                    self._freed.notify_all()
        finally:
            self._queue.put_nowait(group)

    async def free(self) -> None:
        """Wait until nobody waits: the next block need not make its data before a core can take it."""
        for _ in range(3):  # until the cells of the block before have come to wait
            await asyncio.sleep(0)
        while self._waiting:
            await asyncio.sleep(0.02)


def available_cores() -> list[int]:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
