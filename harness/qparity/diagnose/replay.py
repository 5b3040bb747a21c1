"""Lock-step replay: one recorded step run again in a fresh process, on any variant, device and diff method.

A replay is a training of one step, from the weights and with the batch that the cell recorded, with a fresh
optimizer. It leaves a trace as a sweep does, and the same judge judges it; all variants start from the same weights,
so they can be compared with each other even where there is no oracle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np

from qparity.diagnose.subject import Subject
from qparity.parity import PASSES, Judgement, Observation, Verdict, judge
from qparity.records import Outcome, Resolved, read
from qparity.records.answers import Audited, Prepared
from qparity.records.document import Table
from qparity.records.requests import Prepare
from qparity.records.trace import Trace
from qparity.runner.cell import CellEnded, checked, keeps_targets
from qparity.runner.inputs import shape_of
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import Child, ChildDied
from qparity.runner.reference import References, wanted
from qparity.scenario.schema import SAMPLE_WEIGHT, Scenario
from qparity.scenario.variant import Variant
from qparity.worker.protocol import Message, ProtocolError

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Replay:
    """One step run again. `status` is a cell's; `observation` and `judgement` are there where it is `ok`."""

    variant: str
    device: str
    diff_method: str
    status: str = "ok"
    reason: str | None = None
    observation: Observation | None = None
    judgement: Judgement | None = None

    @property
    def wrong(self) -> bool:
        """Whether the judge found a fault."""
        return self.judgement is not None and self.judgement.verdict not in (*PASSES, Verdict.NOT_COMPARED)

    @property
    def right(self) -> bool:
        """Whether the judge passed it."""
        return self.judgement is not None and self.judgement.verdict in PASSES

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        judged = {} if self.judgement is None else self.judgement.to_dict()
        keys = ("verdict", "stage", "tensor", "r", "effective_bits")
        about = {"variant": self.variant, "device": self.device, "diff_method": self.diff_method, "status": self.status}
        return about | {key: judged.get(key) for key in keys} | {"reason": judged.get("reason") or self.reason}


async def replay(
    pool: Pool,
    subject: Subject,
    variant: str,
    changes: Mapping[str, object] | None = None,
    references: References | None = None,
) -> Replay:
    """Run the subject's step on a variant, with fields of the scenario changed. Never raises for what a child does.

    With `references` the reference is asked too, where the oracle cannot judge all of it.
    """
    scenario = changed(subject, changes or {})
    place = (variant, scenario.device, scenario.diff_method)
    try:
        async with asyncio.timeout(TIMEOUT_S), session(pool, subject, variant, scenario) as (child, prepared):
            held = _one_step(subject, read(Prepared, prepared.body))
            answer = checked(await child.request("audit", {}, held), "audit")
    except TimeoutError:
        return Replay(*place, "timeout", f"no end after {TIMEOUT_S:g} s")
    except (ChildDied, ProtocolError) as error:
        return Replay(*place, "crashed", str(error))
    except (CellEnded, Unavailable) as error:
        return Replay(*place, error.status, str(error))
    audited = read(Audited, answer.body)
    document: Table = {
        "id": "/".join(place),
        "scenario": scenario.model_dump(mode="json"),
        "variant": variant,
        "status": "ok",
        "resolved": read(Prepared, prepared.body).resolved | {"flags": audited.flags},
        "audit": audited.audit,
    }
    outcome = Outcome(document, planned=scenario)
    arrays = Trace(answer.arrays)
    if references is not None and wanted(scenario, outcome.resolved):
        cell = Cell(subject.observation.cell, scenario, Variant.parse(variant))
        block = Block(scenario, (), tuple(subject.search_path()), "")
        shape = shape_of(arrays.x, arrays.y)
        said = await references.about(block, cell, shape)
        more, told = await references.judge(block, cell, shape, arrays, 0.0)
        outcome = outcome.changed(reference=said | more)
        arrays |= told
    return Replay(*place, observation=Observation.of(outcome, arrays))


def judged(replays: list[Replay]) -> list[Replay]:
    """Replays of one scenario, each with its judgement: beside the others, as the variants of a block are."""
    found = judge([r.observation for r in replays if r.observation is not None])
    return [
        Replay(r.variant, r.device, r.diff_method, r.status, r.reason, r.observation, found.get(r.observation.cell))
        if r.observation is not None
        else r
        for r in replays
    ]


@asynccontextmanager
async def session(
    pool: Pool, subject: Subject, variant: str, scenario: Scenario
) -> AsyncIterator[tuple[Child, Message]]:
    """A prepared child of a variant, and its answer to `prepare`."""
    fault = subject.observation.outcome.fault if variant == subject.observation.variant else None
    asked = Prepare(
        scenario.model_dump(mode="json"),
        tuple(subject.search_path()),
        *shape_of(subject.trace.x, subject.trace.y),
        variant,
        fault and replace(fault, step=0),
    )
    server = await pool.server(Variant.parse(variant), scenario.device)
    name = f"diagnose-{variant}-{scenario.device}-{scenario.diff_method}-{len(server.children)}"
    child = await server.child(name, pool.logs / f"{name}.log", None)
    try:
        yield child, checked(await child.request("prepare", asked.body()), "prepare")
        await child.close()
    except BaseException:
        await asyncio.shield(child.kill())
        raise


def changed(subject: Subject, changes: Mapping[str, object]) -> Scenario:
    """The subject's scenario as a training of one epoch, with some fields changed."""
    scenario = subject.observation.scenario
    training = scenario.training.model_copy(update={"epochs": 1, "shuffle": False})
    written = scenario.model_dump(mode="json") | {"training": training.model_dump()}
    return Scenario.model_validate({**written, **changes})


def swaps(device: str, method: str) -> list[dict[str, str]]:
    """The other simulator, and another diff method on the same one: what tells interface from simulator."""
    other = "lightning.qubit" if device.startswith("default.") else "default.qubit"
    kept = "best" if other.startswith("lightning") and method == "backprop" else method
    another = "best" if method == "parameter-shift" else "parameter-shift"
    return [{"device": other, "diff_method": kept}, {"device": device, "diff_method": another}]


def _one_step(subject: Subject, prepared: Prepared) -> dict[str, np.ndarray]:
    """The step's batch and weights; a scenario cut down (shrink.py) takes the corner of each array that it needs."""
    trace = subject.trace
    index = trace.batch_index[subject.rows]
    pairs = zip(subject.weights(), [w.shape for w in read(Resolved, prepared.resolved).weights], strict=True)
    weights = {f"weights/{k}": _corner(w, shape) for k, (w, shape) in enumerate(pairs)}
    y = trace.y[index]
    if not keeps_targets(subject.observation.scenario):
        y = _corner(y, (len(index), *prepared.output_shape))
    still = {name: a[subject.step if len(a) > 1 else 0] for name, a in trace.items() if name.startswith("state/")}
    held = {"x": trace.x[index], "y": y, "order": np.arange(len(index))[None], **weights, **still}
    return held | ({SAMPLE_WEIGHT: trace[SAMPLE_WEIGHT][index]} if SAMPLE_WEIGHT in trace else {})


def _corner(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array[tuple(slice(n) for n in shape)] if array.ndim == len(shape) else array
