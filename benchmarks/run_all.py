"""Run the benchmarks of this folder, one after the other, and say what each took and whether it met its targets.

    python benchmarks/run_all.py [--quick] [NAME ...]

At their full size they take a day on two cores, most of it `clean_cells`, `clean_models`, `detection_limits` and
`capability_matrix`. `--quick` gives each so little to do that all are through in about half an hour: it shows that they
work, and its numbers are no measurement (a statistical target may well be missed). Those about faults, not about speed,
and `against`, which needs another checkout (`BY_HAND`), run only with `--quick` or by name. Exit code 1 if any of them
has another exit code than 0.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BY_HAND = ("against", "fuzz", "kills", "soak")
QUICK = {
    "aa_calibration": "--variants torch --repetitions 2 --rounds 8",
    "against": f"{HERE.parent} --only traces -v torch",
    "audit_cost": "--variants torch --rounds 1",
    "break_even": "-v jax-jit --repetitions 1",
    "capability_matrix": "-v torch --trainings 1",
    "clean_cells": "--cells 6",
    "clean_models": "--models 2 --variants torch",
    "detection_limits": "--seeds 1",
    "false_steps": "--repetitions 0 --histories 200",
    "fuzz": "--inputs 200",
    "judged_models": "-k dressed --variants torch",
    "jury_limits": "--models 1",
    "kills": "--kills 5",
    "large_run": "--cells 200",
    "layer_overhead": "-v torch -v jax-jit --seconds 3",
    "oracle_cost": "--wires 1 2 4",
    "overhead": "--only fresh -v torch --fresh 1",
    "planted_faults": "--faults derivative --variants torch",
    "repeat_sweep": "-v torch -v jax-jit",
    "scale": "--cells 200 --engine local",
    "soak": "--minutes 1",
    "training_matrix": "--variants torch --every 20",
}
"""Arguments of each benchmark for `--quick`."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="as little of each as shows that it works")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, without .py")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(QUICK)):
        parser.error(f"no benchmark {unknown[0]}: expected {', '.join(QUICK)}")
    every = [name for name in QUICK if options.quick or name not in BY_HAND]
    paths = [str(HERE.parent / "harness"), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    lines = []
    for name in options.names or every:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        command = [sys.executable, str(HERE / f"{name}.py"), *(QUICK[name].split() if options.quick else ())]
        code = subprocess.run(command, env=environment, check=False).returncode
        lines.append(f"{name}: exit code {code} after {time.monotonic() - start:.0f} s")
    print("==", *lines, sep="\n")
    return int(any("exit code 0 " not in line for line in lines))


if __name__ == "__main__":
    sys.exit(main())
