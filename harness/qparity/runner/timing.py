"""Timing of one block: all its variants alive side by side, measured in turn, round by round.

Whatever disturbs the machine for longer than a round meets all variants alike, and ratios within a round do not see it.
Nothing else may run meanwhile: the sweep times when its audits are over. Several generations of fresh processes are
measured, because two processes of one program differ (by their memory layout) more than their rounds do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil

from qparity.records import Timing, Unreadable, read
from qparity.records.answers import Ready, Stopped
from qparity.records.document import Table
from qparity.records.requests import Stop, Time
from qparity.records.timing import Sample
from qparity.runner.cell import CellEnded, Draft, checked, prepare
from qparity.runner.condition import Condition, between, condition, sentinel
from qparity.runner.inputs import Inputs, inputs_of
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import Child, ChildDied
from qparity.timing.contention import enough, moved
from qparity.timing.ratios import log_ratios
from qparity.timing.speed import NOISE
from qparity.worker.protocol import ProtocolError

CHILD_BYTES = 0.8e9
LEAST_ROUNDS = 2
LONGEST_STEP_S = 2.0
CALIBRATION = 5
Tell = Callable[[Cell, int, int], None]


@dataclass(frozen=True, slots=True)
class TimingOptions:
    """How long to measure.

    Rounds go on until every ratio's relative half-width is `target_width`, or there are `rounds`, spread over
    `children` generations of processes; `budget_s` seconds after the first generation no more than the fewest rounds
    are added. Differences below `noise` will count as none. A stretch of one variant takes about `stretch_s`; `timeout`
    bounds each answer.
    """

    rounds: int = 40
    target_width: float = 0.05
    children: int = 3
    noise: float = NOISE
    stretch_s: float = 0.12
    budget_s: float = 60.0
    timeout: float = 900.0

    @property
    def quota(self) -> int:
        """The most rounds of one generation."""
        return max(LEAST_ROUNDS, -(-self.rounds // self.children))


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One competitor: a cell under a name of its own (for A/A runs the same cell stands in two lanes)."""

    name: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Competitor:
    """A lane that is timed: its cell, its stretches, and what is kept of each of its processes."""

    id: str
    variant: str
    steps: int
    steps_per_execution: int
    batch_size: int
    children: list[Table] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Started:
    """A fresh process of a lane, waiting inside its `fit`: what it has cost so far, and when that began."""

    child: Child
    build_s: float
    first_s: float
    spawn_s: float
    began: float


@dataclass
class Measured:
    """A round in the making. `around` is the machine's condition during it."""

    child: int
    kept: bool
    order: list[str]
    sentinel_s: list[float]
    around: Condition
    samples: dict[str, Sample]

    def to_dict(self) -> Table:
        """As the record has it."""
        about = {"child": self.child, "kept": self.kept, "order": self.order, "sentinel_s": self.sentinel_s}
        return (
            about | asdict(self.around) | {"samples": {name: asdict(sample) for name, sample in self.samples.items()}}
        )


@dataclass
class Record:
    """`timings/<scenario>.json` in the making; see docs/architecture.md."""

    lanes: dict[str, Competitor] = field(default_factory=dict)
    rounds: list[Measured] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    sentinel_s: list[float] = field(default_factory=list)

    def logs(self, names: Sequence[str]) -> list[np.ndarray]:
        """Log-ratios (rounds,) of each further lane to the first, over the rounds kept."""
        kept = [each.samples for each in self.rounds if each.kept]
        base, *others = names
        found = []
        for name in others:
            pairs = [(each[name].step_s, each[base].step_s) for each in kept if {name, base} <= each.keys()]
            found.append(log_ratios(*zip(*pairs, strict=True)) if pairs else np.empty(0))
        return found


async def time_block(
    pool: Pool,
    block: Block,
    lanes: Sequence[Lane],
    logs: Path,
    cpus: list[int],
    options: TimingOptions,
    tell: Tell = lambda *_: None,
) -> Timing:
    """Measure the lanes of a block against each other; what goes wrong with one leaves it out, with the reason."""
    inputs = inputs_of(block)
    record = Record(sentinel_s=[sentinel(cpus) for _ in range(CALIBRATION)])
    start = time.monotonic()
    for party in parties(lanes, most_children()):
        for generation in range(options.children):
            async with contextlib.AsyncExitStack() as stack:
                alive: dict[Lane, Started] = {}
                for lane in party:
                    if lane.name not in record.left_out:
                        tell(lane.cell, len(record.rounds), options.rounds)
                        fresh = await started(pool, block, lane, generation, inputs, logs, cpus, options, record)
                        if fresh is not None:
                            stack.push_async_callback(ended, fresh.child)
                            alive[lane] = fresh
                await measure(alive, generation, cpus, options, record, start, tell)
                for lane, fresh in list(alive.items()):
                    await stopped(lane, fresh, options, record, inference=generation == 0)
    return Timing(
        {
            "scenario": block.scenario.name,
            "cpus": cpus,
            "threads": len(cpus),
            "options": {name: getattr(options, name) for name in options.__slots__},
            "sentinel_s": record.sentinel_s,
            "lanes": {name: asdict(lane) for name, lane in record.lanes.items() if lane.children},
            "rounds": [each.to_dict() for each in record.rounds],
            "left_out": record.left_out,
        }
    )


