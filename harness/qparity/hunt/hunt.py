"""The hunt: circuits of a seed, one after the other, each trained as it is and rewritten; what is wrong is cut down.

It is the engine of a sweep whose plan grows. Everything that was judged is in the run folder, and what the hunt knows
of itself beside it (`kept`): killed, it goes on with the circuits that are not done.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from qparity.hunt import kept
from qparity.hunt.bench import REWRITTEN, Bench, block_of, differs, fault_of
from qparity.hunt.draw import Drawn, draw
from qparity.hunt.kept import PLAIN, Fault, Find, State
from qparity.hunt.rewrites import Rewritten, rewrite
from qparity.hunt.scripts import write_script
from qparity.hunt.shrink import Candidate, Tries, plain, shrink
from qparity.parity import Judgement, Verdict
from qparity.records.document import Table
from qparity.runner import memory
from qparity.runner.events import WorkerStarted
from qparity.runner.local import Cores, Options, available_cores, run_block
from qparity.runner.plan import Block
from qparity.runner.pool import Pool
from qparity.runner.sweep import Ledger, sweep
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.scenario.written import Written
from qparity.store import Run, files
from qparity.summary.judging import judge_block, observations_of

AHEAD = 16
"""Circuits that are planned at a time."""
ENOUGH = 5
"""Cells that show a find, after which circuits that hold it are passed over."""
REWRITES = 3
SHRINK_S = 90.0
"""For one find, at the most."""
REWRITE_SUFFIX, SMALL, SMALL_REWRITE = "-rewritten", "-small", "-small-rewritten"

Tell = Callable[[State, tuple[Find, ...]], None]


@dataclass(frozen=True, slots=True)
class Prey:
    """A drawn circuit and its rewrite, each with its block of the plan."""

    drawn: Drawn
    rewritten: Rewritten
    blocks: tuple[Block, Block]


@dataclass(frozen=True, slots=True)
class JudgedCell:
    """A cell by what became of it (`State.counts`), what is wrong with it, and why that is said."""

    sort: str
    fault: Fault | None
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A circuit and its rewrite; `difference` where both are right by themselves and differ."""

    cells: tuple[JudgedCell, ...]
    difference: tuple[Fault, str] | None


def hunt(run: Run, state: State, options: Options, tell: Tell, scripts: Path | None = None) -> tuple[State, bool]:
    """Hunt until a limit is reached. What becomes of each circuit is kept as soon as it is known.

    Args:
        run: where everything is stored; its plan grows.
        state: what was asked for, and what is known so far.
        options: of the local engine.
        tell: hears the state after each circuit, and what has just been found.
        scripts: the folder for scripts; None: `finds` in the run folder.

    Returns:
        The state, and whether it came to its end: False after Ctrl-C or SIGTERM.

    Raises:
        Halted, StoreError: as `sweep`.
    """
    folder = files.folder(run.path, "finds") if scripts is None else scripts
    hunter = Hunter(run, state, replace(options, no_fit=True), tell, folder)
    kept.write(run.path, state)
    whole = sweep(run, [], options, engine=hunter.engine)
    return hunter.state, whole


