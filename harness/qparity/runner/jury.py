"""The jury of a cell: other backends of its block, asked what the steps it recorded come to at its own weights.

Asked where nobody independent can judge: the model cannot run on NumPy. A juror is a child of the other backend's
ordinary server, on the CPU, in float64 where the model builds so. Whatever fails there leaves the cell as it is, with
the reason.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qparity.oracle.probes import sampled_steps, seed_of
from qparity.records import Outcome
from qparity.records.document import Table
from qparity.records.requests import Prepare, Swear
from qparity.records.trace import Trace
from qparity.runner import reference
from qparity.runner.inputs import Shape
from qparity.runner.plan import Block, Cell
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ChildDied
from qparity.scenario.backends import BACKENDS, trainable
from qparity.scenario.variant import Variant
from qparity.worker.protocol import ProtocolError

MOST_JURORS = 2
FINEST = "float64"


@dataclass(frozen=True, slots=True)
class Asked:
    """What jurors are asked about: a cell of a block, what it recorded, and the unit roundoff that it computes in.

    `steps` are those that are looked at, None: chosen as for the reference.
    """

    block: Block
    cell: Cell
    shape: Shape
    trace: Trace
    unit: float
    steps: tuple[int, ...] | None = None


def jurors(block: Block, cell: Cell) -> list[str]:
    """The backends that are asked about a cell: the others that its scenario is trained on, two at the most."""
    trained_on = {variant.backend for variant in block.variants} - {cell.variant.backend}
    return [facts.name for facts in trainable() if facts.name in trained_on][:MOST_JURORS]


def wanted(outcome: Outcome, trace: Trace) -> bool:
    """Whether a cell is of a model that has no reference, and of which nothing is drawn that differs by backend."""
    from qparity.parity import Observation  # the oracle takes a moment to import

    o = Observation(outcome, trace)
    return o.whole_model and outcome.reference.reason is not None and not (o.sampled or o.draws)


def unit_of(outcome: Outcome) -> float:
    """The unit roundoff of the coarsest type that a cell computes in."""
    from qparity.parity import Observation
    from qparity.parity.reference import model_units

    return model_units(Observation(outcome))[0]


def seconds_each(audit_s: float, count: int) -> float:
    """How long each of so many jurors may take: together as long as the audit took, within the reference's bounds."""
    return float(np.clip(audit_s, reference.LEAST_S, reference.MOST_S)) / count


def doubted(outcome: Outcome, trace: Trace) -> list[int]:
    """The steps about which the cell's own backend is asked too: where its jurors are away from it."""
    from qparity.parity import UNREADABLE, Observation
    from qparity.parity.testimony import doubted_steps

    try:
        return doubted_steps(Observation(outcome, trace))
    except UNREADABLE:  # the judge says so
        return []


async def ask(
    pool: Pool, logs: Path, backend: str, asked: Asked, seconds: float, cpus: list[int] | None
) -> tuple[Table, dict[str, np.ndarray]]:
    """A backend's word on a cell: (what is said of it, `jury_<backend>_...` arrays of a trace)."""
    declared = asked.cell.scenario.dtype
    reasons = []
    for dtype in dict.fromkeys((FINEST, declared)):
        try:
            async with asyncio.timeout(reference.PATIENCE_S + seconds):
                return await _ask(pool, logs, backend, dtype, asked, seconds, cpus)
        except Unavailable as error:
            return {"reason": str(error)}, {}
        except (ChildDied, ProtocolError, TimeoutError, reference.Refused) as error:
            reasons.append(f"in {dtype}: {str(error) or 'it took too long'}")
    return {"reason": "; ".join(reasons)}, {}


async def _ask(
    pool: Pool, logs: Path, backend: str, dtype: str, asked: Asked, seconds: float, cpus: list[int] | None
) -> tuple[Table, dict[str, np.ndarray]]:
    cell, trace = asked.cell, asked.trace
    trained_in = {each.mode for each in asked.block.variants if each.backend == backend}
    preferred = BACKENDS[backend].juror_mode
    variant = Variant(backend, preferred if preferred in trained_in else "eager")
    scenario = cell.scenario.model_copy(update={"dtype": dtype})
    seed, sizes = seed_of(cell.id), [int(n) for n in np.diff(trace.offsets)]
    chosen = sampled_steps(sizes, reference.MOST_STEPS, seed)
    steps = chosen if asked.steps is None else np.array(asked.steps, np.int64)
    prepare = Prepare(
        scenario.model_dump(mode="json"), tuple(asked.block.search_path), *asked.shape, str(variant), juror=True
    )
    swear = Swear(cell.scenario.dtype, asked.unit, seed, seconds)
    server = await pool.server(variant, cell.scenario.device)
    log = logs / f"jury-{backend}-{dtype}-{cell.id}.log"
    given = reference.at_steps(trace, steps)
    _, answer = await reference.ask(server, log, cpus, prepare, "swear", swear.body(), given)
    said = {name: value for name, value in answer.body.items() if name != "waited_s"}
    arrays = {f"jury_{backend}_{name}": array for name, array in answer.arrays.items()}
    return said | {"of": len(sizes)}, arrays
