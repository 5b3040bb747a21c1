"""A run as tidy DataFrames, for notebooks: `Run.load(path).cells()`, `.timings()`, `.rounds()`, `.steps()`."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qparity.records.trace import Trace

if TYPE_CHECKING:
    from qparity.store.run import Run

SCENARIO_COLUMNS = ("circuit", "wires", "layers", "device", "diff_method", "shots", "dtype", "seed")
MEMORY_COLUMNS = ("baseline_bytes", "peak_bytes", "gpu_peak_bytes")
ROUND_COLUMNS = ("step_s", "wall_s", "cpu_s", "delayed_s", "energy_j")
TRAINING_COLUMNS = ("batch_size", "epochs", "loss", "numerics")


def cells(run: "Run") -> pd.DataFrame:
    """One row a planned cell: scenario fields, status (`missing` without one), bytes of memory before and at most."""
    outcomes = run.outcomes()
    rows = []
    for block, cell_id, variant in run.planned():
        outcome, scenario = outcomes.get(cell_id), block.scenario
        rows.append(
            {
                "cell": cell_id,
                "scenario": scenario.name,
                "variant": variant,
                "status": outcome.status if outcome else "missing",
                "reason": outcome.reason if outcome else None,
                **{name: getattr(scenario, name) for name in SCENARIO_COLUMNS},
                **{name: getattr(scenario.training, name) for name in TRAINING_COLUMNS},
                "optimizer": scenario.training.optimizer.name,
                **{name: getattr(outcome.memory, name) if outcome else None for name in MEMORY_COLUMNS},
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
            "scenario": block.scenario.name,
            "variant": variant,
            "phase": _phase(key),
            "seconds": seconds,
        }
        for block, cell_id, variant in run.planned()
        if (outcome := run.outcome(cell_id)) is not None
        for key, seconds in outcome.seconds.items()
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
            "generation": each.child,
            "kept": each.kept,
        }
        | {column: getattr(sample, column) for column in ROUND_COLUMNS}
        for name in dict.fromkeys(place.scenario.name for place in run.planned())
        if (timing := run.timing(name)) is not None
        for number, each in enumerate(timing.rounds)
        for variant, sample in each.samples.items()
    ]
    return pd.DataFrame(rows, columns=["scenario", "variant", "round", "generation", "kept", *ROUND_COLUMNS])


def steps(run: "Run") -> pd.DataFrame:
    """One row a cell and audited step: loss, learning rate, Euclidean norms of weights and gradients."""
    tables = []
    for block, cell_id, variant in run.planned():
        trace = run.trace(cell_id)
        loss = trace.find(Trace.loss) if trace is not None else None
        if trace is None or loss is None:
            continue
        columns = {
            "cell": cell_id,
            "scenario": block.scenario.name,
            "variant": variant,
            "step": np.arange(len(loss)),
            "loss": loss,
            "learning_rate": np.full(len(loss), np.nan) if (rate := trace.find(Trace.learning_rate)) is None else rate,
            "weight_norm": _norms(trace, "weights/", len(loss)),
            "gradient_norm": _norms(trace, "gradients/", len(loss)),
        }
        tables.append(pd.DataFrame(columns))
    names = ["cell", "scenario", "variant", "step", "loss", "learning_rate", "weight_norm", "gradient_norm"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=names)


def _phase(key: str) -> str:
    return "audit_step" if key == "step_s" else key.removesuffix("_s")


def _norms(trace: dict[str, np.ndarray], prefix: str, count: int) -> np.ndarray:
    """(T,) float64: the norm over every array under `prefix` together."""
    squares = np.zeros(count)
    for name, array in trace.items():
        if name.startswith(prefix):
            squares += np.square(array.reshape(count, -1).astype(np.float64)).sum(axis=1)
    return np.sqrt(squares)
