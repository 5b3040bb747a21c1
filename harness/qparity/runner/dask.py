"""The Dask engine: a block is one task, run whole on one node of a cluster; what comes back is stored here.

A node is one Dask worker with one thread and one unit of the resource `machine`, so its blocks never overlap, and what
is timed against each other is timed on one machine. Nodes keep nothing: what a block leaves is what its task returns.
The engine is not the resume mechanism, the store is; a node that dies costs its block one of its attempts, a scheduler
that dies ends the sweep, and what was finished is stored. See docs/cluster.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from qparity.records import Timing
from qparity.records.document import Table
from qparity.runner.cell import ATTEMPTS, CellResult, Draft
from qparity.runner.events import WorkerStarted
from qparity.runner.local import Options
from qparity.runner.plan import Block, Cell
from qparity.runner.rounds import TimingOptions
from qparity.runner.sweep import Halted, Ledger, worth_timing
from qparity.scenario.errors import ScenarioError

# How scheduler and nodes must be set up; docs/cluster.md says why. `qparity cluster` sets all of it.
SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": "1 hour",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
}
RESOURCE = "machine"
CONNECT_S = "5s"
LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class Task:
    """What a node is asked: the cells of `block` in `left`, then the timing of those and of the `trained` ones."""

    block: Block
    left: tuple[Cell, ...]
    trained: frozenset[str]
    options: Options
    timing: TimingOptions | None

    @property
    def needs(self) -> dict[str, float]:
        """The resources of a node that can run it."""
        gpu = any(cell.on_gpu for cell in self.left or self.block.cells)
        return {RESOURCE: 1.0, **({"gpu": 1.0} if gpu else {})}


@dataclass
class NodeAnswer:
    """What a node answers. `node` names it, `workers` are its servers by key, `logs` the last bytes of each cell's."""

    node: str
    environment: Table
    results: list[tuple[Cell, CellResult]] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    timing: Timing | None = None
    workers: dict[str, Table] = field(default_factory=dict)


async def on_cluster(ledger: Ledger, scheduler: str, options: Options, timing: TimingOptions | None) -> None:
    """The engine: every block to the next free node.

    Raises:
        ScenarioError: the scheduler cannot be reached, or is not set up as it must be.
        Halted: it was lost on the way, or a node cannot run what it was given.
    """
    async with await connected(scheduler) as client:
        try:
            await dispatch(client, deque(tasks(ledger, options, timing)), ledger)
        except (OSError, FutureCancelledError):
            raise Halted(f"lost the Dask scheduler {scheduler}") from None


def refuse_unfit(scheduler: str) -> None:
    """Find out before a run is begun whether there is a scheduler to run it, and one set up as it must be."""

    async def look() -> None:
        async with await connected(scheduler):
            pass

    asyncio.run(look())


async def connected(scheduler: str) -> Client:
    """A client of the scheduler. Raises `ScenarioError` where it cannot be reached, or is not set up as it must be."""
    for name in ("distributed", "distributed.client"):  # what matters is said in one line of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = await Client(scheduler, asynchronous=True, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        said = f"the address of a Dask scheduler that answers ({' '.join(str(error).split())})"
        raise ScenarioError(said, key="--scheduler", value=scheduler) from None
    try:
        await check(client, scheduler)
    except ScenarioError:
        await client.close()
        raise
    return client


def tasks(ledger: Ledger, options: Options, timing: TimingOptions | None) -> list[Task]:
    """What is left of the run: blocks with missing cells, and such as have not been timed."""
    left = {block.scenario.name: block.cells for block in ledger.left}
    untimed = {block.scenario.name for block in ledger.untimed()} if timing else set()
    found = []
    for block in ledger.blocks:
        name = block.scenario.name
        missing = left.get(name, ())
        outcomes = [ledger.run.outcome(c.id) for c in block.cells if c not in missing] if name in untimed else []
        trained = frozenset(o.id for o in outcomes if o and worth_timing(o))
        timed = timing if name in untimed and len(missing) + len(trained) > 1 else None
        if missing or timed:
            found.append(Task(block, missing, trained, options, timed))
    return found


