"""How long do `check` and `report` take on a large run? One of real, judged cells is written, and both are measured.

    python benchmarks/large_run.py --cells 10000

The cells are small trainings in plain NumPy (those of the judge's own tests: one wire, two steps) on four variants, so
that the oracle judges every one of them; some disagree, some are unsupported. Prints seconds, peak memory and size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from qparity.records import Outcome
from qparity.scenario.schema import Scenario
from qparity.store import Run, fingerprint
from tests.parity.fake import Setting, observe, program

VARIANTS = ("tf", "torch", "jax", "jax-jit")


def write(folder: Path, cells: int) -> Run:
    """A finished run of that many cells; one scenario in a hundred has a wrong gradient on one variant."""
    names = [f"scenario-{i:05d}" for i in range(cells // len(VARIANTS))]
    ids = {(n, v): hashlib.sha256(f"{n}/{v}".encode()).hexdigest()[:16] for n in names for v in VARIANTS}
    setting = Setting(wires=1, layers=1, samples=4, batch=2, epochs=1)
    scenarios = {
        name: Scenario(
            name=name, seed=i, wires=1, layers=1, data={"samples": 4}, training={"batch_size": 2, "epochs": 1}
        ).model_dump(mode="json")
        for i, name in enumerate(names)
    }  # fmt: skip
    blocks = [
        {"scenario": scenarios[name], "cells": [{"id": ids[name, v], "variant": v} for v in VARIANTS]} for name in names
    ]
    run = Run.create(folder, {"blocks": blocks, "sources": []}, fingerprint(), ["large_run.py"])
    for i, name in enumerate(names):
        clean = observe(replace(setting, seed=i))
        wrong = observe(replace(setting, seed=i, fault="gradient x2")) if i % 100 == 50 else clean
        for variant in VARIANTS:
            seen = wrong if variant == "torch" else clean
            missing = i % 10 == 0 and variant == "jax"
            outcome = seen.outcome.raw | {
                "id": ids[name, variant], "variant": variant, "scenario": scenarios[name],
                "status": "unsupported" if missing else "ok", "reason": "jax is not installed" if missing else None,
                "phases": {"build_s": 0.1, "first_step_s": 0.3, "step_s": 0.01},
                "memory": {"baseline_bytes": 300_000_000, "peak_bytes": 320_000_000},
                "resolved": {"device": "default.qubit", "diff_method": "backprop",
                             "quantum_layers": [{"name": "quantum", "weights": [0, 1], "program": program(setting)}]},
            }  # fmt: skip
            run.write_outcome(Outcome(outcome), None if missing else dict(seen.trace or {}))
    run.finish()
    return run


def measure(*arguments: str) -> tuple[float, float, int, int]:
    """Seconds on the clock, seconds of processor, peak bytes and exit code of a command of ours."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "harness")}
    start, peak, before = time.perf_counter(), 0, os.times()
    process = psutil.Popen(
        [sys.executable, "-m", "qparity.cli", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    code, after = process.wait(), os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, cpu, peak, code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="write the run here and keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        start = time.perf_counter()
        run = write(folder, options.cells)
        print(f"{options.cells} cells written in {time.perf_counter() - start:.0f} s")
        html = folder / "report.html"
        for command in (["check", str(run.path)], ["report", str(run.path), "-o", str(html)]):
            seconds, cpu, peak, code = measure(*command)
            used = f"{seconds:6.1f} s ({cpu:.1f} s of processor), {peak / 1e6:5.0f} MB at its peak"
            print(f"{command[0]:7} {used}, exit code {code}")
        print(f"report.html {html.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
