"""How much qparity itself costs: cores not spent in training, the parent's share, and against a process per cell.

    python benchmarks/overhead.py [--only sweep|fresh] [-v torch -v jax-jit] [--fresh 4]

(a) Of a 24-cell sweep with timing, the share of wall time x cores in which nothing was built, trained or measured. A
measured cell has the machine for itself, so all its cores count as used; what remains is imports, forks, messages,
storing, judging, and cores that no cell was left for.
(b) 24 cells of smoke size, variant by variant, against a fresh process for each, one after another (`_script.py`; some
are run, and their mean stands for all): with one cell at a time, and with as many as `qparity run` takes by itself.
qparity also records and judges each cell, and so trains it twice; the scripts only train.
(c) While children are measured, the parent's processor time over wall time, and its memory.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _script import in_fresh_process

from qparity.runner.local import available_cores
from qparity.store import Run, resolve

CORE = ["tf", "tf-graph", "tf-xla", "torch", "jax", "jax-jit"]
SWEEP = """
data = { samples = 70 }
training = { batch_size = 32, epochs = 10 }
diff_method = "backprop"
[matrix]
wires = [1, 3]
layers = [1, 3]
"""
SMOKE = """
data = { samples = 6 }
training = { batch_size = 3, epochs = 2 }
[matrix]
seed = [0, 1, 2, 3, 4, 5]
dtype = ["float64", "float32"]
simulator = [
    { device = "default.qubit", diff_method = "backprop", wires = 1 },
    { device = "lightning.qubit", diff_method = "adjoint", wires = 2 },
]
"""
USED = ("build_s", "audit_s", "fit_s")
MEASURED = ("build_s", "pilot_s", "rounds_s", "inference_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("sweep", "fresh"))
    parser.add_argument("-v", "--variant", action="append", choices=CORE)
    parser.add_argument("--fresh", type=int, default=4, help="fresh processes to run for each variant")
    options = parser.parse_args()
    variants = options.variant or CORE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only != "fresh":
            sweep(folder, variants)
        if options.only != "sweep":
            against_fresh_processes(folder, [v for v in variants if v not in ("tf-graph", "tf-xla")], options.fresh)


def sweep(folder: Path, variants: list[str]) -> None:
    """(a) and (c)."""
    (folder / "sweep.toml").write_text(SWEEP)
    command = qparity(folder, "sweep.toml", variants)
    cores, start = len(available_cores()), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    parent, shares, memory = psutil.Process(process.pid), [], 0
    last = None
    assert process.stdout is not None
    for line in process.stdout:  # a line a cell, then a line a timed block
        now = time.perf_counter(), sum(parent.cpu_times()[:2])
        memory = max(memory, parent.memory_info().rss)
        if line.startswith("timed") and last is not None:
            shares.append((now[1] - last[1]) / (now[0] - last[0]))
        last = now
    if process.wait():
        sys.exit("the sweep failed")
    wall = time.perf_counter() - start
    run = Run.load(resolve(folder / "results", "latest"))
    phases = [outcome.phases for outcome in run.outcomes().values()]
    documents = [run.timing(name) for name in dict.fromkeys(place.scenario.name for place in run.planned())]
    lanes = [lane for document in documents if document for lane in document.lanes.values()]
    used = sum(table.get(name) or 0.0 for table in phases for name in USED)
    measured = sum(child.phases[name] or 0.0 for lane in lanes for child in lane.children for name in MEASURED)
    overhead = 1 - (used + measured * cores) / (wall * cores)
    seconds = f"{used:.0f} core-s trained, {measured:.0f} s measured"
    print(f"(a) {len(phases)} cells in {wall:.0f} s on {cores} cores: {seconds}")
    print(f"    overhead {overhead:.0%} of wall time x cores (at most 15% asked for)")
    share, megabytes = statistics.median(shares), memory / 1e6
    print(f"(c) the parent used {share:.1%} of a core while children were measured, and {megabytes:.0f} MB", flush=True)


def against_fresh_processes(folder: Path, variants: list[str], count: int) -> None:
    """(b)."""
    file = folder / "smoke.toml"
    file.write_text(SMOKE)
    totals: Counter[str] = Counter()
    for variant in variants:
        smoke(file, variant, "-k", "seed0", "--jobs", "1")  # the framework's files in the page cache, for all alike
        seconds = {"one at a time": smoke(file, variant, "--jobs", "1"), "as run by itself": smoke(file, variant)}
        run = Run.load(resolve(folder / "results", "latest"))
        names = [place.scenario.name for place in run.planned()]
        some = names[:: max(1, len(names) // count)][:count]
        seconds["fresh"] = statistics.mean(in_fresh_process(file, name, variant)[0] for name in some) * len(names)
        totals.update(seconds)
        print(f"(b) {variant}, {len(names)} cells: {against(seconds)}", flush=True)
    print(f"(b) all: {against(totals)}")


def smoke(file: Path, variant: str, *options: str) -> float:
    """Seconds of a sweep without timing."""
    start = time.perf_counter()
    command = qparity(file.parent, file.name, [variant], "--no-timing", *options)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def against(seconds: Mapping[str, float]) -> str:
    """How many times faster than fresh processes."""
    fresh = seconds["fresh"]
    ours = ", ".join(f"{fresh / s:.1f}x {how} ({s:.1f} s)" for how, s in seconds.items() if how != "fresh")
    return f"{ours}; fresh processes {fresh:.0f} s"


def qparity(folder: Path, file: str, variants: list[str], *options: str) -> list[str]:
    """The command of a run."""
    chosen = [word for name in variants for word in ("-v", name)]
    results = str(folder / "results")
    return [sys.executable, "-m", "qparity.cli", "run", str(folder / file), *chosen, "--results", results, *options]


if __name__ == "__main__":
    main()
