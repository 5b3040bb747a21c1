"""The smallest training that still shows a fault: fewer layers, wires and samples, one step, on the same variant.

Each candidate is a replay of the faulty step cut down further, in a fresh child, and judged like any other. Small
values are tried first, and what shows the same stage of the same verdict is kept. A fault that does not recur in one
step on its own stays as it was recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from harness.diagnose.replay import judged, logs_of, replay
from harness.diagnose.subject import Subject
from harness.parity import Stage
from harness.parity.audit import audit
from harness.runner.pool import Pool
from harness.store import Run


def shrink(run: Run, subject: Subject, interpreters: dict[str, str] | None = None) -> Subject:
    """The subject, or a smaller one with the same fault; its `block` has the scenario that was run in the end."""
    if subject.observation.scenario.get("model") or subject.judgement.stage in (None, Stage.SETUP):
        return subject
    return asyncio.run(_shrink(run, subject, interpreters or {}))


async def _shrink(run: Run, subject: Subject, interpreters: dict[str, str]) -> Subject:
    kept, sizes = subject, {"layers": 0, "wires": 0, "samples": 0}
    scenario = subject.observation.scenario
    full = {"layers": scenario["layers"], "wires": scenario["wires"], "samples": subject.rows.stop - subject.rows.start}
    async with Pool(logs_of(run.path), 1, interpreters) as pool:
        for key in sizes:
            for size in _smaller(full[key]):
                found = await _tried(pool, subject, full | {key: size})
                if found is not None:
                    kept, full = found, full | {key: size}
                    break
    return kept


async def _tried(pool: Pool, subject: Subject, sizes: dict[str, int]) -> Subject | None:
    """The faulty step in these sizes, if it shows the same fault."""
    trace, rows = subject.trace, subject.rows
    scenario = subject.observation.scenario
    x = trace["x"]
    if x.shape[1] == scenario["wires"]:  # a feature a wire
        x = x[:, : sizes["wires"]]
    offsets = trace["offsets"].copy()
    offsets[subject.step + 1] = rows.start + sizes["samples"]
    cut = replace(subject, observation=replace(subject.observation, trace=trace | {"x": x, "offsets": offsets}))
    changes = {"layers": sizes["layers"], "wires": sizes["wires"]}
    (again,) = judged([await replay(pool, cut, subject.observation.variant, changes)])
    if again.observation is None or again.judgement is None:
        return None
    if (again.judgement.verdict, again.judgement.stage) != (subject.judgement.verdict, subject.judgement.stage):
        return None
    outcome = dict(again.observation.outcome) | {"worker": subject.observation.outcome.get("worker")}
    observation = replace(again.observation, outcome=outcome)
    return Subject(subject.block | {"scenario": outcome["scenario"]}, observation, again.judgement, audit(observation))


def _smaller(full: int) -> list[int]:
    """Sizes to try, smallest first: 1, 2, 4, ... below the full one."""
    return [2**k for k in range(full.bit_length()) if 2**k < full]
