"""An earlier commit against this one: the same sweeps by both, in turns, as whole processes of the same interpreter.

    python benchmarks/against.py OLD_CHECKOUT [--rounds 3] [--only fourier steps smoke timed traces] [-v torch]

Both get this checkout's scenario files. Each figure is the least of its rounds, and the order of the two changes from
round to round; CPU seconds are of everything that a sweep starts and sees the end of, imports and judging included.

fourier: wall time and CPU seconds of `qparity run scenarios/fourier.toml --no-timing`, all variants at once.
steps: CPU seconds a judged step, variant by variant: fourier.toml likewise on that variant alone and `qparity check` of
it, over the steps that `check` says were judged (of a cell of which a part was, that part of them).
smoke: the same of the 24 cells of four steps each of `overhead.py`, most of which is imports.
timed: the 24-cell sweep of `overhead.py` with its timed rounds, and the median relative half-width of the ratios.
traces: which arrays of the traces of smoke.toml are bitwise the same. Arrays that only one of the two recorded are
named, and `final_weights` and `fit_spread` left out where `fit` took other numbers of steps. One cell on one thread.

Exit code 1 if an array that both have is not the same.
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
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _script import ROOT, THREADS
from overhead import CORE, SMOKE, SWEEP

PARTS = ("fourier", "steps", "smoke", "timed", "traces")
OF_FIT = ("final_weights", "fit_spread")
GOOD = (0, 1, 3)
"""Exit codes of a command that did its work: disagreements and unfinished cells are no business of this script."""


@dataclass
class Used:
    """What a command took: seconds on the clock, and of processors by it and everything it waited for."""

    wall_s: float
    cpu_s: float


@dataclass
class Compared:
    """Arrays of the traces that both checkouts recorded, by name (`weights/0`) and how many cells have it."""

    cells: int = 0
    same: Counter[str] = field(default_factory=Counter)
    different: Counter[str] = field(default_factory=Counter)
    of_one: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    furthest: dict[str, str] = field(default_factory=dict)
    """Of each cell in which something differs, by how much of its largest number at most."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("-v", "--variant", action="append", choices=CORE, help="only these variants")
    options = parser.parse_args()
    checkouts = {"old": options.old.resolve(), "new": ROOT}
    for checkout in checkouts.values():
        verify(checkout)
    variants = options.variant or CORE
    same = True
    with tempfile.TemporaryDirectory(prefix="qparity-against-") as name:
        folder = Path(name)
        fourier = ROOT / "scenarios" / "fourier.toml"
        (folder / "timed.toml").write_text(SWEEP)
        (folder / "smoke.toml").write_text(SMOKE)
        for part in options.only:
            print(f"== {part}", flush=True)
            if part == "fourier":
                swept(checkouts, folder, fourier, variants, options.rounds, "--no-timing")
            elif part == "timed":
                runs = swept(checkouts, folder, folder / "timed.toml", variants, options.rounds)
                widths = {which: [half_width(judged(checkouts[which], run)) for run in runs[which]] for which in runs}
                told = {which: ", ".join(f"{width:.2%}" for width in widths[which]) for which in widths}
                print(f"median half-width, round by round: old {told['old']}; new {told['new']}")
            elif part in ("steps", "smoke"):
                file = fourier if part == "steps" else folder / "smoke.toml"
                by_variant(checkouts, folder, file, variants, options.rounds)
            else:
                same = traces(checkouts, folder, variants)
    return int(not same)


def verify(checkout: Path) -> None:
    """End the script unless `import qparity` with this checkout's sources is of this checkout."""
    if not (checkout / "harness" / "qparity" / "__init__.py").is_file():
        sys.exit(f"{checkout}: expected a checkout with its sources in harness/qparity")
    command = [sys.executable, "-c", "import qparity; print(qparity.__file__)"]
    found = subprocess.run(command, env=environment(checkout), cwd="/", capture_output=True, text=True, check=True)
    if not Path(found.stdout.strip()).resolve().is_relative_to(checkout.resolve()):
        sys.exit(f"{checkout}: {sys.executable} imports {found.stdout.strip()} in its place")


