"""The reference's part in a sweep: what circuit a scenario has, and what is right at the steps that a cell recorded.

It runs in a worker server of its own (Keras on NumPy) and is asked after a cell has trained, so that it takes no part
in any training. Whatever fails there leaves the cell as it is, with the reason.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import numpy as np

from qparity.oracle.probes import sampled_steps, seed_of
from qparity.records import Resolved, read
from qparity.records.answers import Refusal
from qparity.records.document import Table
from qparity.records.requests import Judge, Prepare, WalkReference
from qparity.records.trace import Trace
from qparity.runner.inputs import Shape
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Server, Unavailable
from qparity.runner.process import ChildDied
from qparity.scenario.schema import ABOUT, DATA, Scenario
from qparity.worker.protocol import Message, ProtocolError

MOST_STEPS = 8
LEAST_S, MOST_S = 4.0, 120.0
"""Seconds that the reference may take for a cell: as long as its audit took, within these bounds."""
PATIENCE_S = 300.0


class References:
    """Asks the reference; what it says of a circuit is asked once for all cells that share it."""

    def __init__(self, pool: Pool, logs: Path) -> None:
        self.pool, self.logs = pool, logs
        self._circuits: dict[str, asyncio.Task[Table]] = {}
        self._children = itertools.count()

    async def about(self, block: Block, cell: Cell, shape: Shape) -> Table:
        """`{"programs": [...]}`: the gate programs of a scenario's quantum layers, or `{"reason": why not}`."""
        key = circuit_key(cell, shape)
        if key not in self._circuits:
            self._circuits[key] = asyncio.create_task(self._about(block, cell, shape))
        return await asyncio.shield(self._circuits[key])

    async def judge(
        self, block: Block, cell: Cell, shape: Shape, trace: Trace, audit_s: float
    ) -> tuple[Table, dict[str, np.ndarray]]:
        """What is right at some of the recorded steps: (what is said of it, `reference/...` arrays of a trace)."""
        seed, sizes = seed_of(cell.id), np.diff(trace.offsets)
        steps = sampled_steps([int(n) for n in sizes], MOST_STEPS, seed)
        seconds = float(np.clip(audit_s, LEAST_S, MOST_S))
        asked = Judge(seed, seconds, cell.variant.mode != "eager")
        try:
            async with asyncio.timeout(PATIENCE_S + seconds):
                _, answer = await self._ask(block, cell, shape, "judge", asked.body(), at_steps(trace, steps))
        except (ChildDied, ProtocolError, Unavailable, TimeoutError, Refused) as error:
            return {"reason": str(error) or "the reference took too long"}, {}
        about = {"seed": seed, "steps": len(Trace(answer.arrays).reference_steps), "of": len(sizes), **answer.body}
        return about, answer.arrays

    async def walk(
        self, block: Block, cell: Cell, shape: Shape, arrays: dict[str, np.ndarray], rounding: float
    ) -> Message:
        """Every layer applied to what entered it (worker/reference/walk.py). Raises Refused, and what a child does."""
        async with asyncio.timeout(PATIENCE_S):
            return (await self._ask(block, cell, shape, "walk", WalkReference(rounding).body(), arrays))[1]

    async def _about(self, block: Block, cell: Cell, shape: Shape) -> Table:
        try:
            async with asyncio.timeout(PATIENCE_S):
                prepared, _ = await self._ask(block, cell, shape)
        except (ChildDied, ProtocolError, Unavailable, TimeoutError, Refused) as error:
            return {"reason": str(error) or "the reference took too long"}
        return dict(prepared.body)

    async def _ask(
        self,
        block: Block,
        cell: Cell,
        shape: Shape,
        kind: str | None = None,
        body: Table | None = None,
        arrays: dict[str, np.ndarray] | None = None,
    ) -> tuple[Message, Message]:
        """The answers to `prepare` and to a further request, from a child of the reference."""
        model = None if block.given is None else block.given.model
        asked = Prepare(cell.scenario.model_dump(mode="json"), tuple(block.search_path), *shape, model=model)
        log = self.logs / f"reference-{cell.id}-{next(self._children)}.log"
        return await ask(await self.pool.reference(), log, None, asked, kind, body, arrays)


async def ask(
    server: Server,
    log: Path,
    cpus: list[int] | None,
    asked: Prepare,
    kind: str | None = None,
    body: Table | None = None,
    arrays: dict[str, np.ndarray] | None = None,
) -> tuple[Message, Message]:
    """The answers to `prepare` and to a further request, from a fresh child that is named as its log is.

    Raises:
        Refused: it answers with an error.
        ChildDied, ProtocolError: it does not answer.
    """
    child = await server.child(log.stem, log, cpus)
    try:
        prepared = checked(await child.request("prepare", asked.body()))
        answer = checked(await child.request(kind, body, arrays)) if kind else prepared
    except BaseException:
        await asyncio.shield(child.kill())
        raise
    await child.close()
    if log.exists() and not log.stat().st_size:
        log.unlink()
    return prepared, answer


class Refused(Exception):
    """A child cannot answer; the message says why."""


def checked(answer: Message) -> Message:
    """The answer, unless it is an error."""
    if answer.kind == "error":
        raise Refused(read(Refusal, answer.body).reason)
    if answer.kind != "done":
        raise Refused(answer.kind)
    return answer


def circuit_key(cell: Cell, shape: Shape) -> str:
    """What a scenario's circuits depend on: all of it for a user's model, much less for a bare circuit."""
    scenario = cell.scenario.model_dump(mode="json", exclude=set(ABOUT))
    if not cell.scenario.model:
        scenario = {name: scenario[name] for name in ("circuit", "circuit_options", "weight_shapes", "wires", "layers")}
    return json.dumps([scenario, shape], sort_keys=True)


def wanted(scenario: Scenario, resolved: Resolved) -> bool:
    """Whether a cell has parts that the oracle cannot judge: layers of others, or a circuit that it does not cover."""
    if scenario.shots or "spsa" in (resolved.diff_method, *(layer.diff_method for layer in resolved.quantum_layers)):
        return False
    if scenario.recorded_at_layers:
        return True
    return any(program.not_covered for program in resolved.programs)


def at_steps(trace: Trace, steps: np.ndarray) -> dict[str, np.ndarray]:
    """Weights, state and batches of the chosen steps, as the reference wants them."""
    offsets = trace.offsets
    rows = np.concatenate([np.arange(offsets[t], offsets[t + 1]) for t in steps])
    index = trace.batch_index[rows]
    arrays = {"reference_steps": steps, "offsets": np.cumsum([0, *np.diff(offsets)[steps]]).astype(np.int64)}
    arrays |= {name: trace[name][index] for name in DATA if name in trace}
    for name, array in trace.items():
        if name.startswith("weights/"):
            arrays[name] = array[steps]
        elif name.startswith("state/"):
            arrays[name] = array[steps if len(array) > 1 else np.zeros_like(steps)]
    return arrays
