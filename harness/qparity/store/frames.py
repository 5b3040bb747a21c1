"""A run as tidy DataFrames, for notebooks: `Run.load(path).cells()`, `.timings()`, `.rounds()`, `.steps()`."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from qparity.store.run import Run

SCENARIO_COLUMNS = ("circuit", "wires", "layers", "device", "diff_method", "shots", "dtype", "seed")
MEMORY_COLUMNS = ("baseline_bytes", "peak_bytes", "gpu_peak_bytes")
ROUND_COLUMNS = ("step_s", "wall_s", "cpu_s", "delayed_s")
TRAINING_COLUMNS = ("batch_size", "epochs", "loss", "numerics")


def cells(run: "Run") -> pd.DataFrame:
    """One row a planned cell: scenario fields, status (`missing` without one), bytes of memory before and at most."""
    outcomes = run.outcomes()
    rows = []
    for scenario, cell_id, variant in run.planned():
        outcome = outcomes.get(cell_id) or {"status": "missing"}
        training, memory = scenario.get("training") or {}, outcome.get("memory") or {}
        rows.append(
            {
                "cell": cell_id,
                "scenario": scenario["name"],
                "variant": variant,
                "status": outcome["status"],
                "reason": outcome.get("reason"),
                **{name: scenario.get(name) for name in SCENARIO_COLUMNS},
                **{name: training.get(name) for name in TRAINING_COLUMNS},
                "optimizer": (training.get("optimizer") or {}).get("name"),
                **{name: memory.get(name) for name in MEMORY_COLUMNS},
            }
        )
    columns = ["cell", "scenario", "variant", "status", "reason", *SCENARIO_COLUMNS, *TRAINING_COLUMNS]
    return pd.DataFrame(rows, columns=[*columns, "optimizer", *MEMORY_COLUMNS])


def timings(run: "Run") -> pd.DataFrame:
    """One row a cell and phase, in seconds; phases that were not measured are left out.

    `audit_step` is a step of the recorded training, one variant after another: speeds are in `rounds`.
    """
    rows = [
        {
            "cell": cell_id,
            "scenario": scenario["name"],
            "variant": variant,
            "phase": phase,
            "seconds": seconds,
        }
        for (scenario, cell_id, variant), outcome in _with_outcomes(run)
        for phase, seconds in ((_phase(key), value) for key, value in _phases(outcome).items())
    ]
    return pd.DataFrame(rows, columns=["cell", "scenario", "variant", "phase", "seconds"])


def rounds(run: "Run") -> pd.DataFrame:
    """One row a variant and timed round: what speeds are made of (`qparity.timing.read_block`); seconds.

    Variants of one `scenario` and `round` were measured in turn; `generation` tells fresh processes apart, and rounds
    that are not `kept` were disturbed.
    """
    rows = [
        {
            "scenario": name,
            "variant": variant,
            "round": number,
            "generation": each.get("child"),
            "kept": each.get("kept"),
        }
        | {column: sample.get(column) for column in ROUND_COLUMNS}
        for name in dict.fromkeys(scenario["name"] for scenario, _, _ in run.planned())
        for number, each in enumerate((run.timing(name) or {}).get("rounds") or ())
        for variant, sample in each["samples"].items()
        if isinstance(sample, dict)
    ]
    return pd.DataFrame(rows, columns=["scenario", "variant", "round", "generation", "kept", *ROUND_COLUMNS])


def steps(run: "Run") -> pd.DataFrame:
    """One row a cell and audited step: loss, learning rate, Euclidean norms of weights and gradients."""
    tables = []
    for scenario, cell_id, variant in run.planned():
        trace = run.trace(cell_id)
        if trace is None or "loss" not in trace:
            continue
        loss = trace["loss"]
        columns = {
            "cell": cell_id,
            "scenario": scenario["name"],
            "variant": variant,
            "step": np.arange(len(loss)),
            "loss": loss,
            "learning_rate": trace.get("learning_rate", np.full(len(loss), np.nan)),
            "weight_norm": _norms(trace, "weights/", len(loss)),
            "gradient_norm": _norms(trace, "gradients/", len(loss)),
        }
        tables.append(pd.DataFrame(columns))
    names = ["cell", "scenario", "variant", "step", "loss", "learning_rate", "weight_norm", "gradient_norm"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=names)


def _with_outcomes(run: "Run") -> list[tuple[tuple[dict[str, Any], str, str], dict[str, Any]]]:
    outcomes = run.outcomes()
    return [(cell, outcomes[cell[1]]) for cell in run.planned() if cell[1] in outcomes]


def _phases(outcome: dict[str, Any]) -> dict[str, float]:
    phases = outcome.get("phases") or {}
    return {key: float(value) for key, value in phases.items() if isinstance(value, (int, float))}


def _phase(key: str) -> str:
    return "audit_step" if key == "step_s" else key.removesuffix("_s")


def _norms(trace: dict[str, np.ndarray], prefix: str, count: int) -> np.ndarray:
    """(T,) float64: the norm over every array under `prefix` together."""
    squares = np.zeros(count)
    for name, array in trace.items():
        if name.startswith(prefix):
            squares += np.square(array.reshape(count, -1).astype(np.float64)).sum(axis=1)
    return np.sqrt(squares)