def environment(checkout: Path) -> dict[str, str]:
    """The variables of a command of that checkout: no other sources, one thread, nothing kept from earlier sweeps."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QPARITY_")}
    return inherited | THREADS | {"PYTHONPATH": str(checkout / "harness")}


def ran(checkout: Path, *arguments: str) -> tuple[Used, str]:
    """What a command of that checkout took, and its standard output."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "qparity.cli", *arguments],
            env=environment(checkout), cwd=checkout, stdout=output, stderr=errors, text=True,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode not in GOOD:
            sys.exit(f"{checkout}: {' '.join(arguments)}: exit code {process.returncode}\n{errors.read()[-2000:]}")
        return Used(wall_s, usage.ru_utime + usage.ru_stime), output.read()


def sweep(checkout: Path, file: Path, variants: Iterable[str], results: Path, *options: str) -> tuple[Used, Path]:
    """Run a scenario file; what it took, and the run folder."""
    chosen = [word for name in variants for word in ("-v", name)]
    used, _ = ran(checkout, "run", str(file), *chosen, "--results", str(results), *options)
    (run,) = (path.parent for path in results.glob("*/run.json"))
    return used, run


def in_turns(rounds: int) -> Iterable[tuple[int, str]]:
    """(round, old or new), the other one first in every second round."""
    for number in range(rounds):
        for which in ("new", "old") if number % 2 else ("old", "new"):
            yield number, which


def swept(
    checkouts: Mapping[str, Path], folder: Path, file: Path, variants: list[str], rounds: int, *options: str
) -> dict[str, list[Path]]:
    """Sweep by both in turns and print what it took; the run folders."""
    used: dict[str, list[Used]] = {"old": [], "new": []}
    runs: dict[str, list[Path]] = {"old": [], "new": []}
    for number, which in in_turns(rounds):
        results = folder / f"{file.stem}-{which}-{number}"
        each, run = sweep(checkouts[which], file, variants, results, *options)
        print(f"   {which} {number}: {each.wall_s:.1f} s, {each.cpu_s:.1f} CPU s", flush=True)
        used[which].append(each)
        runs[which].append(run)
    least = {which: (min(u.wall_s for u in found), min(u.cpu_s for u in found)) for which, found in used.items()}
    for k, what in enumerate(("wall time, s", "CPU, s")):
        print(row(what, least["old"][k], least["new"][k]))
    return runs


def by_variant(checkouts: Mapping[str, Path], folder: Path, file: Path, variants: list[str], rounds: int) -> None:
    """CPU seconds a judged step, a variant at a time."""
    for variant in variants:
        spent: dict[str, list[float]] = {"old": [], "new": []}
        for number, which in in_turns(rounds):
            results = folder / f"{file.stem}-{variant}-{which}-{number}"
            used, run = sweep(checkouts[which], file, [variant], results, "--no-timing")
            judging, told = ran(checkouts[which], "check", str(run), "--json")
            steps = judged_steps(json.loads(told)["cells"], planned_steps(run))
            if not steps:
                sys.exit(f"{which}: no step was judged on {variant}")
            spent[which].append((used.cpu_s + judging.cpu_s) / steps)
        print(row(f"{variant}, CPU s a judged step", min(spent["old"]), min(spent["new"])), flush=True)


def row(what: str, old: float, new: float) -> str:
    """A line of a table."""
    return f"{what}: old {old:.3g}, new {new:.3g}, ratio {new / old:.3f}"


def judged(checkout: Path, run: Path) -> list[dict[str, Any]]:
    """The cells of a run as that checkout's `check --json` tells them."""
    return list(json.loads(ran(checkout, "check", str(run), "--json")[1])["cells"])


