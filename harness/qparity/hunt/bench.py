"""Trains circuits where a hunt can look at once: a scenario on a variant, and what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from qparity.hunt.kept import Fault
from qparity.hunt.witness import difference
from qparity.parity import PASSES, Judgement, Observation, Verdict, judge
from qparity.records import Outcome
from qparity.runner import memory
from qparity.runner.cell import CellResult, run_cell
from qparity.runner.inputs import inputs_of
from qparity.runner.local import Cores, Options
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool
from qparity.runner.reference import References, wanted
from qparity.scenario.identity import cell_id, search_path, source_hash
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.summary.cost import seconds
from qparity.summary.judging import WITHIN_S

T = TypeVar("T")
REWRITTEN = "rewrite"
"""The stage of a difference between a circuit and its rewrite, both of which are right by themselves."""
FAULTY = ("failed", "crashed", "diverged")
"""How a cell may end that has something wrong. What takes too long may be the machine's doing."""
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


def block_of(scenario: Scenario, variants: Sequence[Variant], source: str = "") -> Block:
    """A scenario whose circuit is written out, with cells on these variants."""
    folders = search_path(Path.cwd())
    sha = source_hash(scenario, folders)
    cells = tuple(Cell(cell_id(scenario, variant, sha), scenario, variant) for variant in variants)
    return Block(scenario, cells, tuple(map(str, folders[:2])), source, sha)


def fault_of(outcome: Outcome | None, judgement: Judgement | None) -> Fault | None:
    """What is wrong with a cell; None of one that passed, was refused or not compared."""
    if outcome is None:
        return None
    if outcome.status in FAULTY:
        return Fault(outcome.status, what=alike(outcome.reason or ""))
    if outcome.status != "ok" or judgement is None or judgement.verdict in (*PASSES, Verdict.NOT_COMPARED):
        return None
    stage = str(judgement.stage) if judgement.stage else None
    return Fault("ok", str(judgement.verdict), stage, str(judgement.tensor or "") if stage == "setup" else "")


def alike(reason: str) -> str:
    """A reason without its numbers, which differ from circuit to circuit."""
    return _NUMBER.sub("#", reason)[:160]


def differs(one: Observation, other: Observation) -> tuple[Fault, str] | None:
    """The difference between a circuit and its rewrite as a fault, with one line; None where there is none."""
    found = difference(one, other)
    if found is None or found[0] <= 1:
        return None
    return Fault("ok", str(Verdict.LOCAL_FAULT), REWRITTEN), found[1]


class Bench:
    """Trains cells that no run keeps, on the cores and with the servers of a hunt."""

    def __init__(self, pool: Pool, cores: Cores, logs: Path, options: Options) -> None:
        self.pool, self.cores, self.logs, self.options = pool, cores, logs, options
        self.references = References(pool, logs)
        self.thread = ThreadPoolExecutor(1)

    async def train(self, scenario: Scenario, variant: Variant) -> CellResult:
        """Outcome and trace of a cell; the reference is asked only where the oracle cannot judge it."""
        async with self.cores.take(memory.least_bytes(scenario)) as cpus:
            result = await self._run(scenario, variant, cpus, None)
            if result.trace is not None and wanted(scenario, result.outcome.resolved):
                result = await self._run(scenario, variant, cpus, self.references)
        return result

    async def _run(
        self, scenario: Scenario, variant: Variant, cpus: list[int], references: References | None
    ) -> CellResult:
        block = block_of(scenario, [variant])
        (cell,) = block.cells
        log = self.logs / f"{cell.id}-tried.log"
        timeout, most, inputs = self.options.timeout, self.cores.memory_bytes, inputs_of(block)
        try:
            return await run_cell(
                self.pool, block, cell, inputs, log, cpus, timeout, _untold, most, references, no_fit=True
            )
        finally:
            with contextlib.suppress(OSError):
                log.unlink()

    async def fault(self, scenario: Scenario, variant: Variant) -> Fault | None:
        """What is wrong with a cell."""
        result = await self.train(scenario, variant)
        return await self.apart(partial(_judged, result))

    async def difference(self, scenarios: tuple[Scenario, Scenario], variant: Variant) -> Fault | None:
        """What is wrong with two cells of one function that are right by themselves."""
        one, other = [await self.train(scenario, variant) for scenario in scenarios]
        return await self.apart(partial(_compared, one, other))

    async def apart(self, judge: Callable[[], T]) -> T:
        """Judge in a thread of its own: the event loop must hear the cells."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, judge)


def _untold(phase: str, step: int) -> None:
    """Nobody watches."""


def _judged(result: CellResult) -> Fault | None:
    o = Observation.of(result.outcome, result.trace)
    if result.outcome.status == "ok" and seconds(o) > WITHIN_S:
        return None
    return fault_of(result.outcome, judge([o]).get(o.cell))


def _compared(one: CellResult, other: CellResult) -> Fault | None:
    if any(each.outcome.status != "ok" or _judged(each) is not None for each in (one, other)):
        return None
    found = differs(*(Observation.of(each.outcome, each.trace) for each in (one, other)))
    return found[0] if found else None
