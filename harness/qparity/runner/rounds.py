"""One generation of fresh processes of a block's variants: measured in turn, round by round.

A variant takes part until its pair with the first one is decided; then rounds go on with that one and those still open.
What goes wrong with a variant leaves it out, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from qparity.records import Timing, Unreadable, read
from qparity.records.answers import Ready, Stopped
from qparity.records.document import Table
from qparity.records.requests import Stop, Time
from qparity.records.timing import OUT_OF_TIME, Sample
from qparity.runner.cell import CellEnded, Draft, checked, prepare
from qparity.runner.condition import Condition, between, condition, sentinel
from qparity.runner.inputs import Inputs, inputs_of
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import Child, ChildDied
from qparity.timing.contention import moved
from qparity.timing.speed import NOISE
from qparity.worker.protocol import ProtocolError

LEAST_ROUNDS = 2
LONGEST_STEP_S = 2.0
CALIBRATION = 5
Tell = Callable[[Cell, int, int], None]
Decided = Callable[[str, str], bool]
"""Whether the pair of two lanes, the first of all and another one, needs no more rounds for now."""


@dataclass(frozen=True, slots=True)
class TimingOptions:
    """How long to measure.

    A pair's rounds go on until its ratio's relative half-width is `target_width`, or there are `rounds`, spread over
    `children` generations of processes; `block_s` seconds after the first generation no more than the fewest rounds
    are added. Where `run_s` is given, all blocks of the run share so many seconds (`runner/budget.py`). Differences
    below `noise` will count as none. A stretch of one variant takes about `stretch_s`; `timeout` bounds each answer.
    """

    rounds: int = 40
    target_width: float = 0.05
    children: int = 3
    noise: float = NOISE
    stretch_s: float = 0.12
    block_s: float = 60.0
    run_s: float | None = None
    timeout: float = 900.0

    @property
    def quota(self) -> int:
        """The most rounds of one generation."""
        return max(LEAST_ROUNDS, -(-self.rounds // self.children))


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One competitor: a cell under a name of its own (for A/A runs the same cell stands in two lanes).

    `pool` runs it where that is not the bench's: one cell in two environments.
    """

    name: str
    cell: Cell
    pool: Pool | None = None


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
        samples = {name: asdict(sample) for name, sample in self.samples.items()}
        for sample in samples.values():
            if sample["energy_j"] is None:  # a machine without counters
                del sample["energy_j"]
        return about | asdict(self.around) | {"samples": samples}


@dataclass
class Record:
    """`timings/<scenario>.json` in the making; see docs/architecture.md."""

    lanes: dict[str, Competitor] = field(default_factory=dict)
    rounds: list[Measured] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    sentinel_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, found: Timing) -> Self:
        """What has been measured so far, to be gone on with; whoever only lacked the time may try again."""
        listed = found.table("lanes")
        lanes = {
            name: Competitor(str(lane.id), lane.variant, lane.steps, lane.steps_per_execution, lane.batch_size)
            for name, lane in found.lanes.items()
            if lane.steps is not None
        }
        for name, competitor in lanes.items():
            competitor.children.extend(listed[name]["children"])  # type: ignore[index]
        rounds = [
            Measured(
                each.child,
                each.kept,
                list(each.order),
                list(each.sentinel_s),
                Condition(each.load, each.frequency_mhz, each.throttled, each.stolen_s),
                dict(each.samples),
            )
            for each in found.rounds
        ]
        left_out = {name: reason for name, reason in found.left_out.items() if reason != OUT_OF_TIME}
        return cls(lanes, rounds, left_out, list(found.sentinel_s))

    def pair(self, base: str, name: str) -> tuple[list[float], list[float], list[int]]:
        """Seconds a step of a lane and of the first one in each round that counts and has both, and the generation."""
        both = [each for each in self.rounds if each.kept and {base, name} <= each.samples.keys()]
        times, theirs = ([each.samples[lane].step_s for each in both] for lane in (name, base))
        return times, theirs, [each.child for each in both]

    def timing(self, block: Block, cpus: list[int], options: TimingOptions) -> Timing:
        """The record as a run keeps it."""
        return Timing(
            {
                "scenario": block.scenario.name,
                "cpus": cpus,
                "threads": len(cpus),
                "options": {name: getattr(options, name) for name in options.__slots__},
                "sentinel_s": self.sentinel_s,
                "lanes": {name: asdict(lane) for name, lane in self.lanes.items() if lane.children},
                "rounds": [each.to_dict() for each in self.rounds],
                "left_out": self.left_out,
            }
        )


@dataclass(frozen=True, eq=False)
class Bench:
    """A block on the cores it is measured on, with all that a process of it needs, and what has been measured."""

    pool: Pool
    block: Block
    logs: Path
    cpus: list[int]
    options: TimingOptions
    record: Record
    tell: Tell = lambda *_: None

    @property
    def timing(self) -> Timing:
        """The record so far."""
        return self.record.timing(self.block, self.cpus, self.options)