def parties(lanes: Sequence[Lane], most: int) -> list[list[Lane]]:
    """Lanes that are alive together, at most `most` (2 or more): the first one is in every party, to compare with."""
    if len(lanes) <= max(2, most):
        return [list(lanes)]
    first, *others = lanes
    size = max(2, most) - 1
    return [[first, *others[i : i + size]] for i in range(0, len(others), size)]


def most_children() -> int:
    """How many children fit into the memory that is free."""
    return int(0.8 * psutil.virtual_memory().available / CHILD_BYTES)


async def started(
    pool: Pool,
    block: Block,
    lane: Lane,
    generation: int,
    inputs: Inputs,
    logs: Path,
    cpus: list[int],
    options: TimingOptions,
    record: Record,
) -> Started | None:
    """A fresh child of a lane, compiled, warm and waiting inside its `fit`; None if it is left out, with the reason."""
    cell = lane.cell
    draft = Draft(cell, "")
    child = None
    try:
        async with asyncio.timeout(options.timeout):
            server = await pool.server(cell.variant, cell.scenario.device)
            began = time.perf_counter()
            log = logs / f"{cell.id}.log"
            child = await server.child(f"{cell.id}-{lane.name}-{generation}", log, cpus, timed=True)
            spawn_s = time.perf_counter() - began
            await prepare(child, block, cell, inputs, lambda *_: None, draft)
            known = record.lanes.get(lane.name)
            asked = Time(options.stretch_s, known.steps if known else None)
            ready = read(Ready, checked(await child.request("time", asked.body(), draft.start), "time").body)
        if ready.pilot_step_s > LONGEST_STEP_S:
            raise CellEnded("unsupported", f"a step takes {ready.pilot_step_s:.1f} s: too long to repeat")
    except (TimeoutError, ChildDied, CellEnded, Unavailable, ProtocolError, Unreadable) as error:
        leave_out(lane, error, options, record)
        if child is not None and hasattr(child, "pid"):
            await child.kill()
        return None
    except BaseException:
        if child is not None and hasattr(child, "pid"):
            await asyncio.shield(child.kill())
        raise
    rows = min(cell.scenario.training.batch_size, len(inputs.x))
    competitor = Competitor(cell.id, str(cell.variant), ready.steps, ready.steps_per_execution, rows)
    record.lanes.setdefault(lane.name, competitor)
    return Started(child, draft.phases["build_s"], ready.first_s, spawn_s, began)


async def measure(
    alive: dict[Lane, Started],
    generation: int,
    cpus: list[int],
    options: TimingOptions,
    record: Record,
    start: float,
    tell: Tell,
) -> None:
    """Rounds over the living children until there are enough; a disturbed round is recorded, and measured again."""
    kept = 0
    for attempt in range(2 * options.quota):
        order = list(alive)[attempt % max(1, len(alive)) :] + list(alive)[: attempt % max(1, len(alive))]
        if not order:
            return
        earlier, before = condition(cpus), sentinel(cpus)
        samples = {}
        for lane in order:
            tell(lane.cell, len(record.rounds), options.rounds)
            try:
                async with asyncio.timeout(options.timeout):
                    samples[lane.name] = read(Sample, checked(await alive[lane].child.request("go"), "time").body)
            except (TimeoutError, ChildDied, CellEnded, ProtocolError, Unreadable) as error:
                leave_out(lane, error, options, record)
                await alive.pop(lane).child.kill()
        after = sentinel(cpus)
        disturbed = moved(before, after, record.sentinel_s)
        record.sentinel_s += [before, after]
        around = between(earlier, condition(cpus))
        names = [lane.name for lane in order]
        record.rounds.append(Measured(generation, not disturbed, names, [before, after], around, samples))
        kept += not disturbed
        names = [lane.name for lane in alive]
        precise = len(names) > 1 and enough(record.logs(names), options.target_width, generation, options.children)
        late = time.monotonic() - start > options.budget_s
        if kept >= options.quota or (kept >= LEAST_ROUNDS and (precise or late)):
            return


async def stopped(lane: Lane, fresh: Started, options: TimingOptions, record: Record, inference: bool = False) -> None:
    """End a child's `fit`; keep what it cost, phase by phase, and whether it trained as its siblings did."""
    try:
        async with asyncio.timeout(options.timeout):
            answer = checked(await fresh.child.request("stop", Stop(inference).body()), "time")
            told = read(Stopped, answer.body)
    except (TimeoutError, ChildDied, CellEnded, ProtocolError, Unreadable) as error:
        leave_out(lane, error, options, record)
        return
    phases = {"spawn_s": fresh.spawn_s, "build_s": fresh.build_s, **told.phases, "waiting_s": told.waited_s}
    kept = {
        "build_s": fresh.build_s,
        "first_s": fresh.first_s,
        "phases": phases,
        "finite": told.finite,
        "weights_sha256": told.weights_sha256,
        "recompilations": told.recompilations,
        "inference_s": told.inference_s,
        "memory": told.memory,
        "wall_s": time.perf_counter() - fresh.began,
    }
    record.lanes[lane.name].children.append(kept)


async def ended(child: Child) -> None:
    """End a child at the end of its generation, whatever happened before."""
    if not child.exited.done():
        await asyncio.shield(child.close())


def leave_out(lane: Lane, error: BaseException, options: TimingOptions, record: Record) -> None:
    """Note why a lane is not timed."""
    reason = f"no answer within {options.timeout:g} s" if isinstance(error, TimeoutError) else str(error)
    record.left_out[lane.name] = reason
    for each in record.rounds:
        each.samples.pop(lane.name, None)
