"""Sweep for an hour in one process: memory, file descriptors, threads and processes must stay flat.

    python benchmarks/soak.py [--minutes 60] [--real]

Each round is a sweep, its resume after a cell was lost, its judgement, its tables. `--real` trains on torch; without
it the cells are null cells (tests/null_worker.py), which come and go far more often. A line a minute; fails if what is
held grows from the second fifth of the rounds to the last one, by more than 5% of memory or by anything else at all.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from qparity.runner.begin import begin
from qparity.runner.local import Options
from qparity.runner.sweep import sweep
from qparity.scenario.load import load_files
from qparity.store import Run
from qparity.summary import summarise
from tests.null_worker import interpreter, toml

CELLS = {True: 6, False: 24}
FORGIVEN = 0.05


class Held(NamedTuple):
    """What this process holds after a round; bytes, and counts."""

    memory: int
    descriptors: int
    threads: int
    processes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    start, said, rounds = time.monotonic(), 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "soak.toml").write_text(toml(CELLS[options.real], "torch"))
        if options.real:
            (folder / "soak.toml").write_text(REAL)
        given = Options(
            interpreters={} if options.real else dict.fromkeys(("torch", "numpy"), str(interpreter(folder)))
        )
        while (minutes := (time.monotonic() - start) / 60) < options.minutes or len(rounds) < 10:
            rounds.append(one_round(folder, given))
            if minutes >= said:
                said += 1
                print(f"{minutes:5.1f} min  round {len(rounds):5}  {rounds[-1]}", flush=True)
    raise SystemExit(verdict(rounds))


REAL = """
variants = ["torch"]
data = { samples = 6 }
training = { batch_size = 4, epochs = 2 }
[matrix]
layers = [1, 2, 3]
diff_method = ["backprop", "parameter-shift"]
"""


def one_round(folder: Path, options: Options) -> Held:
    """A sweep, its resume after a loss, and everything that reads a run."""
    blocks = load_files([folder / "soak.toml"])
    run, planned = begin(blocks, folder / "results", None, None, ["soak"], False)
    assert sweep(run, planned, options)
    next((run.path / "cells").iterdir()).unlink()
    run, planned = begin(blocks, folder / "results", run.id, None, ["soak"], False)
    assert sweep(run, planned, options)
    loaded = Run.load(run.path)
    view = summarise(loaded)
    assert view.counts["pass"] == len(view.cells), view.counts
    loaded.cells(), loaded.timings(), loaded.steps()
    shutil.rmtree(folder / "results")
    me = psutil.Process()
    return Held(me.memory_info().rss, me.num_fds(), threading.active_count(), len(me.children(recursive=True)))


def verdict(rounds: list[Held]) -> int:
    """Print what has grown; 1 if something has."""
    fifth = len(rounds) // 5
    early, late = rounds[fifth : 2 * fifth], rounds[-fifth:]
    grown = []
    for name in Held._fields:
        before, after = (median(getattr(held, name) for held in part) for part in (early, late))
        print(f"{name:12} {before:14,.0f} -> {after:14,.0f}")
        if after > before * (1 + FORGIVEN if name == "memory" else 1):
            grown.append(name)
    print(f"{len(rounds)} rounds: " + (f"grown: {', '.join(grown)}" if grown else "flat"))
    return bool(grown)


if __name__ == "__main__":
    main()