class Hunter:
    """One hunt."""

    def __init__(self, run: Run, state: State, options: Options, tell: Tell, scripts: Path) -> None:
        self.run, self.state, self.options, self.tell, self.scripts = run, state, options, tell, scripts
        self.variants = [Variant.parse(name) for name in state.variants]
        self.begun, self.spent_s = time.monotonic(), state.spent_s
        done = set(state.done)
        self._numbers = (n for n in count() if n not in done)
        self._ahead: list[Prey] = []
        self._cells = state.drawn
        self._lock = asyncio.Lock()

    @property
    def over(self) -> bool:
        """Whether no other circuit is to be begun."""
        seconds, cells = self.state.seconds, self.state.cells
        late = seconds is not None and self.spent_s + time.monotonic() - self.begun >= seconds
        return late or (cells is not None and self._cells >= cells)

    async def engine(self, ledger: Ledger) -> None:
        """As many circuits side by side as there are cores."""
        options, logs = self.options, ledger.logs()
        jobs = options.jobs or max(1, len(available_cores()) // options.threads)
        cores = Cores(jobs, options.threads, options.memory_bytes or memory.free_bytes())

        def heard(key: str, what: str, about: Table, reason: str) -> None:
            ledger.hear(WorkerStarted(key, what, about, reason))

        async with Pool(logs, options.threads, options.interpreters, heard, options.isolation) as pool:
            bench = Bench(pool, cores, logs, options)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(jobs):
                        tasks.create_task(self._stream(ledger, bench))
            except asyncio.CancelledError:  # what is planned and missing would be said to be lost
                self._forget_what_was_not_run()
                raise
            finally:
                bench.thread.shutdown(cancel_futures=True)
        self._forget_what_was_not_run()

    async def _stream(self, ledger: Ledger, bench: Bench) -> None:
        while not self.over:
            async with self._lock:
                if not self._ahead:
                    self._plan_ahead()
                prey = self._ahead.pop(0)
                self._cells += len(prey.blocks)
            await self._one(ledger, bench, prey)

    # The plan

    def _plan_ahead(self) -> None:
        """Draw the next circuits, without those that hold what was found often enough, and plan their cells."""
        while len(self._ahead) < AHEAD:
            drawn = draw(self.state.seed, next(self._numbers), self.variants)
            if any(_holds(drawn, find) for find in self.state.finds if len(find.cells) >= ENOUGH):
                self._done(drawn.number, {"passed over": 1})
                continue
            rng = np.random.default_rng([self.state.seed, drawn.number, 1])
            rewritten = rewrite(drawn.circuit, rng, REWRITES)
            scenarios = drawn.scenario(), drawn.scenario(rewritten.after, REWRITE_SUFFIX)
            blocks = tuple(block_of(scenario, [drawn.variant]) for scenario in scenarios)
            self._ahead.append(Prey(drawn, rewritten, (blocks[0], blocks[1])))
        self._plan(block for prey in self._ahead for block in prey.blocks)

    def _plan(self, blocks: Iterable[Block]) -> None:
        names = {block.scenario.name for block in self.run.plan.blocks}
        more = [block.planned() for block in blocks if block.cells and block.scenario.name not in names]
        if more:
            self.run.plan_more(more)

    def _forget_what_was_not_run(self) -> None:
        missing = set(self.run.missing())
        blocks = self.run.plan.blocks
        names = {block.scenario.name for block in blocks if all(cell.id in missing for cell in block.cells)}
        if names:
            self.run.unplan(names)

    # One circuit

    async def _one(self, ledger: Ledger, bench: Bench, prey: Prey) -> None:
        for block in prey.blocks:
            await self._run(ledger, bench, block)
        judged = await bench.apart(partial(self._judged, prey))
        counts = Counter(circuits=1)
        counts.update(each.sort for each in judged.cells)
        wrong = [(n, each.fault, each.reason) for n, each in enumerate(judged.cells) if each.fault]
        if judged.difference is not None:
            counts["passed"], counts["faulty"] = counts["passed"] - 1, counts["faulty"] + 1
            wrong.append((1, *judged.difference))
        finds = [await self._found(ledger, bench, prey, *each) for each in wrong[:1]]
        for each in wrong[1:]:  # the same fault in the rewrite is the same find
            if each[1] != wrong[0][1]:
                finds.append(await self._found(ledger, bench, prey, *each))
        self._done(prey.drawn.number, counts, finds)

    async def _run(self, ledger: Ledger, bench: Bench, block: Block) -> None:
        """The cells of a block that have no outcome yet."""
        left = replace(block, cells=tuple(cell for cell in block.cells if self.run.outcome(cell.id) is None))
        if left.cells:
            given = (bench.cores, bench.logs, self.options, ledger.store, ledger.listen, _nothing, bench.references)
            await run_block(bench.pool, left, *given)

    def _judged(self, prey: Prey) -> Judged:
        """What became of a circuit and its rewrite, and whether both are right and differ."""
        found, sound = [], []
        for block in prey.blocks:
            planned, (cell,) = block.planned(), block.cells
            outcome, judgement = self.run.outcome(cell.id), judge_block(self.run, planned).get(cell.id)
            fault = fault_of(outcome, judgement)
            reason = str((judgement and judgement.reason) or (outcome and outcome.reason) or "")
            if outcome and outcome.fault:
                reason = f"[injected fault: {outcome.fault.name}] {reason}"
            found.append(JudgedCell(_sort(outcome.status if outcome else "missing", judgement, fault), fault, reason))
            if outcome and outcome.status == "ok" and fault is None:
                sound += observations_of(self.run, planned)
        return Judged(tuple(found), differs(*sound) if len(sound) == 2 else None)

    # A find

    async def _found(self, ledger: Ledger, bench: Bench, prey: Prey, n: int, fault: Fault, reason: str) -> Find:
        """Cut it down, and run what is left on every variant; or say of which find it is another."""
        drawn, variant = prey.drawn, prey.drawn.variant
        cell = f"{prey.blocks[n].scenario.name}/{variant}"
        about = Find(fault, drawn.training["device"], drawn.training["diff_method"], str(variant), (cell,), reason)
        both = fault.stage == REWRITTEN
        start = Candidate(drawn, prey.rewritten)
        if not both:
            circuit = prey.rewritten.after if n else prey.rewritten.before
            start = start.with_segments(plain(circuit.gates))
        suffix = ("", REWRITE_SUFFIX)[n]

        async def holds(candidate: Candidate) -> bool:
            if both:
                before, after = _scenarios(candidate, "", REWRITE_SUFFIX)
                return await bench.difference((before, after), variant) == fault
            return await bench.fault(_scenario(candidate, suffix), variant) == fault

        began = time.monotonic()
        tries = Tries(holds, lambda: time.monotonic() - began > SHRINK_S)
        if not await tries(start):
            return replace(about, recurred=False, tried=tries.tried)
        for known in self.state.finds:
            if _alike(known, about) and not known.rules and await tries(_only(start, known)):
                return replace(known, cells=(cell,))
        least = await shrink(start, tries)
        circuit = least.rewritten.after
        left = replace(
            about,
            gates=tuple(gate.label for gate in circuit.gates),
            measured=tuple(m.label for m in circuit.measured),
            rules=least.rewritten.rules if both else (),
            steps=least.drawn.scenario(circuit).steps,
            tried=tries.tried,
        )
        if any(known.key == left.key for known in self.state.finds):
            return left
        return await self._kept(ledger, bench, left, least, both)

    async def _kept(self, ledger: Ledger, bench: Bench, find: Find, least: Candidate, both: bool) -> Find:
        """Run the smallest circuit on every variant, and write its script."""
        scenarios = list(_scenarios(least, SMALL, SMALL_REWRITE)) if both else [_scenario(least, SMALL)]
        blocks = []
        for scenario in scenarios:
            block = block_of(scenario, self.variants, str(self.scripts / f"{scenario.name}.toml"))
            others = {place.cell_id for place in self.run.planned() if place.scenario.name != scenario.name}
            blocks.append(replace(block, cells=tuple(cell for cell in block.cells if cell.id not in others)))
        self._plan(blocks)
        for block in blocks:
            await self._run(ledger, bench, block)
        where = [find.variant] if both else await bench.apart(partial(self._where, blocks[0], find))
        found = replace(find, small=scenarios[-1].name, where=tuple(where))
        script, why = await bench.apart(partial(write_script, self.run, found, scenarios, self.scripts))
        return replace(found, script=script, no_script=why)

    def _where(self, block: Block, find: Find) -> list[str]:
        """The variants on which the smallest circuit shows the fault; the one that it was cut down on does."""
        found = [find.variant]
        judgements = judge_block(self.run, block.planned()) if block.cells else {}
        for cell in block.cells:
            fault = fault_of(self.run.outcome(cell.id), judgements.get(cell.id))
            if fault is not None and (fault.status, fault.verdict, fault.stage) == (
                find.fault.status, find.fault.verdict, find.fault.stage,
            ):  # fmt: skip
                found.append(str(cell.variant))
        return [name for name in self.state.variants if name in found]

    # What is kept

    def _done(self, number: int, counts: Mapping[str, int], found: Iterable[Find] = ()) -> None:
        finds, new = list(self.state.finds), []
        for find in found:
            same = next((k for k, known in enumerate(finds) if known.recurred and known.key == find.key), None)
            if same is None or not find.recurred:
                finds.append(find)
                new.append(find)
            else:
                finds[same] = replace(finds[same], cells=(*finds[same].cells, *find.cells))
        total = Counter(self.state.counts) + Counter(counts)
        self.state = replace(
            self.state,
            spent_s=self.spent_s + time.monotonic() - self.begun,
            done=(*self.state.done, number),
            counts=dict(total),
            finds=tuple(finds),
        )
        kept.write(self.run.path, self.state)
        self.tell(self.state, tuple(new))


def _sort(status: str, judgement: Judgement | None, fault: Fault | None) -> str:
    """What became of a cell, as `State.counts` has it."""
    if fault is not None:
        return "faulty"
    if status == "unsupported":
        return "refused"
    if status != "ok" or judgement is None:
        return "unfinished"
    return "not compared" if judgement.verdict == Verdict.NOT_COMPARED else "passed"


def _alike(known: Find, find: Find) -> bool:
    return known.recurred and (known.fault, known.device, known.diff_method) == (
        find.fault, find.device, find.diff_method,
    )  # fmt: skip


def _only(candidate: Candidate, known: Find) -> Candidate:
    """The gates alone that a find has."""
    segments = [s for s in candidate.rewritten.segments if s.before[0].label in known.gates]
    return candidate.with_segments(segments)


def _holds(drawn: Drawn, find: Find) -> bool:
    """Whether a circuit has all that a find has left, where it shows; a plain gate stands for any."""
    if not find.recurred or str(drawn.variant) not in find.where or find.rules:
        return False
    if (drawn.training["device"], drawn.training["diff_method"]) != (find.device, find.diff_method):
        return False
    gates, measured = _labels(drawn.circuit)
    return set(find.measured) <= measured and set(find.gates) - set(PLAIN) <= gates


def _labels(circuit: Written) -> tuple[set[str], set[str]]:
    return {gate.label for gate in circuit.gates}, {m.label for m in circuit.measured}


def _scenario(candidate: Candidate, suffix: str) -> Scenario:
    return candidate.drawn.scenario(candidate.rewritten.after, suffix)


def _scenarios(candidate: Candidate, suffix: str, of_rewrite: str) -> tuple[Scenario, Scenario]:
    drawn, rewritten = candidate.drawn, candidate.rewritten
    return drawn.scenario(rewritten.before, suffix), drawn.scenario(rewritten.after, of_rewrite)


def _nothing(block: Block) -> None:
    """A block has ended; it is judged later."""
