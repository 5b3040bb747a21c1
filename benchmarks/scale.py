"""What a cell costs beside its training: thousands of null cells through the local and the Dask engine.

    python benchmarks/scale.py [--cells 10000] [--engine local] [--engine dask] [--nodes 2]

The cells are those of tests/null_worker.py: the real protocol, server, fork, trace and store, around a training of a
millisecond. Printed are CPU milliseconds a cell (of the sweep's own process and of everything it starts: wall time on a
shared machine says little), how they grow from the first tenth of the cells to the last, the size of the run folder,
and the CPU seconds that listing, resuming and judging it take.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from qparity.runner.begin import begin
from qparity.runner.cluster import cluster
from qparity.runner.dask import on_cluster
from qparity.runner.events import CellFinished, Event
from qparity.runner.local import Options
from qparity.runner.sweep import sweep
from qparity.scenario.load import load_files
from qparity.store import Run, list_runs
from qparity.summary import summarise
from tests import null_worker

VARIANTS = {"torch": "torch", "jax": "jax", "jax-jit": "jax", "tf": "tensorflow"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--engine", action="append", choices=("local", "dask"))
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--jobs", type=int, help="Cells side by side, on each node. Default: its cores.")
    options = parser.parse_args()
    for engine in options.engine or ("local", "dask"):
        with tempfile.TemporaryDirectory() as folder:
            measure(engine, options.cells, options.nodes, options.jobs, Path(folder))


def measure(engine: str, cells: int, nodes: int, jobs: int | None, folder: Path) -> None:
    """One sweep, and what can be done with its folder."""
    (folder / "null.toml").write_text(null_worker.toml(cells, *VARIANTS))
    python = str(null_worker.interpreter(folder))
    start = time.process_time()
    run, blocks = begin(load_files([folder / "null.toml"]), folder / "results", None, None, ["scale"], False)
    print(f"{engine}: {cells} cells in {len(blocks)} blocks; loading and planning {time.process_time() - start:.1f} s")
    samples: list[tuple[int, float, float, float]] = []

    def sample(done: int) -> None:
        samples.append((done, time.process_time(), cpu_of_descendants(), time.monotonic()))
        if len(samples) > 1:
            before, after = samples[-2:]
            steps = [(b - a) / (after[0] - before[0]) * 1e3 for a, b in zip(before, after, strict=True)]
            print(f"    {done:6} {steps[1]:12.1f} {steps[2]:24.1f} {steps[3]:22.1f}", flush=True)

    ended = itertools.count(1)

    def hear(event: Event) -> None:
        if isinstance(event, CellFinished) and (number := next(ended)) % max(1, cells // 10) == 0:
            sample(number)

    print("     cells   own CPU ms a cell   started processes' ms a cell   wall ms a cell")
    given = Options(jobs=jobs, interpreters=dict.fromkeys((*VARIANTS.values(), "numpy"), python))
    with cluster(nodes) if engine == "dask" else nullcontext(("", [])) as (address, _):
        sample(0)
        on_nodes = partial(on_cluster, scheduler=address, options=given, timing=None) if engine == "dask" else None
        assert sweep(run, blocks, given, hear, engine=on_nodes)
    files = [file.stat().st_size for file in run.path.rglob("*") if file.is_file()]
    print(f"    folder: {len(files)} files, {sum(files) / cells / 1024:.1f} KiB a cell")
    for what, act in (
        ("list the runs", lambda: list_runs(folder / "results")),
        ("load, checking every file", lambda: Run.load(run.path)),
        ("find what a resume has to do", lambda: run.missing()),
        ("check (load, judge, summarise)", lambda: check(run.path)),
    ):
        report(what, act)
    peak = psutil.Process().memory_info().rss
    print(f"    memory of this process at the end: {peak / 2**20:.0f} MiB", flush=True)


def report(what: str, act: Any) -> None:
    start = time.process_time()
    act()
    print(f"    {what}: {time.process_time() - start:.1f} s", flush=True)


def check(path: Path) -> None:
    view = summarise(Run.load(path, checked=False), curves=False)
    assert view.counts["pass"] == len(view.cells), view.counts


def cpu_of_descendants() -> float:
    """CPU seconds of everything this process has started, whatever has ended of it included."""
    total = sum(os.times()[2:4])
    for process in psutil.Process().children(recursive=True):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    main()
