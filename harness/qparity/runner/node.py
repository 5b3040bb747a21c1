"""One node of a cluster: runs a block as the local engine would, and returns everything it leaves.

Between blocks a node keeps its worker servers, so that each framework is imported once a node, in an event loop of
their own thread. While rounds are timed Dask's own activity on the node rests.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from distributed import get_worker
from distributed.worker import Worker

from qparity.records import Environment, read
from qparity.records.document import Table
from qparity.runner.cell import CellResult
from qparity.runner.dask import RESOURCE, NodeAnswer, Task
from qparity.runner.local import Options, run_blocks
from qparity.runner.machine import machine_rates
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool
from qparity.runner.rounds import Lane
from qparity.runner.sweep import worth_timing
from qparity.runner.timing import time_block
from qparity.scenario.errors import ScenarioError
from qparity.scenario.identity import cell_id, source_hash
from qparity.store import fingerprint

LOG_BYTES = 2**20
LOOK_EVERY_S = 1.0


class NodeError(Exception):
    """A node that is not set up to run the block: one line that names it."""


def run_task(task: Task) -> NodeAnswer:
    """Run a block on this node; given up within a second or so when nobody waits for it any more.

    Raises:
        NodeError: the worker has no `machine` of its own, or the circuit's source is not the client's.
    """
    worker = get_worker()
    check(worker, task.block)
    key = worker.get_current_task()
    with tempfile.TemporaryDirectory(prefix="qparity-") as folder:
        running = asyncio.run_coroutine_threadsafe(_run(task, Path(folder), worker), _loop())
        while True:
            try:
                return running.result(LOOK_EVERY_S)
            except TimeoutError:
                if running.done():
                    return running.result()
            state = worker.state.tasks.get(key)
            if state is None or state.state == "cancelled":
                running.cancel()
                with contextlib.suppress(CancelledError):
                    running.result()
                raise NodeError("nobody waits for this block any more")


async def _run(task: Task, logs: Path, worker: Worker) -> NodeAnswer:
    answer = NodeAnswer(str(read(Environment, _about()).host), _about())
    trained = set(task.trained)

    def store(cell: Cell, result: CellResult) -> None:
        answer.results.append((cell, result))
        if worth_timing(result.outcome):
            trained.add(cell.id)

    async def measure(pool: Pool, cpus: list[int]) -> None:
        lanes = [Lane(str(cell.variant), cell) for cell in task.block.cells if cell.id in trained]
        if task.timing and len(lanes) > 1:
            with at_rest(worker):
                found = await time_block(pool, task.block, lanes, logs, cpus, task.timing)
                answer.timing = found.changed(machine=_rates(tuple(cpus)))

    pool, answer.workers = await _pool(task.options)
    left = [replace(task.block, cells=task.left)] if task.left else []
    await run_blocks(left, logs, task.options, store, _nobody, _nobody, measure, pool)
    answer.logs = {cell.id: _tail(logs / f"{cell.id}.log") for cell in task.left}
    return answer


def check(worker: Worker, block: Block) -> None:
    """Raise NodeError where this worker would run blocks side by side, or other code than the client means."""
    machines = worker.state.total_resources.get(RESOURCE)
    if worker.state.nthreads != 1 or machines != 1:
        raise NodeError(f"node {worker.address}: expected one thread and the resource {RESOURCE}=1 (docs/cluster.md)")
    try:
        source = source_hash(block.scenario, [*map(Path, block.search_path), *map(Path, filter(None, sys.path))])
    except ScenarioError as error:
        raise NodeError(f"node {worker.address}: {error}") from None
    for cell in block.cells:
        if cell_id(block.scenario, cell.variant, source) != cell.id:
            raise NodeError(f"node {worker.address}: {block.scenario.source} is not the same file as on the client")


@contextlib.contextmanager
def at_rest(worker: Worker) -> Iterator[None]:
    """No heartbeat, profile or monitor: Dask's periodic callbacks on this node stop, and start again afterwards."""
    resting = [each for each in worker.periodic_callbacks.values() if each.is_running()]
    for each in resting:
        worker.loop.add_callback(each.stop)
    try:
        yield
    finally:
        for each in resting:
            worker.loop.add_callback(each.start)


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="qparity").start()
    return loop


@lru_cache(maxsize=1)
def _about() -> Table:
    return fingerprint()


@lru_cache(maxsize=1)
def _rates(cpus: tuple[int, ...]) -> Table | None:
    return machine_rates(list(cpus))


_standing: dict[tuple[Any, ...], tuple[Pool, dict[str, Table]]] = {}


async def _pool(options: Options) -> tuple[Pool, dict[str, Table]]:
    """The node's servers, and what they said of themselves; those of other options are replaced."""
    wanted = options.threads, options.isolation, *sorted(options.interpreters.items())
    if wanted not in _standing:
        for pool, _ in _standing.values():
            await pool.__aexit__()
        _standing.clear()
        folder = tempfile.TemporaryDirectory(prefix="qparity-node-")
        atexit.register(folder.cleanup)
        about: dict[str, Table] = {}

        def on_start(key: str, state: str, said: Table, _: str) -> None:
            if state == "ready":
                about[key] = said

        _standing[wanted] = (
            Pool(Path(folder.name), options.threads, options.interpreters, on_start, options.isolation),
            about,
        )
    return _standing[wanted]


def _tail(log: Path) -> bytes:
    if not log.is_file():
        return b""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        return file.read()


def _nobody(*_: object) -> None:
    """A listener that does nothing: events are not sent from a node."""
