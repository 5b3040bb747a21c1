"""What runs here: every variant x device x diff method x {1, 3} wires x batches of {1, 5}, trained and judged.

    python benchmarks/capability_matrix.py [-v torch ...] [--update docs/capabilities.md]

Each of the 784 cells is a process of its own (the 112 of tf-xla that cannot run are refused before they start).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.runner.probe import DEVICES, METHODS, Combination, probe
from harness.scenario.variant import MODES
from harness.summary.doctor import mark, reasons

WIRES, BATCHES = (1, 3), (1, 5)
PACKAGES = ("keras", "pennylane", "pennylane-lightning", "tensorflow-cpu", "tensorflow", "torch", "jax", "numpy")
HEAD = """# What runs

Made by `python benchmarks/capability_matrix.py --update docs/capabilities.md`. On yours: `qparity doctor --matrix`.

Each sign stands for four trainings of the data re-uploading circuit in float64, on {wires} wires with batches of
{batches} (and a last batch of one), each in a process of its own and judged at every step. ✓: all four are within
rounding of the oracle (`spsa` samples its gradient, which is then not judged). –: all are refused, as said below.
✗: all break or are wrong. Anything else is a count.
"""


def main() -> int:
    """Probe, print or write the page; exit code 1 if anything broke or is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-v", "--variant", action="append", choices=tuple(MODES))
    parser.add_argument("--update", type=Path, help="file to write")
    options = parser.parse_args()
    variants = options.variant or list(MODES)
    start = time.perf_counter()
    cells = probe([Combination(*each) for each in product(DEVICES, METHODS, variants, WIRES, BATCHES)], {})
    text = page(cells, variants)
    if options.update:
        options.update.write_text(text, encoding="utf-8")
    print(
        text if not options.update else f"{len(cells)} cells in {time.perf_counter() - start:.0f} s: {options.update}"
    )
    return int(any(mark(cell) == "✗" for cell in cells))


def page(cells: list[dict[str, Any]], variants: list[str]) -> str:
    """The Markdown page."""
    lines = [HEAD.format(wires=" and ".join(map(str, WIRES)), batches=" and ".join(map(str, BATCHES)))]
    lines += ["Versions: " + ", ".join(versions()) + ".", ""]
    marks: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell in cells:
        marks[cell["device"], cell["diff_method"], cell["variant"]].append(mark(cell))
    resolved = {(c["device"], c["diff_method"]): c["resolved"] for c in cells if c["resolved"]}
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
    lines += [f"- {said}: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}" for said, names in reasons(cells)]
    return "\n".join(lines) + "\n"


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
