"""Train one cell in a fresh process, as a script without qparity does: import, build, compile, fit.

    python benchmarks/_script.py FILE.toml SCENARIO VARIANT [--steps N]

Prints the seconds from the imports on to the end of `fit`: building, tracing, compiling and N steps (by default the
scenario's own) of its batches over and over.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def in_fresh_process(file: Path, scenario: str, variant: str, steps: int | None = None) -> tuple[float, float]:
    """(seconds of the whole process, seconds from the imports on)."""
    command = [sys.executable, __file__, str(file), scenario, variant, *(["--steps", str(steps)] if steps else [])]
    start = time.perf_counter()
    environment = os.environ | THREADS | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "harness", ROOT)))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{scenario} {variant}: {done.stderr[-2000:]}")
    return time.perf_counter() - start, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("scenario")
    parser.add_argument("variant")
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    from qparity.runner.inputs import make_inputs
    from qparity.scenario.load import load_files
    from qparity.scenario.variant import Variant
    from qparity.worker import backends

    blocks = load_files([options.file], None, [options.variant])
    scenario = next(block.scenario for block in blocks if block.scenario.name == options.scenario)
    variant = Variant.parse(options.variant)
    inputs = make_inputs(scenario)
    os.environ.update(backends.environment(variant.backend, "cpu", 1))
    backend = backends.load(variant.backend, "cpu", 1)
    from qparity.circuit.model import build_model
    from qparity.worker import training
    from qparity.worker.timed import repeated_rows

    backend.start(scenario.dtype)
    start = time.perf_counter()
    import keras

    keras.config.set_floatx(scenario.dtype)
    model = build_model(scenario, inputs.x.shape[1], inputs.y.shape[1])
    size = min(scenario.training.batch_size, len(inputs.x))
    model.compile(
        optimizer=training.make_optimizer(scenario.training, scenario.dtype),
        loss=training.make_loss(scenario.training),
        **backend.compile_options(variant.mode, -(-len(inputs.x) // size)),
    )
    rows = repeated_rows(inputs.order[0], size, options.steps) if options.steps else inputs.order[0]
    epochs = 1 if options.steps else scenario.training.epochs
    model.fit(inputs.x[rows], inputs.y[rows], batch_size=size, epochs=epochs, shuffle=False, verbose=0)
    backend.sync()
    print(json.dumps(time.perf_counter() - start))


if __name__ == "__main__":
    main()
