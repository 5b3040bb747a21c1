"""The smallest training that still shows a fault: fewer layers, wires and samples, one step, on the same variant.

Each candidate is a replay of the faulty step cut down further, in a fresh child, and judged like any other. Small
values are tried first, and what shows the same stage of the same verdict is kept. A fault that does not recur in one
step on its own stays as it was recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from qparity.diagnose.replay import judged, replay
from qparity.diagnose.subject import Subject
from qparity.parity import Stage
from qparity.parity.audit import audit
from qparity.runner.pool import Pool
from qparity.store import Run


def shrink(run: Run, subject: Subject, interpreters: dict[str, str] | None = None) -> Subject:
    """The subject, or a smaller one with the same fault; its `block` has the scenario that was run in the end."""
    if subject.observation.whole_model or subject.judgement.stage in (None, Stage.SETUP):
        return subject
    return asyncio.run(_shrink(run, subject, interpreters or {}))


async def _shrink(run: Run, subject: Subject, interpreters: dict[str, str]) -> Subject:
    kept, scenario, rows = subject, subject.observation.scenario, subject.rows
    sizes = {"layers": scenario.layers, "wires": scenario.wires, "samples": rows.stop - rows.start}
    async with Pool(run.logs(), 1, interpreters) as pool:
        for key, full in sizes.items():
            for size in [2**k for k in range(full.bit_length()) if 2**k < full]:
                found = await _tried(pool, subject, sizes | {key: size})
                if found is not None:
                    kept, sizes[key] = found, size
                    break
    return kept


async def _tried(pool: Pool, subject: Subject, sizes: dict[str, int]) -> Subject | None:
    """The faulty step in these sizes, if it shows the same fault."""
    trace, rows = subject.trace, subject.rows
    x = trace.x
    if x.shape[1] == subject.observation.scenario.wires:  # a feature a wire
        x = x[:, : sizes["wires"]]
    offsets = trace.offsets.copy()
    offsets[subject.step + 1] = rows.start + sizes["samples"]
    cut = replace(subject, observation=replace(subject.observation, trace=trace | {"x": x, "offsets": offsets}))
    changes = {"layers": sizes["layers"], "wires": sizes["wires"]}
    (again,) = judged([await replay(pool, cut, subject.observation.variant, changes)])
    if again.observation is None or again.judgement is None:
        return None
    if (again.judgement.verdict, again.judgement.stage) != (subject.judgement.verdict, subject.judgement.stage):
        return None
    outcome = again.observation.outcome.changed(worker=subject.observation.outcome.worker)
    observation = replace(again.observation, outcome=outcome)
    block = replace(subject.block, scenario=outcome.scenario)
    return replace(subject, block=block, observation=observation, judgement=again.judgement, found=audit(observation))
