"""What runs here: every variant x device x diff method, in both precisions, bare and behind a Dense layer, judged.

    python benchmarks/capability_matrix.py [-v torch ...] [--update docs/capabilities.md]

Each of the 980 cells is a process of its own (those that cannot run are refused before they start).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from qparity.runner.probe import DEVICES, METHODS, Combination, Probed, probe
from qparity.scenario.variant import MODES
from qparity.summary.doctor import mark, reasons

# dtype, behind a trainable layer, wires, batch size
TRAININGS = (
    ("float64", False, 1, 1),
    ("float64", False, 3, 5),
    ("float64", True, 3, 5),
    ("float32", False, 3, 5),
    ("float32", True, 3, 5),
)
PACKAGES = ("keras", "pennylane", "pennylane-lightning", "tensorflow-cpu", "tensorflow", "torch", "jax", "numpy")
HEAD = """# What runs

Made by `python benchmarks/capability_matrix.py --update docs/capabilities.md`. On yours: `qparity doctor --matrix`.

Each sign stands for five trainings of the data re-uploading circuit: in float64 on 1 wire with batches of 1, in float64
and in float32 on 3 wires with batches of 5 (and a last batch of one), and these two behind a trainable Dense layer.
Each is a process of its own and judged at every step. ✓: all five are within rounding of the oracle (`spsa` samples its
gradient, and finite differences in float32 have no digits left: these are then not judged). –: all are refused, as said
below. ✗: all break or are wrong. Anything else is a count, and said below.
"""


def main() -> int:
    """Probe, print or write the page; exit code 1 if anything broke or is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-v", "--variant", action="append", choices=tuple(MODES))
    parser.add_argument("--trainings", type=int, default=len(TRAININGS), help="only so many of the five")
    parser.add_argument("--update", type=Path, help="file to write")
    options = parser.parse_args()
    variants = options.variant or list(MODES)
    start = time.perf_counter()
    combinations = [
        Combination(*place, wires, batch_size, dtype, behind)
        for place in product(DEVICES, METHODS, variants)
        for dtype, behind, wires, batch_size in TRAININGS[: options.trainings]
    ]
    cells = probe(combinations, {})
    text = page(cells, variants)
    if options.update:
        options.update.write_text(text, encoding="utf-8")
    print(
        text if not options.update else f"{len(cells)} cells in {time.perf_counter() - start:.0f} s: {options.update}"
    )
    return int(any(mark(cell) == "✗" for cell in cells))


def page(cells: list[Probed], variants: list[str]) -> str:
    """The Markdown page."""
    lines = [HEAD, "Versions: " + ", ".join(versions()) + ".", ""]
    marks: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell in cells:
        marks[place_of(cell)].append(mark(cell))
    resolved = {place_of(c)[:2]: c.resolved for c in cells if c.resolved}
    for device in DEVICES:
        lines += [
            f"## {device}",
            "",
            f"| | {' | '.join(f'`{v}`' for v in variants)} |",
            "|---" * (len(variants) + 1) + "|",
        ]
        for method in METHODS:
            signs = [sign(marks[device, method, variant]) for variant in variants]
            means = f" ({resolved[device, method]})" if method == "best" and (device, method) in resolved else ""
            lines.append(f"| {method}{means} | {' | '.join(signs)} |")
        lines.append("")
    lines += ["## Why not", ""]
    named = [
        replace(c, combination=replace(c.combination, variant=c.combination.variant + kind(c, marks))) for c in cells
    ]
    lines += [f"- {said}: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}" for said, names in reasons(named)]
    return "\n".join(lines) + "\n"


def place_of(cell: Probed) -> tuple[str, str, str]:
    """Where a cell is in the tables."""
    return cell.combination.device, cell.combination.diff_method, cell.combination.variant


def kind(cell: Probed, marks: dict[tuple[str, str, str], list[str]]) -> str:
    """Which of the trainings a cell is, where they do not all have the same sign."""
    if len(set(marks[place_of(cell)])) == 1:
        return ""
    about = cell.combination
    return f" {about.dtype}{' behind Dense' if about.behind else ''}, {about.wires} wires"


def sign(marks: list[str]) -> str:
    """One sign if all agree, else how many train."""
    return marks[0] if len(set(marks)) == 1 else f"{marks.count('✓')} of {len(marks)}"


def versions() -> list[str]:
    """The packages that matter, as installed here."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return [f"Python {sys.version.split()[0]}", *found]


if __name__ == "__main__":
    sys.exit(main())