async def dispatch(client: Client, waiting: deque[Task], ledger: Ledger) -> None:
    """One block to every node that is free, those included that join later; another node for the block of a dead one.

    Dask is never given more blocks than it has nodes: it would place the rest beforehand, could not move them (work
    stealing disturbs), and a node's death would be held against blocks that it had not begun.
    """
    from qparity.runner.node import NodeError, run_task

    attempts: Counter[str] = Counter()
    busy: dict[str, tuple[Task, Future, asyncio.Task[NodeAnswer]]] = {}
    told = False
    try:
        while waiting or busy:
            nodes = await client.run_on_scheduler(resources_of_workers)
            for address in nodes.keys() - busy.keys():
                if task := next((task for task in waiting if task.needs.items() <= nodes[address].items()), None):
                    waiting.remove(task)
                    future = client.submit(run_task, task, pure=False, workers=[address], resources=task.needs)
                    busy[address] = task, future, asyncio.ensure_future(_result(future))
                    busy[address][2].add_done_callback(_noted)
            if not busy and nodes:
                missing = " ".join(f"{name}={least:g}" for name, least in waiting[0].needs.items())
                raise Halted(f"no node can run {waiting[0].block.scenario.name}: dask worker --resources '{missing}'")
            if busy:
                await asyncio.wait([each for *_, each in busy.values()], timeout=LOOK_S, return_when="FIRST_COMPLETED")
            else:
                if not told:
                    ledger.listen(WorkerStarted("cluster", "empty", reason="waiting for a node to join"))
                told = True
                await asyncio.sleep(LOOK_S)
            for address, (task, future, running) in list(busy.items()):
                if running.done() or address not in nodes:
                    del busy[address]
                    try:
                        store(running.result(), task, ledger)
                    except (KilledWorker, asyncio.InvalidStateError):  # died, or left in peace before it had finished
                        await client.cancel([future])
                        attempts[task.block.scenario.name] += 1
                        if attempts[task.block.scenario.name] < ATTEMPTS:
                            waiting.append(task)
                        else:
                            give_up(task, ledger)
                    except NodeError as error:
                        raise Halted(str(error)) from None
                    except (CommClosedError, FutureCancelledError, Halted):
                        raise
                    except Exception as error:  # what was raised there, not here
                        raise Halted(f"node {address}: {type(error).__name__}: {error}") from None
    finally:
        for _, future, running in busy.values():
            running.cancel()
            future.release()


def _noted(running: asyncio.Task[NodeAnswer]) -> None:
    """Take note of the exception of an abandoned task, whose node has died: asyncio would log it otherwise."""
    if not running.cancelled():
        running.exception()


async def _result(future: Future) -> NodeAnswer:
    answer: NodeAnswer = await future
    return answer


def resources_of_workers(dask_scheduler: Any) -> dict[str, dict[str, float]]:
    """Runs on the scheduler: what each node offers."""
    return {w.address: dict(w.resources) for w in dask_scheduler.workers.values() if w.status.name == "running"}


def give_up(task: Task, ledger: Ledger) -> None:
    """Store that a block's nodes have died under it."""
    for cell in task.left:
        draft = Draft(cell, "cluster")
        draft.end("crashed", f"its node died {ATTEMPTS} times")
        ledger.store(cell, draft.result)
    if task.left:
        ledger.finished(task.block)


def store(answer: NodeAnswer, task: Task, ledger: Ledger) -> None:
    """Keep what a node answers, each cell with the node and the servers that it ran on."""
    nodes = ledger.run.record.table("nodes")
    if answer.node not in nodes:
        ledger.update(nodes={**nodes, answer.node: answer.environment})
    for key, about in answer.workers.items():
        if f"{key} ({answer.node})" not in ledger.run.record.workers:
            ledger.hear(WorkerStarted(f"{key} ({answer.node})", "ready", about))
    for cell, result in answer.results:
        ledger.store_log(cell, answer.logs.get(cell.id, b""))
        worker = f"{result.outcome.worker} ({answer.node})"
        ledger.store(cell, replace(result, outcome=result.outcome.changed(node=answer.node, worker=worker)))
    if task.left:
        ledger.finished(task.block)
    if answer.timing is not None:
        ledger.store_timing(task.block, answer.timing.changed(node=answer.node))


async def check(client: Client, scheduler: str) -> None:
    """Refuse a scheduler that would move blocks between nodes, or give up a node that is silent as it measures."""

    def read(dask_scheduler: Any, keys: Sequence[str]) -> dict[str, Any]:
        return {key: dask.config.get(key) for key in keys}

    wanted = {key: value for key, value in SETTINGS.items() if key.startswith("distributed.scheduler.")}
    found = await client.run_on_scheduler(read, keys=list(wanted))
    for key, value in wanted.items():
        patient = key.endswith("worker-ttl") and (found[key] is None or _seconds(found[key]) >= _seconds(value))
        if found[key] != value and not patient:
            expected = f"{key} = {value} on the scheduler (see docs/cluster.md)"
            raise ScenarioError(expected, key=f"--scheduler {scheduler}: {key}", value=found[key])


def _seconds(interval: Any) -> float:
    return float(parse_timedelta(interval, default="ms"))
