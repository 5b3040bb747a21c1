"""What judging a whole model costs beside recording it: cells of a hybrid with the reference and without, in turns.

    python benchmarks/audit_cost.py [-k dressed] [--variants tf-graph torch jax-jit] [--rounds 3]

Each round sweeps a scenario of scenarios/hybrids.toml on one variant after the other, with the reference and without
it, the order changing from round to round. What is printed is the least of all rounds, since others may use the
machine: wall time of the audit and of the reference's work on the cell, and processor time of the whole sweep with all
that it starts, imports too. Without it the reference is still asked what circuit the model has, as for every cell.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections import defaultdict
from pathlib import Path
from unittest import mock

import qparity
from qparity.records import Outcome
from qparity.runner import cell as running

FILE = Path(__file__).resolve().parent.parent / "scenarios" / "hybrids.toml"
VARIANTS = ("tf-graph", "torch", "jax-jit")
HEAD = """\
| scenario | variant | audit, s | reference, s | steps | both / audit | sweep, CPU s | without it | ratio |
|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="dressed", help="which scenario")
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    steps: dict[tuple[str, str], str] = {}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="qparity-cost-") as folder:
        for number in range(options.rounds):
            for variant in options.variants:
                for judged in (True, False) if number % 2 else (False, True):
                    processor, outcome = swept(Path(folder), options.k, variant, judged)
                    name = str(outcome.scenario.name), variant
                    found = seconds[name]
                    found["with" if judged else "without"].append(processor)
                    found["audit"].append(outcome.phases["audit_s"] or 0.0)
                    if judged:
                        found["reference"].append(outcome.reference.wall_s or 0.0)
                        steps[name] = f"{outcome.reference.steps} of {outcome.reference.of}"
    least = {name: {kind: min(each) for kind, each in found.items()} for name, found in seconds.items()}
    print(HEAD)
    for name, found in least.items():
        print(row(name, steps[name], found))
    kinds = next(iter(least.values()))
    print(row(("all", ""), "", {kind: sum(found[kind] for found in least.values()) for kind in kinds}))
    print(f"\nload before and after: {before:.1f}, {os.getloadavg()[0]:.1f}")


def row(name: tuple[str, str], steps: str, least: dict[str, float]) -> str:
    """A line of the table."""
    audit, reference, whole, plain = (least[kind] for kind in ("audit", "reference", "with", "without"))
    judged = f"{audit:.2f} | {reference:.2f} | {steps} | {(audit + reference) / audit:.2f}"
    return f"| {name[0]} | {name[1]} | {judged} | {whole:.1f} | {plain:.1f} | {whole / plain:.2f} |"


def swept(folder: Path, chosen: str, variant: str, judged: bool) -> tuple[float, Outcome]:
    """Seconds of processor time that a sweep of one cell used, and the cell's outcome."""
    before = used()
    with mock.patch.object(running, "wanted", running.wanted if judged else lambda *_: False):
        run = qparity.run(FILE, variants=[variant], keep=chosen, results=folder, timing=False, jobs=1, progress=False)
    (outcome,) = run.outcomes().values()
    return used() - before, outcome


def used() -> float:
    """Processor seconds of this process and of all that it has started and seen the end of."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


if __name__ == "__main__":
    main()
