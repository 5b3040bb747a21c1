"""`qparity diagnose`: what the run says of a cell, then the step run again, and a short story of what that shows.

Setup and first divergence come from the judge. The faulty step is replayed on every variant of the block from the same
weights and batch; for a fault of the circuit also on another simulator and with another diff method, and its gates are
bisected. A cell that passed is compared with the envelope of rounding instead. What a fault, or an accumulated
difference, did to the training is found by transplant.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qparity.diagnose.bisect import GateFinding, bisect
from qparity.diagnose.escalate import escalate
from qparity.diagnose.finding import Diagnosis
from qparity.diagnose.likeness import likeness
from qparity.diagnose.replay import Replay, changed, judged, replay, session, swaps
from qparity.diagnose.subject import DiagnosisError, Subject
from qparity.diagnose.walk import LayerFinding, at_boundary, walk
from qparity.oracle import NotCovered
from qparity.parity import PASSES, Stage
from qparity.parity.envelope import Envelope, envelope
from qparity.parity.setup import ExactFault, setup_faults
from qparity.parity.transplant import Transplant, transplant
from qparity.records import Environment, read
from qparity.runner.cell import CellEnded
from qparity.runner.local import available_cores
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ChildDied
from qparity.runner.reference import References, Refused
from qparity.store import Run, differences, fingerprint

CIRCUIT_STAGES = (Stage.FORWARD, Stage.GRADIENT)


def diagnose(run: Run, subject: Subject, interpreters: dict[str, str] | None = None) -> Diagnosis:
    """Find out why; write it to `diagnosis/<cell>.json` too."""

    async def alone() -> Diagnosis:
        async with Pool(run.logs(), 1, interpreters or {}) as pool:
            return await diagnosed(pool, run, subject)

    return asyncio.run(alone())


async def diagnosed(pool: Pool, run: Run, subject: Subject) -> Diagnosis:
    """The same with the servers of a pool."""
    o, judgement = subject.observation, subject.judgement
    setup = list(setup_faults(o))
    story = [f"{subject.name}: {judgement.reason}", *_setup_story(setup)]
    looks = "" if judgement.verdict in PASSES else _likeness(subject)
    story += [f"looks like: {looks}"] if looks else []
    escalation = None
    if o.scenario.shots:
        escalation = await escalate(pool, subject)
        story.append(escalation.reason)
    around = None
    again = _Again()
    if judgement.verdict in PASSES:
        around = _envelope(subject)
        story += ["no step is at fault", *(around.annotations() if around else ())]
        moved = _transplant(subject) if around and around.outside() else None
    else:
        changes = differences(run.record.environment, read(Environment, fingerprint()))
        story += [f"this is another environment than the run's: {'; '.join(changes[:3])}"] if changes else []
        again = await _run_again(pool, run, subject)
        story += [*_replay_story(subject, again.replays), f"so: {blame(subject, again.replays)}"]
        story += [f"layers: {again.layer.reason}"] if again.layer else []
        story += [f"gates of {again.gates.layer}: {again.gates.reason}"] if again.gates else []
        moved = _transplant(subject)
    found = Diagnosis(
        cell=o.cell,
        scenario=o.scenario.name,
        variant=o.variant,
        created=datetime.now(UTC).isoformat(),
        judgement=judgement,
        setup=setup,
        story=[*story, *([moved.line()] if moved else [])],
        replays=again.replays,
        likeness=looks,
        blame=blame(subject, again.replays) if judgement.verdict not in PASSES else None,
        gates=again.gates,
        layer=again.layer,
        escalation=escalation,
        envelope=around,
        transplant=moved,
    )
    run.write_diagnosis(o.cell, found.to_dict())
    return found


@dataclass(frozen=True)
class _Again:
    """What running the step again has shown."""

    replays: list[Replay] = field(default_factory=list)
    gates: GateFinding | None = None
    layer: LayerFinding | None = None


def blame(subject: Subject, replays: list[Replay]) -> str:
    """What the replays say, in one line."""
    mine, siblings, swapped = _split(subject, replays)
    if mine is None or mine.judgement is None:
        return f"the step could not be run again on {subject.observation.variant}"
    if not mine.wrong and not mine.right:
        return f"the step could not be compared again: {mine.judgement.reason.removeprefix('not compared: ')}"
    if not mine.wrong:
        return "the fault did not recur: it needs more than this step's weights and batch, or another environment"
    others = [r for r in siblings if r.judgement is not None]
    same = [r for r in others if r.wrong and r.judgement and r.judgement.stage == mine.judgement.stage]
    if others and len(same) == len(others):
        return "every variant shows it: the fault is in what they share"
    alike = [r.variant for r in same]
    who = " and ".join([subject.observation.variant, *alike])
    cured_by = [r for r in swapped if r.right]
    if any(r.device != mine.device for r in cured_by):
        return f"{who}, with {mine.device} only: the simulator or its way of differentiating, not the interface"
    if cured_by:
        return f"{who}, with {mine.diff_method} only: the diff method"
    if any(r.wrong for r in swapped):
        return f"{who}, whatever the simulator: the interface, or the program on this backend"
    right = ", ".join(r.variant for r in others if r.right)
    wrong = [r.variant for r in others if r.wrong and r not in same]
    elsewhere = f"{', '.join(wrong)} {'shows' if len(wrong) == 1 else 'show'} another fault"
    told = [f"but not {right}"] if right else []
    told += [f"while {elsewhere}"] if wrong else []
    return ", ".join([who, *told])


async def _run_again(pool: Pool, run: Run, subject: Subject) -> _Again:
    o, stage = subject.observation, subject.judgement.stage
    cores = asyncio.Semaphore(len(available_cores()))

    async def one(variant: str, changes: dict[str, str]) -> Replay:
        async with cores:
            return await replay(pool, subject, variant, changes, references)

    references = References(pool, run.logs())
    variants = [o.variant, *(c.variant for c in subject.block.cells if c.variant != o.variant)]
    replays = judged(list(await asyncio.gather(*(one(v, {}) for v in variants))))
    if not replays[0].wrong or not (stage in CIRCUIT_STAGES or subject.of_state):
        return _Again(replays)
    layer = await _layer(pool, run, subject) if subject.observation.whole_model else None
    if subject.around_the_circuits:
        return _Again(replays, layer=layer)
    if device := o.outcome.resolved.device:
        asked = swaps(device, str(o.outcome.resolved.diff_method))
        for swapped in await asyncio.gather(*(one(o.variant, changes) for changes in asked)):
            replays += judged([swapped])
    return _Again(replays, await _gates(pool, subject), layer)


async def _layer(pool: Pool, run: Run, subject: Subject) -> LayerFinding:
    """The first layer that is wrong by itself; else the quantum layer that was wrong where it was recorded."""
    try:
        found = await walk(pool, run, subject)
    except (CellEnded, ChildDied, Unavailable, Refused, TimeoutError) as error:
        found = LayerFinding(f"the model could not be walked: {error}")
    return found if found.layer else at_boundary(subject) or found


async def _gates(pool: Pool, subject: Subject) -> GateFinding | None:
    comparison = subject.comparison()
    if comparison is None or not subject.layers:
        return None
    with contextlib.suppress(NotCovered):
        try:
            async with session(pool, subject, subject.observation.variant, changed(subject, {})) as (child, _):
                return await bisect(child, subject, comparison)
        except (CellEnded, ChildDied, Unavailable) as error:
            layer = subject.layers[subject.layer(comparison)].name
            return GateFinding(layer, f"they could not be looked at one by one: {error}")
    return None


def _likeness(subject: Subject) -> str:
    with contextlib.suppress(DiagnosisError, NotCovered):
        return likeness(subject)
    return ""


def _envelope(subject: Subject) -> Envelope | None:
    with contextlib.suppress(ValueError):
        return envelope(subject.observation)
    return None


def _transplant(subject: Subject) -> Transplant | None:
    with contextlib.suppress(ValueError):
        return transplant(subject.observation)
    return None


def _split(subject: Subject, replays: list[Replay]) -> tuple[Replay | None, list[Replay], list[Replay]]:
    """The subject's own replay, the other variants', and the swaps."""
    mine = [r for r in replays if r.variant == subject.observation.variant]
    return mine[0] if mine else None, [r for r in replays if r not in mine], mine[1:]


def _setup_story(setup: list[ExactFault]) -> list[str]:
    if not setup:
        return ["setup: data, order, weights and hyper-parameters are as sent and declared"]
    return [f"setup: {fault.reason}" for fault in setup]


def _replay_story(subject: Subject, replays: list[Replay]) -> list[str]:
    lines = [f"step {subject.step} again, on its own, from the recorded weights and batch:"]
    for r in replays:
        said = r.judgement.reason if r.judgement is not None else f"{r.status}: {r.reason}"
        lines.append(f"  {r.variant}, {r.device}, {r.diff_method}: {said}")
    return lines