def planned_steps(run: Path) -> dict[str, int]:
    """How many steps each scenario of a run has, by its name."""
    blocks = json.loads((run / "run.json").read_text())["plan"]["blocks"]
    found = {}
    for scenario in (block["scenario"] for block in blocks):
        training = scenario["training"]
        found[scenario["name"]] = training["epochs"] * -(-scenario["data"]["samples"] // training["batch_size"])
    return found


def judged_steps(cells: Iterable[Mapping[str, Any]], steps: Mapping[str, int]) -> float:
    """Steps that something independent judged; of a cell of whose tensors a part was, that part of its steps."""
    return sum(steps[cell["scenario"]] * cell["judged"] / cell["judgeable"] for cell in cells if cell["judgeable"])


def half_width(cells: Iterable[Mapping[str, Any]]) -> float:
    """Median of the half-widths of all ratios but those of the reference itself, each relative to its ratio."""
    timings = [cell["timing"] for cell in cells if cell["timing"]]
    told = [t for t in timings if t["ratio_low"] is not None and t["ratio_high"] is not None]
    widths = [(t["ratio_high"] - t["ratio_low"]) / 2 / t["ratio"] for t in told if t["ratio_low"] < t["ratio_high"]]
    return statistics.median(widths) if widths else float("nan")


def traces(checkouts: Mapping[str, Path], folder: Path, variants: list[str]) -> bool:
    """Whether both record the same numbers; says which arrays were looked at."""
    file = ROOT / "scenarios" / "smoke.toml"
    runs = {which: sweep(path, file, variants, folder / f"traces-{which}", "--no-timing")[1]
            for which, path in checkouts.items()}  # fmt: skip
    found = compare(runs["old"], runs["new"])
    print(f"{found.cells} cells that both recorded")
    for what, counts in (
        ("bitwise the same", found.same),
        ("DIFFERENT", found.different),
        ("recorded by one of the two only", found.of_one),
        ("left out, since fit took other numbers of steps", found.left_out),
    ):
        if counts:
            print(f"{counts.total()} arrays {what}: {', '.join(f'{n} ({c})' for n, c in sorted(counts.items()))}")
    for place, worst in found.furthest.items():
        print(f"{place}: {worst} of its largest number")
    return bool(found.same) and not found.different


def compare(old: Path, new: Path) -> Compared:
    """Compare the traces of all cells that two runs have in common."""
    found = Compared()
    cells = [recorded(run) for run in (old, new)]
    for place in sorted(cells[0].keys() & cells[1].keys()):
        found.cells += 1
        moved: dict[str, float] = {}
        (a, fit_a), (b, fit_b) = (each[place] for each in cells)
        for name in sorted(a.keys() | b.keys()):
            if name not in a or name not in b:
                found.of_one[name] += 1
            elif name.startswith(OF_FIT) and fit_a != fit_b:
                found.left_out[name] += 1
            elif identical(a[name], b[name]):
                found.same[name] += 1
            else:
                found.different[name] += 1
                moved[name] = relative(a[name], b[name])
        if moved:
            worst = max(moved, key=lambda name: moved[name])
            found.furthest["/".join(place)] = f"{worst} by {moved[worst]:.2g}"
    return found


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference over the largest number; infinite where there is none to tell."""
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind != "f" or not np.abs(a).max(initial=0.0) > 0:
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(a).max())


def identical(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether dtype, shape and every bit are the same: NaN equals NaN, and 0 is not -0."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def recorded(run: Path) -> dict[tuple[str, str], tuple[dict[str, np.ndarray], int]]:
    """Trace and steps of `fit` of each cell that has one, by scenario and variant."""
    steps, found = planned_steps(run), {}
    for file in (run / "cells").glob("*.json"):
        outcome = json.loads(file.read_text())
        if outcome["trace"]:
            with np.load(run / outcome["trace"]) as archive:
                arrays = dict(archive)
            name = outcome["scenario"]["name"]
            found[name, outcome["variant"]] = arrays, (outcome.get("fit") or {}).get("steps") or steps[name]
    return found


if __name__ == "__main__":
    sys.exit(main())
