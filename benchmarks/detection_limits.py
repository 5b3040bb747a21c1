"""How small an error does the gate still catch? Faults of shrinking size in the real torch worker, until one is missed.

    python benchmarks/detection_limits.py [--write]

For each fault with a size: the smallest relative size, on a grid of half decades, at which it is found at its own
stage in all of 8 trainings with different seeds, and in float64 also the smallest at which all 8 are called a fault
and not a precision leak (an error below float32's rounding cannot be told from one). `--write` makes
docs/detection-limits.md; the search starts from the limits that stand there.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qparity.runner.cell import FAULT_VARIABLE
from qparity.runner.local import Options
from qparity.runner.plan import make_blocks, to_plan
from qparity.runner.sweep import sweep
from qparity.scenario.load import Block
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import judgements

PAGE = Path(__file__).parents[1] / "docs" / "detection-limits.md"
SEEDS = 8
SIZES = [10.0 ** (-k / 2) for k in range(33)]  # 1 to 1e-16
STEP = 2


@dataclass(frozen=True)
class Knob:
    """A fault of `qparity.worker.faults`, its stage, what its size means, and the size that the worker is given."""

    fault: str
    stage: str
    words: str
    size: Callable[[float], float] = lambda relative: relative


KNOBS = (
    Knob("forward-scaled", "forward", "predictions × (1 + s)"),
    Knob("loss-scaled", "loss", "loss × (1 + s)"),
    Knob("gradient-scaled", "gradient", "all gradients × (1 + s)"),
    Knob("gradient-one-scaled", "gradient", "the largest gradient × (1 + s)"),
    Knob("learning-rate", "update", "learning rate × (1 + s)"),
    Knob("adam-beta-2", "update", "Adam: 1 - beta_2 × (1 + s)", lambda s: 1 - 0.001 * (1 + s)),
    Knob("adam-epsilon", "update", "Adam: epsilon × (1 + s)", lambda s: 1e-7 * (1 + s)),
)


@dataclass
class Search:
    """One limit: `good` is the last index of SIZES known to be caught (-1: none yet), `bad` the first that is not."""

    knob: Knob
    dtype: str
    strict: bool
    number: int
    guess: int = len(SIZES) // 2
    good: int = -1
    bad: int = len(SIZES)

    @property
    def middle(self) -> int | None:
        """The index to try next, or None when the limit is known: first the guess, then step by step away from it."""
        if self.bad - self.good <= 1:
            return None
        if self.good < 0:
            return min(self.guess, self.bad - 1)
        return max(self.guess, self.good + 1) if self.bad == len(SIZES) else self.bad - 1

    @property
    def limit(self) -> str:
        """The limit in words."""
        return word(self.good)


def word(index: int) -> str:
    """A size as the page writes it."""
    return "none up to 1" if index < 0 else f"{SIZES[index]:.0e}".replace("e-0", "e-")


def standing(fault: str, column: int) -> int:
    """The limit on the page, as an index of SIZES; the middle where there is none."""
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if f"| `{fault}` |" in line]
    words = [word(index) for index in range(len(SIZES))]
    found = rows[0][4 + column].strip() if rows else ""
    return words.index(found) if found in words else len(SIZES) // 2


def main() -> None:
    """Search, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings that must all show the fault")
    options = parser.parse_args()
    columns = (("float32", False), ("float64", False), ("float64", True))
    searches = [
        Search(k, d, s, number, standing(k.fault, column))
        for number, k in enumerate(KNOBS)
        for column, (d, s) in enumerate(columns)
    ]
    for strict in (False, True):  # one after the other: the same seeds are the same cells, and a sweep has each once
        while pending := [s for s in searches if s.strict == strict and s.middle is not None]:
            probe(pending, options.seeds)
    table = page(searches, options.seeds)
    print(table)
    if options.write:
        PAGE.write_text(table, encoding="utf-8")


def probe(searches: Sequence[Search], seeds: int) -> None:
    """One sweep: every search tries the middle of what is left to it, on all seeds."""
    scenarios, faults = {}, []
    for search in searches:
        assert search.middle is not None
        for seed in range(seeds):
            name = cell_name(search, seed)
            scenarios[name] = scenario(name, search.dtype, 100 * search.number + seed)
            size = search.knob.size(SIZES[search.middle])
            faults.append({"name": search.knob.fault, "step": STEP, "size": size, "scenario": name})
    os.environ[FAULT_VARIABLE] = json.dumps(faults)
    blocks = make_blocks([Block(s, (Variant.parse("torch"),), Path("limits.toml")) for s in scenarios.values()])
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder), to_plan(blocks).to_dict(), {}, [])
        sweep(run, blocks, Options())
        run = Run.load(run.path)
        found = judgements(run)
        judged = {place.scenario.name: found[place.cell_id] for place in run.planned()}
    for search in searches:
        middle = search.middle
        assert middle is not None
        mine = [judged[cell_name(search, seed)] for seed in range(seeds)]
        verdicts = ("LOCAL-FAULT",) if search.strict else ("LOCAL-FAULT", "PRECISION-LEAK")
        if all(j.verdict in verdicts and j.stage == search.knob.stage and (j.step or 0) >= STEP for j in mine):
            search.good = middle
        else:
            search.bad = middle


def cell_name(search: Search, seed: int) -> str:
    """A scenario's name: one fault, size and seed."""
    return f"{search.knob.fault}-{search.dtype}-{'strict-' if search.strict else ''}{search.middle}-{seed}"


def scenario(name: str, dtype: str, seed: int) -> Scenario:
    """Sixteen Adam steps of a re-uploading circuit on two wires."""
    training = {"batch_size": 8, "epochs": 8, "optimizer": {"name": "adam", "learning_rate": 0.03}}
    return Scenario.model_validate(
        {
            "name": name,
            "wires": 2,
            "layers": 2,
            "dtype": dtype,
            "seed": seed,
            "data": {"samples": 16},
            "training": training,
        }
    )


def page(searches: Sequence[Search], seeds: int) -> str:
    """The table as Markdown."""
    rows = []
    for knob in KNOBS:
        limits = " | ".join(search.limit for search in searches if search.knob == knob)
        rows.append(f"| `{knob.fault}` | {knob.stage} | {knob.words} | {limits} |")
    return TEXT.format(rows="\n".join(rows), seeds=seeds)


TEXT = """# Detection limits

How small an error the gate still finds, measured on the real torch worker by `python benchmarks/detection_limits.py
--write` (do not edit by hand). Each fault is injected from step 2 on into {seeds} trainings with different seeds: a
re-uploading circuit on two wires, two layers, batches of 8, 16 Adam steps. The number is the smallest relative size
*s* (on a grid of half decades) that is found at its own stage in all {seeds}.

| fault | stage | what it does | float32 | float64 | float64, told from a leak |
|---|---|---|---|---|---|
{rows}

The last column: an error below float32's rounding is found in a float64 program, but named PRECISION-LEAK, since its
size cannot tell it from one; from this size on all {seeds} are LOCAL-FAULT.

An epsilon matters only where gradients are as small as it is, and a beta only as far as gradients change: their
limits depend on the training more than the others do. Faults without a size (sign, order, wire, gate, sample, axis,
step counter, ...) are found always; `tests/integration/test_faults.py` holds every one to its exact variant, step and
stage.
"""

if __name__ == "__main__":
    main()
