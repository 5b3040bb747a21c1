"""What judging a whole model costs beside recording it: the audit of a hybrid with the reference and without, in turns.

    python benchmarks/audit_cost.py [-k dressed] [--variants tf-graph torch jax-jit] [--rounds 3]

Each round sweeps scenarios/hybrids.toml twice, with the reference and without it, the order changing from round to
round; times are medians of wall time over the rounds. Then one cell of each variant is recorded in a
fresh process with a clock around its parts: the step as `fit` takes it, and the pass at the circuits' boundaries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import qparity
from qparity.records import Outcome
from qparity.runner import cell as running
from qparity.scenario.load import load_files

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "scenarios" / "hybrids.toml"
VARIANTS = ("tf-graph", "torch", "jax-jit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="dressed", help="which scenarios")
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", nargs=2, metavar=("SCENARIO", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(parts(*options.inside)))
        return
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    told: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory(prefix="qparity-cost-") as folder:
        for number in range(options.rounds):
            for judged in (True, False) if number % 2 else (False, True):
                for outcome in swept(Path(folder), options.k, options.variants, judged):
                    name = str(outcome.scenario.name), str(outcome.variant)
                    seconds[*name, "with" if judged else "without"].append(outcome.phases["wall_s"] or 0.0)
                    if not judged:
                        continue
                    said = outcome.reference
                    seconds[*name, "audit"].append(outcome.phases["audit_s"] or 0.0)
                    seconds[*name, "reference"].append(said.wall_s or 0.0)
                    told[name] = f"{said.steps} of {said.of}"
    print("| scenario | variant | audit, s | reference, s | steps | audit with it / without | cell with it / without |")
    print("|---|---|---|---|---|---|---|")
    for name in told:
        audit, reference, whole, plain = (
            statistics.median(seconds[*name, kind]) for kind in ("audit", "reference", "with", "without")
        )
        cells = [audit, reference, (audit + reference) / audit, whole / plain]
        first, second, third, fourth = (f"{value:.2f}" for value in cells)
        print(f"| {name[0]} | {name[1]} | {first} | {second} | {told[name]} | {third} | {fourth} |")
    print("\n| scenario | variant | first step | a later step | boundary pass, first | a later one |")
    print("|---|---|---|---|---|---|")
    for name in told:
        command = [sys.executable, __file__, "--inside", *name]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "harness"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        both = [found["step"], found["pass"]]
        words = [f"{s[0]:.3f} s | {1000 * statistics.median(s[1:]):.1f} ms" if s else "- | -" for s in both]
        print(f"| {name[0]} | {name[1]} | {' | '.join(words)} |")


def swept(folder: Path, chosen: str, variants: list[str], judged: bool) -> list[Outcome]:
    """The outcomes of one sweep, one cell at a time."""
    with mock.patch.object(running, "wanted", running.wanted if judged else lambda *_: False):
        run = qparity.run(FILE, variants=variants, keep=chosen, results=folder, timing=False, jobs=1, progress=False)
    return [outcome for outcome in run.outcomes().values() if outcome.status == "ok"]


def parts(scenario_name: str, variant_name: str) -> dict[str, list[float]]:
    """Seconds of each step and of each boundary pass of a cell's audit, here."""
    from qparity.scenario.variant import Variant
    from qparity.worker import backends

    block = next(b for b in load_files([FILE], None, [variant_name]) if b.scenario.name == scenario_name)
    scenario, variant = block.scenario, Variant.parse(variant_name)
    os.environ.update(backends.environment(variant.backend, "cpu", 1))
    backend = backends.load(variant.backend, "cpu", 1)
    backend.start(scenario.dtype)
    import keras

    sys.path.insert(0, str(FILE.parent))
    keras.config.set_floatx(scenario.dtype)
    from models import hybrids, tutorial

    from qparity.circuit.model import build_model
    from qparity.worker import audit, boundary, draws, training

    draws.share()
    source = {"images": hybrids.images, "sequences": hybrids.sequences, "series": tutorial.series}
    assert scenario.data.source is not None
    x, y = source[scenario.data.source.rpartition(":")[2]](scenario.data.samples, scenario.seed)
    model = build_model(scenario, x.shape[1:] if x.ndim > 2 else x.shape[1], 1)
    options = backend.compile_options(variant.mode, 1)
    model.compile(
        optimizer=training.make_optimizer(scenario.training, scenario.dtype),
        loss=training.make_loss(scenario.training),
        **options,
    )
    found: dict[str, list[float]] = {"step": [], "pass": []}

    class Clocked(boundary.Boundaries):
        def before(self, *batch: Any) -> None:
            start = time.perf_counter()
            super().before(*batch)
            found["pass"].append(time.perf_counter() - start)

    data = audit.Data(x.astype(scenario.dtype), y, np.tile(np.arange(len(x)), (scenario.training.epochs, 1)))
    with mock.patch.object(audit, "Boundaries", Clocked):
        _, _, found["step"] = audit.record(model, backend, variant.mode, scenario, data, lambda *_: None)
    return found


if __name__ == "__main__":
    main()
