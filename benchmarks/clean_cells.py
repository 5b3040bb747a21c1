"""Does the judge ever accuse a correct program? Random clean cells on the real backends: false alarms must be 0.

    python benchmarks/clean_cells.py --cells 100 --variants torch jax-jit --seed 0

Shipped circuits, 1 to 6 wires, both precisions, SGD (momentum, Nesterov) and Adam (AMSGrad, weight decay), odd
batches; one scenario in ten is trained on until it fits nearly perfectly, where a judge that starts from its own
predictions would alarm. Prints the largest residual over tolerance of each stage, by precision and optimizer. Exit
code 1 on any false alarm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.runner.local import Options
from harness.runner.plan import make_blocks, to_record
from harness.runner.sweep import sweep
from harness.scenario.load import Block
from harness.scenario.schema import Scenario
from harness.scenario.variant import Variant
from harness.store import Run
from harness.summary import judgements

# circuit -> (fewest wires, whether it takes one feature a wire)
CIRCUITS = {
    "data_reuploading": (1, False), "strongly_entangling": (1, True), "basic_entangler": (1, True), "qaoa": (1, False),
    "hardware_efficient": (1, False), "iqp": (1, True), "probabilities": (1, False), "vqe": (2, False),
    "deep": (1, False),
}  # fmt: skip
OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "adam"}, {"name": "adam", "amsgrad": True}, {"name": "adam", "beta_1": 0.5, "beta_2": 0.9},
    {"name": "adam", "weight_decay": 0.01}, {"name": "sgd"}, {"name": "sgd", "momentum": 0.9},
    {"name": "sgd", "momentum": 0.9, "nesterov": True}, {"name": "sgd", "weight_decay": 0.01},
)  # fmt: skip
FITTED = 1e-6


def main() -> None:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--variants", nargs="+", default=["torch", "jax-jit"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    variants = tuple(map(Variant.parse, options.variants))
    rng = np.random.default_rng(options.seed)
    scenarios = [draw(rng, number) for number in range(-(-options.cells // len(variants)))]
    blocks = make_blocks([Block(s, variants, Path("clean_cells.toml")) for s in scenarios])
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), to_record(blocks), {}, [])
        start = time.perf_counter()
        sweep(run, blocks, Options())
        print(f"{len(scenarios) * len(variants)} cells in {time.perf_counter() - start:.0f} s", end=", ")
        alarms = report(Run.load(run.path))
    raise SystemExit(1 if alarms else 0)


def draw(rng: np.random.Generator, number: int) -> Scenario:
    """A random scenario that every variant can run; every tenth is trained to a nearly perfect fit."""
    common: dict[str, Any] = {
        "name": f"clean-{number}",
        "dtype": str(rng.choice(["float32", "float64"])),
        "seed": number,
    }
    optimizer = {**OPTIMIZERS[rng.integers(len(OPTIMIZERS))], "learning_rate": float(rng.choice([0.003, 0.03, 0.3]))}
    if number % 10 == 9:
        training = {"batch_size": 12, "epochs": 300, "optimizer": {"name": "adam", "learning_rate": 0.1}}
        return Scenario.model_validate(
            {**common, "layers": int(rng.integers(1, 3)), "data": {"samples": 12}, "training": training}
        )
    circuit = str(rng.choice(list(CIRCUITS)))
    fewest, one_a_wire = CIRCUITS[circuit]
    # deep has hundreds of gates
    wires = int(rng.integers(fewest, 3 if circuit == "deep" else 7))
    features = wires if one_a_wire else int(rng.integers(1, wires + 1))
    samples = int(rng.integers(2, 13))
    return Scenario.model_validate(
        {
            **common,
            "circuit": circuit,
            "wires": wires,
            "layers": 1 if circuit == "deep" else int(rng.integers(1, 4)),
            "data": {"name": "random", "samples": samples, "features": features},
            "training": {
                "batch_size": int(rng.integers(1, samples + 1)) if samples < 6 else samples // 2 + 1,
                "epochs": int(rng.integers(1, 6)),
                "loss": "energy" if circuit == "vqe" else "mse",
                "optimizer": optimizer,
            },
        }
    )


def report(run: Run) -> int:
    """Print what the judge said of a run of clean cells; the number of cells it should have passed and did not."""
    found = judgements(run)
    largest: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    alarms, steps, fitted = [], 0, 0
    for scenario, cell_id, variant in run.planned():
        outcome, trace, judged = run.outcome(cell_id) or {}, run.trace(cell_id), found.get(cell_id)
        if judged is None or trace is None or judged.verdict != "ROUNDING":
            why = judged.reason if judged else f"{outcome.get('status')}: {outcome.get('reason')}"
            alarms.append(f"{scenario['name']} {variant}: {why}\n    {scenario}")
            continue
        steps += len(trace["loss"])
        fitted += bool(np.abs(trace["loss"]).min() < FITTED)
        row = largest[scenario["dtype"], scenario["training"]["optimizer"]["name"]]
        for stage, series in judged.stages.items():
            row[stage] = max(row.get(stage, 0.0), float(np.nanmax(series.r)))
    print(f"{steps} steps, {fitted} cells with a loss below {FITTED:g}; false alarms: {len(alarms)}")
    print("largest residual over tolerance (1 would be an alarm):")
    for (dtype, optimizer), row in sorted(largest.items()):
        print(f"  {dtype} {optimizer:4}  " + "  ".join(f"{stage} {r:.3f}" for stage, r in row.items()))
    print("\n".join(alarms))
    return len(alarms)


if __name__ == "__main__":
    main()
