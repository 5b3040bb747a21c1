"""A reproducer for a user's own model that the oracle does not cover: the source of the model stands in the script.

The expected values are those of a juror, which ran the step again at the same weights and batch; without one, those
that a variant which agrees with the others recorded at step 0: later their weights are no longer the same.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np

from qparity.diagnose import script
from qparity.diagnose.subject import DiagnosisError, Subject, stage_of
from qparity.diagnose.templates import STATE, USER_MODEL
from qparity.parity import PASSES, Observation, Stage, Verdict
from qparity.parity.pairs import pair_series
from qparity.parity.testimony import heard_of, ratio_at, rows_at
from qparity.scenario.identity import find_module, search_path
from qparity.store import Run
from qparity.summary.judging import judge_block, observations_of


def model_lines(subject: Subject, inputs: np.ndarray) -> str:
    """The model, built from its own source, with the recorded weights and state."""
    scenario = subject.observation.scenario
    if scenario.script:
        raise DiagnosisError(
            f"{subject.name}: the model is a training script's: {scenario.script.file} itself, with KERAS_BACKEND set, "
            "is what shows it without qparity"
        )
    module, _, build = str(scenario.model).partition(":")
    folders = [*map(Path, subject.search_path()), *search_path(Path())]
    if not build.isidentifier():
        raise DiagnosisError(f"{subject.name}: {build!r} is no name of a function")
    source = find_module(module, folders).read_text(encoding="utf-8")
    if {"qparity", "harness"} & _imported(source):
        raise DiagnosisError(f"{subject.name}: {module} imports qparity: nothing to reproduce it with but qparity")
    trace = subject.trace
    names = ("wires", "layers", "device", "diff_method", "shots", "seed", "dtype")
    offered = {name: getattr(scenario, name) for name in names}
    outputs = trace.y.shape[1] if trace.y.ndim > 1 else 1
    offered |= {"features": trace.x.shape[1], "outputs": outputs, **scenario.circuit_options}
    offered |= {"batch_size": scenario.training.batch_size}
    state = [each[subject.step if len(each) > 1 else 0] for each in trace.numbered("state")]
    body = USER_MODEL.format(
        source=source.replace("from __future__ import annotations\n", ""),
        x=script.literal(inputs),
        weights=", ".join(script.literal(w) for w in subject.weights()),
        build=build,
        offered="".join(f"    {key!r}: {value!r},\n" for key, value in offered.items()),
    )
    return body + (STATE.format(state=", ".join(map(script.literal, state))) if state else "")


def expected_by_others(run: Run, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """What another backend makes of the tensor that the judgement points at, and the tolerance of a pair; both flat.

    Raises:
        DiagnosisError: no other variant is right, or weights have parted already.
    """
    stage, step = stage_of(subject.judgement), subject.step
    if stage in (Stage.FORWARD, Stage.GRADIENT) and (told := _by_a_juror(subject, stage, step)):
        return told
    judged = judge_block(run, subject.block)
    others = [o for o in observations_of(run, subject.block) if _right(o, judged)]
    if not others or step or stage not in (Stage.FORWARD, Stage.GRADIENT):
        raise DiagnosisError(
            f"{subject.name}: nothing to reproduce it with: {subject.found.not_covered or subject.judgement.reason}"
        )
    peer = others[0]
    tensor = f"gradients/{subject.weight_of(str(subject.judgement.tensor))}"
    values = peer.recorded.predictions[subject.rows] if stage == Stage.FORWARD else peer.recorded[tensor][step]
    pairs = [s for s in pair_series(peer, others[-1]) if s.stage == stage]
    flat = values.reshape(-1).astype(np.float64)
    return flat, np.full(len(flat), pairs[0].tolerance[step])


def _by_a_juror(subject: Subject, stage: Stage, step: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by a juror from which the cell is away there; None where there is none."""
    tensor = (stage, str(subject.judgement.tensor))
    found = [each.at(step, stage, [tensor]) for each in heard_of(subject.observation, ())]
    apart = [there[tensor] for there in found if there and ratio_at(there[tensor], step) > 1]
    if not apart or subject.judgement.verdict not in (Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK):
        return None
    rows = rows_at(apart[0], step)
    return apart[0].expected[rows].astype(np.float64).reshape(-1), apart[0].tolerance[rows].reshape(-1)


def _right(o: Observation, judged: dict[str, Any]) -> bool:
    return o.cell in judged and judged[o.cell].verdict in PASSES


def _imported(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}