async def generation(
    bench: Bench,
    party: Sequence[Lane],
    number: int,
    rounds: tuple[int, int],
    decided: Decided,
    late: float,
    until: float = math.inf,
    inference: bool = False,
) -> None:
    """Start a fresh process of each lane of a party, measure them in turn, end them.

    Args:
        bench: where.
        party: the lanes; those left out until now are not started.
        number: of the generation.
        rounds: the fewest, and the most.
        decided: which pairs need no more, once there are the fewest.
        late: when to stop at the fewest, by `time.monotonic`.
        until: when not to wait any more for a process to be ready.
        inference: whether a batch of `predict` is timed at the end.
    """
    async with contextlib.AsyncExitStack() as stack:
        alive: dict[Lane, Started] = {}
        inputs = inputs_of(bench.block)
        for lane in party:
            if lane.name not in bench.record.left_out:
                bench.tell(lane.cell, len(bench.record.rounds), bench.options.rounds)
                fresh = await started(bench, inputs, lane, number, until)
                if fresh is not None:
                    stack.push_async_callback(ended, fresh.child)
                    alive[lane] = fresh
        if len(alive) > 1 or math.isinf(until):
            await measure(bench, alive, number, rounds, decided, late)
        for lane, fresh in list(alive.items()):
            await stopped(bench, lane, fresh, inference)


async def started(bench: Bench, inputs: Inputs, lane: Lane, number: int, until: float = math.inf) -> Started | None:
    """A fresh child of a lane, compiled, warm and waiting inside its `fit`; None if it is left out, with the reason."""
    cell, options, record = lane.cell, bench.options, bench.record
    draft = Draft(cell, "")
    child = None
    patience = min(options.timeout, max(0.0, until - time.monotonic()))
    try:
        async with asyncio.timeout(patience):
            server = await (lane.pool or bench.pool).server(cell.variant, cell.scenario.device)
            began = time.perf_counter()
            log = bench.logs / f"{cell.id}.log"
            child = await server.child(f"{cell.id}-{lane.name}-{number}", log, bench.cpus, timed=True)
            spawn_s = time.perf_counter() - began
            await prepare(child, bench.block, cell, inputs, lambda *_: None, draft)
            known = record.lanes.get(lane.name)
            asked = Time(options.stretch_s, known.steps if known else None)
            ready = read(Ready, checked(await child.request("time", asked.body(), draft.start), "time").body)
        if ready.pilot_step_s > LONGEST_STEP_S:
            raise CellEnded("unsupported", f"a step takes {ready.pilot_step_s:.1f} s: too long to repeat")
    except (TimeoutError, ChildDied, CellEnded, Unavailable, ProtocolError, Unreadable) as error:
        leave_out(bench, lane, error, patience < options.timeout)
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
    bench: Bench,
    alive: dict[Lane, Started],
    number: int,
    rounds: tuple[int, int],
    decided: Decided,
    late: float,
) -> None:
    """Rounds over the living children until there are enough; a disturbed round is recorded, and measured again."""
    options, record, cpus = bench.options, bench.record, bench.cpus
    least, most = rounds
    kept, closed = 0, set[str]()
    for attempt in range(2 * most):
        open_lanes = [lane for place, lane in enumerate(alive) if not place or lane.name not in closed]
        turn = attempt % max(1, len(open_lanes))
        order = open_lanes[turn:] + open_lanes[:turn]
        if not order:
            return
        earlier, before = condition(cpus), sentinel(cpus)
        samples = {}
        for lane in order:
            bench.tell(lane.cell, len(record.rounds), options.rounds)
            try:
                async with asyncio.timeout(options.timeout):
                    samples[lane.name] = read(Sample, checked(await alive[lane].child.request("go"), "time").body)
            except (TimeoutError, ChildDied, CellEnded, ProtocolError, Unreadable) as error:
                leave_out(bench, lane, error)
                await alive.pop(lane).child.kill()
        after = sentinel(cpus)
        disturbed = moved(before, after, record.sentinel_s)
        record.sentinel_s += [before, after]
        around = between(earlier, condition(cpus))
        names = [lane.name for lane in order]
        record.rounds.append(Measured(number, not disturbed, names, [before, after], around, samples))
        kept += not disturbed
        if kept < least:
            continue
        base, *others = [lane.name for lane in alive] or [""]
        closed |= {name for name in others if name not in closed and decided(base, name)}
        if kept >= most or closed >= set(others) or time.monotonic() > late:
            return


async def stopped(bench: Bench, lane: Lane, fresh: Started, inference: bool = False) -> None:
    """End a child's `fit`; keep what it cost, phase by phase, and whether it trained as its siblings did."""
    profile = all(child.get("profile") is None for child in bench.record.lanes[lane.name].children)
    try:
        async with asyncio.timeout(bench.options.timeout):
            answer = checked(await fresh.child.request("stop", Stop(inference, profile).body()), "time")
            told = read(Stopped, answer.body)
    except (TimeoutError, ChildDied, CellEnded, ProtocolError, Unreadable) as error:
        leave_out(bench, lane, error)
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
        "profile": told.profile,
        "memory": told.memory,
        "wall_s": time.perf_counter() - fresh.began,
    }
    bench.record.lanes[lane.name].children.append(kept)


async def ended(child: Child) -> None:
    """End a child at the end of its generation, whatever happened before."""
    if not child.exited.done():
        await asyncio.shield(child.close())


def leave_out(bench: Bench, lane: Lane, error: BaseException, out_of_time: bool = False) -> None:
    """Note why a lane is not timed. One that only ran out of time keeps the rounds it has."""
    timed_out = isinstance(error, TimeoutError)
    if timed_out and out_of_time:
        if lane.name not in bench.record.lanes:
            bench.record.left_out[lane.name] = OUT_OF_TIME
        return
    bench.record.left_out[lane.name] = f"no answer within {bench.options.timeout:g} s" if timed_out else str(error)
    for each in bench.record.rounds:
        each.samples.pop(lane.name, None)
