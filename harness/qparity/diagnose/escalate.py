"""A second look at a sampled cell: the same step with fresh seeds and four times the shots.

The samples of both looks are pooled and tested together. A second look is a second chance to accuse a correct program,
so the level of the pooled test is halved; a pass of the new samples alone never acquits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qparity.diagnose.replay import replay
from qparity.diagnose.subject import Subject
from qparity.parity import Observation, Stage
from qparity.parity.audit import audit
from qparity.records.document import Table
from qparity.runner.pool import Pool

TIMES = 4
SEED_STEP = 0x9E3779B9


@dataclass(frozen=True, slots=True)
class Escalation:
    """The second look, at so many new `shots`: `r` of the new samples alone, `pooled_r` of all."""

    shots: int
    reason: str
    r: float | None = None
    pooled_r: float | None = None

    @property
    def found(self) -> bool | None:
        """Whether the difference stands; None where nothing could be tested."""
        return None if self.pooled_r is None else self.pooled_r > 1

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {name: getattr(self, name) for name in ("shots", "r", "pooled_r", "found", "reason")}


async def escalate(pool: Pool, subject: Subject) -> Escalation:
    """The step's predictions again."""
    scenario = subject.observation.scenario
    shots, seed = scenario.shots or 0, (scenario.seed + SEED_STEP) % 2**32
    changes = {"shots": TIMES * shots, "seed": seed}
    again = await replay(pool, subject, subject.observation.variant, changes)
    if again.observation is None:
        return Escalation(TIMES * shots, f"the step could not be sampled again: {again.status}: {again.reason}")
    new = replace(again.observation, family=2 * subject.observation.family)
    r, pooled_r = _forward(new), _forward(pooled(subject, new, shots))
    if r is None or pooled_r is None:
        return Escalation(TIMES * shots, "sampled again, but the oracle does not cover the circuit")
    found = "the difference stands" if pooled_r > 1 else "no difference in predictions is found"
    reason = (
        f"with {TIMES * shots} fresh shots r = {r:.2g}, all {(TIMES + 1) * shots} together r = {pooled_r:.2g}: {found}"
    )
    return Escalation(TIMES * shots, reason, r, pooled_r)


def pooled(subject: Subject, new: Observation, shots: int) -> Observation:
    """The new observation with the samples of both looks."""
    both = (subject.trace.predictions[subject.rows] + TIMES * new.recorded.predictions) / (TIMES + 1)
    scenario = new.scenario.model_copy(update={"shots": (TIMES + 1) * shots})
    trace = new.recorded | {"predictions": both.astype(np.float64)}
    return replace(new, outcome=new.outcome.planned_as(scenario), trace=trace)


def _forward(o: Observation) -> float | None:
    found = [c for c in audit(o).comparisons if c.stage == Stage.FORWARD]
    return float(max(c.r.max(initial=0) for c in found)) if found else None
