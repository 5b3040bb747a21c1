"""Synthetic runs in the contract's format: NumPy-made outcomes, traces and judgements, faults where wanted.

A fault is one of: fault, leak, setup, uncompared, unsupported, failed, timeout, diverged, nan, missing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qparity.parity.types import Judgement, PairDifference, Stage, StageSeries, Verdict
from qparity.records import Outcome, Program, Timing, read
from qparity.store import Run
from qparity.summary import RunView, summarise
from tests.timing.test_timing_block import lanes

VARIANTS = ("tf", "tf-graph", "torch", "torch-compile", "jax", "jax-jit")
STAGES = (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT, Stage.UPDATE)
REASONS = {
    "unsupported": "jax is not installed (pip install '.[jax]' in a clone of qparity)",
    "failed": "ValueError: Input to reshape is a tensor with 64 values",
    "timeout": "no answer within 600 s",
    "diverged": "loss is NaN",
}
DRAWING = "0: ──RX(x)──Rot(w)─╭●─┤  <Z>\n1: ──RX(x)──Rot(w)─╰X─┤     "
_ANGLE = {"constant": 0.0, "weights": [], "inputs": [[0, 1.0]], "products": []}
_WEIGHT = {"constant": 0.0, "weights": [[0, 1.0]], "inputs": [], "products": []}
PROGRAM = {
    "schema": 1, "wires": 2, "features": 1, "weights": [{"name": "weights", "shape": [2, 1, 3]}],
    "gates": [{"name": "RX", "wires": [w], "params": [_ANGLE]} for w in (0, 1)]
    + [{"name": "Rot", "wires": [w], "params": [_WEIGHT] * 3} for w in (0, 1)]
    + [{"name": "CNOT", "wires": [0, 1], "params": []}],
    "measurements": [{"kind": "expval", "terms": [[1.0, [["Z", 0]]]]}], "not_covered": None,
}  # fmt: skip
ENVIRONMENT = {
    "packages": {"keras": "3.15.1", "pennylane": "0.45.1", "torch": "2.13.0"},
    "python": {"version": "3.11.7"},
    "cpu": {"model": "Example CPU", "count": 2},
    "memory_bytes": 8_000_000_000,
    "git": {"commit": "0" * 40, "dirty": False},
}

HOSTILE = '"><script>alert(1)</script></script><!--<img src=x onerror=alert(2)>\u2028\u202e{{7*191}}'

Faults = Mapping[tuple[int, str], str]


def build_run(
    folder: Path,
    scenarios: Sequence[str] = ("fourier-l1", "fourier-l2", "fourier-l4"),
    variants: Sequence[str] = VARIANTS,
    steps: int = 30,
    faults: Faults | None = None,
    reasons: Mapping[str, str] = REASONS,
    expect: Mapping[str, str] | None = None,
    command: Sequence[str] = ("qparity", "run", "scenarios/fourier.toml"),
    speeds: Mapping[str, float] | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> tuple[Run, dict[str, Judgement]]:
    """A run on disk and a judgement for each of its `ok` cells.

    `speeds` (variant -> relative step time) adds timed rounds, `settings` (scenario -> fields) changes scenarios.
    """
    faults = faults or {}
    blocks = [
        {
            "scenario": scenario(name, (expect or {}).get(name, "ROUNDING")) | dict((settings or {}).get(name, {})),
            "cells": [{"id": cell_id(name, variant), "variant": variant} for variant in variants],
        }
        for name in scenarios
    ]
    for block in blocks:
        block["source"] = "scenarios/fourier.toml"
    plan = {"blocks": blocks, "sources": ["scenarios/fourier.toml"]}
    run = Run.create(folder, plan, ENVIRONMENT, list(command))
    judgements = {}
    for i, block in enumerate(blocks):
        for cell in block["cells"]:
            fault = faults.get((i, cell["variant"]))
            if fault == "missing":
                continue
            rng = np.random.default_rng(int(cell["id"][:8], 16))
            outcome, arrays = _outcome(block["scenario"], cell, fault, reasons, rng, steps)
            run.write_outcome(Outcome(outcome), arrays)
            if outcome["status"] == "ok":
                judgements[cell["id"]] = _judgement(fault, rng, steps, cell["variant"], variants)
        if speeds:
            run.write_timing(block["scenario"]["name"], Timing(_rounds(speeds)))
    run.finish()
    return run, judgements


def build_view(folder: Path, **options) -> RunView:
    run, judgements = build_run(folder, **options)
    return summarise(Run.load(run.path), judgements)


def many(view: RunView, count: int) -> RunView:
    """The cells of the first scenario again and again, those of all others last: `count` scenarios."""
    first, *rest = view.scenarios
    names = [f"{first}-{i}" for i in range(count - len(rest))]
    names += [f"{name}-{count - len(rest) + i}" for i, name in enumerate(rest)]
    origin = [first] * (count - len(rest)) + rest
    cells = [
        replace(cell, scenario=name, id=cell_id(name, cell.variant))
        for name, old in zip(names, origin, strict=True)
        for cell in view.cells
        if cell.scenario == old
    ]
    return replace(view, cells=tuple(cells), scenarios=tuple(names), programs={}, pairs=())


def hostile_view(folder: Path) -> RunView:
    """Hostile strings wherever a view holds strings."""
    view = build_view(
        folder,
        variants=("torch", "jax"),
        faults={(0, "torch"): "failed", (1, "torch"): "fault", (2, "torch"): "unsupported"},
        reasons=dict.fromkeys(("failed", "unsupported"), HOSTILE),
        command=("qparity", HOSTILE),
    )
    view = renamed(view, "jax", HOSTILE)
    cells = tuple(replace(cell, scenario=cell.scenario + HOSTILE) for cell in view.cells)
    return replace(
        view,
        id=HOSTILE,
        cells=cells,
        scenarios=tuple(name + HOSTILE for name in view.scenarios),
        environment={HOSTILE: {HOSTILE: HOSTILE}, "packages": {"keras": HOSTILE}},
        drawings={HOSTILE: HOSTILE},
        programs={HOSTILE: (read(Program, {**PROGRAM, "gates": [{"name": HOSTILE, "wires": [0], "params": []}]}),)},
        damaged=((HOSTILE, HOSTILE),),
        sources=(HOSTILE,),
    )


def renamed(view: RunView, variant: str, name: str) -> RunView:
    """A view in which a variant has another name, such as no run folder can give it."""
    cells = tuple(replace(cell, variant=name) if cell.variant == variant else cell for cell in view.cells)
    return replace(view, cells=cells, variants=tuple(name if v == variant else v for v in view.variants))


def cell_id(scenario: str, variant: str) -> str:
    return hashlib.sha256(f"{scenario}/{variant}".encode()).hexdigest()[:16]


def scenario(name: str, expect: str) -> dict:
    return {
        "name": name, "circuit": "data_reuploading", "wires": 1, "layers": 2, "device": "default.qubit",
        "diff_method": "backprop", "dtype": "float64", "seed": 0, "expect": expect,
        "training": {"batch_size": 32, "epochs": 10, "optimizer": {"name": "adam", "learning_rate": 0.03}},
    }  # fmt: skip


def _outcome(scenario: dict, cell: dict, fault: str | None, reasons: Mapping[str, str], rng, steps: int):
    status = fault if fault in ("unsupported", "failed", "timeout", "diverged") else "ok"
    slowness = 1 + VARIANTS.index(cell["variant"]) if cell["variant"] in VARIANTS else 1
    outcome = {
        "schema": 1, "id": cell["id"], "scenario": scenario, "variant": cell["variant"], "status": status,
        "reason": reasons.get(fault) if status != "ok" else None, "log": f"logs/{cell['id']}.log",
        "resolved": {"device": "default.qubit",
                     "quantum_layers": [{"name": "q", "drawing": DRAWING, "program": PROGRAM}]},
        "phases": {"import_s": 3.0, "spawn_s": 0.1, "build_s": 0.05, "first_step_s": 0.4 * slowness,
                   "step_s": 0.012 / slowness, "audit_s": 1.0},
        "memory": {"baseline_bytes": 300_000_000, "peak_bytes": 412_000_000,
                   **({"gpu_peak_bytes": 55_000_000} if "@gpu" in cell["variant"] else {})},
        "diverged_step": 4 if status == "diverged" else None,
    }  # fmt: skip
    return outcome, (_trace(rng, steps) if status in ("ok", "diverged") else None)


def _rounds(speeds: Mapping[str, float], rounds: int = 15) -> dict:
    """Timed rounds."""
    rng = np.random.default_rng(0)
    listed = []
    for k in range(rounds):
        times = {name: 0.01 * speed * rng.lognormal(0, 0.02) for name, speed in speeds.items()}
        samples = {name: {"step_s": t, "wall_s": t, "cpu_s": t} for name, t in times.items()}
        listed.append({"child": k % 3, "kept": True, "samples": samples})
    return {"options": {"target_width": 0.05}, "lanes": lanes(speeds), "rounds": listed, "left_out": {}}


def _trace(rng: np.random.Generator, steps: int, samples: int = 20) -> dict[str, np.ndarray]:
    rows = 10
    x = rng.uniform(-3, 3, (samples, 1))
    batch_index = np.arange(steps * rows) % samples
    loss = 0.4 * np.exp(-np.arange(steps) / 10) + 0.01
    return {
        "offsets": np.arange(steps + 1) * rows,
        "batch_index": batch_index,
        "x": x,
        "y": np.sin(x),
        "predictions": np.sin(x)[batch_index] * 0.95,
        "loss": loss,
        "weights/0": rng.normal(size=(steps, 2, 3)),
        "gradients/0": rng.normal(size=(steps, 2, 3)),
    }


def _judgement(fault: str | None, rng, steps: int, variant: str, variants: Sequence[str]) -> Judgement:
    stages = {stage: _series(rng, steps) for stage in STAGES if fault != "uncompared"}
    pairs = tuple(
        PairDifference(other, Stage.FORWARD, 3, "predictions", 1e-15, 4e-15) for other in variants if other != variant
    )
    start = min(15, steps - 1)
    place = dict(stage=Stage.GRADIENT, step=start, tensor="weights", index=(2, 5, 2), r=4.4e4, effective_bits=11.0)
    reason = f"step {start} gradient weights[2,5,2]: got 0.1, expected 0.2, r = 4.4e4, 11 bits"
    if fault in ("fault", "leak"):
        for values in (stages[Stage.GRADIENT].residual, stages[Stage.GRADIENT].r):
            values[start:] *= 1e9
        stages[Stage.GRADIENT].effective_bits[start:] = 20.5
        verdict = Verdict.LOCAL_FAULT if fault == "fault" else Verdict.PRECISION_LEAK
        found = Judgement(verdict, f"{verdict} {reason}", **place)
    elif fault == "setup":
        found = Judgement(
            Verdict.SETUP_FAULT,
            "SETUP-FAULT setup beta_1: read 0.9000000003",
            Stage.SETUP,
            tensor="beta_1",
            got=0.9,
        )
    elif fault == "uncompared":
        found = Judgement(Verdict.NOT_COMPARED, "not compared: the oracle does not cover QFT")
    else:
        r = stages[Stage.UPDATE].r.max()
        found = Judgement(Verdict.ROUNDING, f"within rounding at every step: largest r = {r:.2g}", r=r)
    if fault == "nan":
        stages[Stage.FORWARD].residual[:] = np.nan
        stages[Stage.LOSS].residual[3] = np.inf
    bits = {} if fault == "uncompared" else {stage: int(stages[stage].effective_bits.min()) for stage in STAGES}
    found = replace(found, right_bits=bits, digits=53)
    return replace(found, stages=stages, annotations=("bitwise equal to tf",), pairs=pairs)


def _series(rng: np.random.Generator, steps: int) -> StageSeries:
    tolerance = np.full(steps, 4e-15) * rng.uniform(0.9, 1.1, steps)
    residual = tolerance * 10 ** rng.uniform(-3, -0.3, steps)
    r = residual / tolerance
    return StageSeries(residual, tolerance, r, np.minimum(-np.log2(residual), 53), int(r.argmax()))
