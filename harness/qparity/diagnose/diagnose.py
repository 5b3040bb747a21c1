"""`qparity diagnose`: what the run says of a cell, then the step run again, and a short story of what that shows.

Setup and first divergence come from the judge. The faulty step is replayed on every variant of the block from the same
weights and batch; for a fault of the circuit also on another simulator and with another diff method, and its gates are
bisected. A cell that passed is compared with the envelope of rounding instead. What a fault, or an accumulated
difference, did to the training is found by transplant.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from qparity.diagnose.bisect import GateFinding, bisect
from qparity.diagnose.escalate import escalate
from qparity.diagnose.replay import Replay, changed, judged, replay, session, swaps
from qparity.diagnose.subject import Subject
from qparity.diagnose.walk import LayerFinding, walk
from qparity.oracle import NotCovered
from qparity.parity import PASSES, Stage
from qparity.parity.envelope import Envelope, envelope
from qparity.parity.setup import setup_faults
from qparity.parity.transplant import Transplant, transplant
from qparity.runner.cell import CellEnded
from qparity.runner.local import available_cores
from qparity.runner.pool import Pool, Unavailable
from qparity.runner.process import ChildDied
from qparity.runner.reference import References, Refused
from qparity.store import Run, differences, fingerprint

SCHEMA = 1
CIRCUIT_STAGES = (Stage.FORWARD, Stage.GRADIENT)


def diagnose(run: Run, subject: Subject, interpreters: dict[str, str] | None = None) -> dict[str, Any]:
    """Find out why; write and return `diagnosis/<cell>.json` (docs/architecture.md). `story` is lines for people."""
    o, judgement = subject.observation, subject.judgement
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "cell": o.cell,
        "scenario": o.scenario["name"],
        "variant": o.variant,
        "created": datetime.now(UTC).isoformat(),
        "judgement": judgement.to_dict(),
        "setup": [
            {"tensor": f.tensor, "step": f.step, "got": f.got, "expected": f.expected, "reason": f.reason}
            for f in setup_faults(o)
        ],
        "replays": [],
        "blame": None,
        "gates": None,
        "layer": None,
        "escalation": None,
        "envelope": None,
        "transplant": None,
    }
    story = [f"{subject.name}: {judgement.reason}", *_setup_story(found["setup"])]
    if o.scenario.get("shots"):
        found["escalation"] = asyncio.run(escalate(run, subject, interpreters or {}))
        story.append(found["escalation"]["reason"])
    if judgement.verdict in PASSES:
        around = _envelope(subject)
        found["envelope"] = None if around is None else around.to_dict()
        story += ["no step is at fault", *(around.annotations() if around else ())]
        moved = _transplant(subject) if around and around.outside() else None
    else:
        changes = differences(run.record["environment"], fingerprint())
        story += [f"this is another environment than the run's: {'; '.join(changes[:3])}"] if changes else []
        replays, gates, layer = asyncio.run(_run_again(run, subject, interpreters or {}))
        found["replays"] = [r.to_dict() for r in replays]
        found["gates"] = None if gates is None else gates.to_dict()
        found["layer"] = None if layer is None else layer.to_dict()
        found["blame"] = blame(subject, replays)
        story += [*_replay_story(subject, replays), f"so: {found['blame']}"]
        story += [f"layers: {layer.reason}"] if layer else []
        story += [f"gates of {gates.layer}: {gates.reason}"] if gates else []
        moved = _transplant(subject)
    found["transplant"] = None if moved is None else moved.to_dict()
    found["story"] = [*story, *([moved.line()] if moved else [])]
    run.write_diagnosis(o.cell, found)
    return found


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
    if others and all(r.wrong for r in others):
        return "every variant shows it: the fault is in what they share"
    alike = [r.variant for r in others if r.wrong]
    who = " and ".join([subject.observation.variant, *alike])
    cured_by = [r for r in swapped if r.right]
    if any(r.device != mine.device for r in cured_by):
        return f"{who}, with {mine.device} only: the simulator or its way of differentiating, not the interface"
    if cured_by:
        return f"{who}, with {mine.diff_method} only: the diff method"
    if any(r.wrong for r in swapped):
        return f"{who}, whatever the simulator: the interface, or the program on this backend"
    return f"{who}" + (f", but not {', '.join(r.variant for r in others if r.right)}" if others else "")


async def _run_again(
    run: Run, subject: Subject, interpreters: dict[str, str]
) -> tuple[list[Replay], GateFinding | None, LayerFinding | None]:
    o, stage = subject.observation, subject.judgement.stage
    cores = asyncio.Semaphore(len(available_cores()))

    async def one(variant: str, changes: dict[str, str]) -> Replay:
        async with cores:
            return await replay(pool, subject, variant, changes, references)

    async with Pool(run.logs(), 1, interpreters) as pool:
        references = References(pool, run.logs())
        variants = [o.variant, *(c["variant"] for c in subject.block["cells"] if c["variant"] != o.variant)]
        replays = judged(list(await asyncio.gather(*(one(v, {}) for v in variants))))
        if stage not in CIRCUIT_STAGES or not replays[0].wrong:
            return replays, None, None
        if subject.around_the_circuits:
            return replays, None, await _layer(pool, run, subject)
        resolved = o.outcome["resolved"]
        if resolved.get("device"):
            asked = swaps(str(resolved["device"]), str(resolved["diff_method"]))
            for swapped in await asyncio.gather(*(one(o.variant, changes) for changes in asked)):
                replays += judged([swapped])
        return replays, await _gates(pool, subject), None


async def _layer(pool: Pool, run: Run, subject: Subject) -> LayerFinding | None:
    try:
        return await walk(pool, run, subject)
    except (CellEnded, ChildDied, Unavailable, Refused, TimeoutError) as error:
        return LayerFinding(f"the model could not be walked: {error}")


async def _gates(pool: Pool, subject: Subject) -> GateFinding | None:
    comparison = subject.comparison()
    if comparison is None or not subject.layers:
        return None
    with contextlib.suppress(NotCovered, CellEnded, ChildDied, Unavailable):
        async with session(pool, subject, subject.observation.variant, changed(subject, {})) as (child, _):
            return await bisect(child, subject, comparison)
    return None


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


def _setup_story(setup: list[dict[str, Any]]) -> list[str]:
    if not setup:
        return ["setup: data, order, weights and hyper-parameters are as sent and declared"]
    return [f"setup: {fault['reason']}" for fault in setup]


def _replay_story(subject: Subject, replays: list[Replay]) -> list[str]:
    lines = [f"step {subject.step} again, on its own, from the recorded weights and batch:"]
    for r in replays:
        said = r.judgement.reason if r.judgement is not None else f"{r.status}: {r.reason}"
        lines.append(f"  {r.variant}, {r.device}, {r.diff_method}: {said}")
    return lines
