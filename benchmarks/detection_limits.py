"""How small an error does the gate still catch? Faults of shrinking size in a real worker, until one is missed.

    python benchmarks/detection_limits.py [--only circuits|kinds|models|trainings] [--write]

For each fault with a size: the smallest relative size, on a grid of half decades, at which it is found at its own
stage in all of 8 trainings with different seeds, and in float64 also the smallest at which all 8 are called a fault
and not a precision leak (an error below float32's rounding cannot be told from one). Those of circuits, and of kinds
of circuits (benchmarks/limits_circuits.py), are judged by the oracle, those of benchmarks/limits_models.py by the
reference, those of every loss and optimizer by the law of an optimizer and the reference's of a loss. `--write` makes
docs/detection-limits.md; the search starts from the limits that stand there, and those that were not searched for stay.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limits_circuits import SHAPES, WORDS
from training_matrix import HERE, LEAKS, losses, optimizers

from qparity.runner.cell import FAULT_VARIABLE
from qparity.runner.local import Options
from qparity.runner.plan import make_blocks, to_plan
from qparity.runner.sweep import sweep
from qparity.scenario.load import Block
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import judgements

PAGE = HERE.parent / "docs" / "detection-limits.md"
SEEDS = 8
COLUMNS = (("float32", False), ("float64", False), ("float64", True))
"""Precision, and whether nothing but a LOCAL-FAULT counts."""
USUAL = ("3e-5", "3e-13", "3e-5")
SIZES = [10.0 ** (-k / 2) for k in range(33)]  # 1 to 1e-16
STEP = 2


@dataclass(frozen=True)
class Knob:
    """A fault, its stage, what its size means, and the size that the worker is given.

    Of `qparity.worker.faults`, or where `model` is set of that kind of limits_models.py. `keys` are the
    scenario's, of the training that is named `of`.
    """

    fault: str
    stage: str
    words: str
    size: Callable[[float], float] = lambda relative: relative
    model: str = ""
    of: str = ""
    keys: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """As the page and scenarios have it."""
        return "-".join(filter(None, (self.of, self.model, self.fault)))

    @property
    def first(self) -> int:
        """The step from which on the fault is there."""
        return 0 if self.model else STEP


def circuit_keys(kind: str) -> dict[str, Any]:
    """The keys of a scenario with a circuit of limits_circuits.py, which trains as the other circuits do."""
    return {
        "circuit": f"limits_circuits:{kind}",
        "weight_shapes": SHAPES,
        "wires": 2,
        "device": "default.mixed" if kind in ("noisy", "information") else "default.qubit",
        "diff_method": "backprop",
        "data": {"name": "random", "features": 2},
        "training": {"optimizer": {"name": "adam", "learning_rate": 0.03}},
    }


CIRCUITS = (
    Knob("forward-scaled", "forward", "predictions × (1 + s)"),
    Knob("loss-scaled", "loss", "loss × (1 + s)"),
    Knob("gradient-scaled", "gradient", "all gradients × (1 + s)"),
    Knob("gradient-one-scaled", "gradient", "the largest gradient × (1 + s)"),
    Knob("learning-rate", "update", "learning rate × (1 + s)"),
    Knob("adam-beta-2", "update", "Adam: 1 - beta_2 × (1 + s)", lambda s: 1 - 0.001 * (1 + s)),
    Knob("adam-epsilon", "update", "Adam: epsilon × (1 + s)", lambda s: 1e-7 * (1 + s)),
)
KINDS = {
    "dense": "Dense (tanh), Dense (sigmoid), Dense",
    "convolution": "Conv2D (relu), MaxPooling2D, Dense",
    "normalised": "Dense, BatchNormalization, relu, Dense",
    "hybrid": "Dense (tanh), a circuit of two wires, Dense",
}
MODELS = tuple(
    Knob(fault, stage, words, model=kind)
    for kind, layers in KINDS.items()
    for fault, stage, words in (
        ("gradient", "gradient", f"{layers}: the first kernel's gradient × (1 + s)"),
        ("predictions", "forward", f"{layers}: predictions × (1 + s)"),
    )
)
CIRCUIT_KINDS = tuple(
    Knob(fault, stage, f"{words}: {what} × (1 + s)", of=kind, keys=circuit_keys(kind))
    for kind, words in WORDS.items()
    for fault, stage, what in (
        ("forward-scaled", "forward", "predictions"),
        ("gradient-one-scaled", "gradient", "the largest gradient"),
    )
)
LOSSES = tuple(
    Knob("loss-scaled", "loss", f"{case.name}: loss × (1 + s)", of=case.what, keys=case.keys)
    for case in {case.what: case for case in losses()}.values()
)
OPTIMIZERS = tuple(
    Knob("learning-rate", "update", "learning rate × (1 + s)", of=case.what, keys=case.keys)
    for case in optimizers()
    if case.name == f"{case.what} plain"
)
KNOBS = {"circuits": CIRCUITS, "kinds": CIRCUIT_KINDS, "models": MODELS, "trainings": LOSSES + OPTIMIZERS}


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


def row(knob: Knob) -> str | None:
    """The line on the page as it stands."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line.startswith(f"| `{knob.name}` |")), None)


def standing(knob: Knob, column: int) -> int:
    """The limit on the page, as an index of SIZES; where there is none, what most of the others are near."""
    line = row(knob)
    words = [word(index) for index in range(len(SIZES))]
    found = line.split("|")[4 + column].strip() if line else ""
    return words.index(found) if found in words else words.index(USUAL[column])


def main() -> None:
    """Search, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    parser.add_argument("--only", choices=KNOBS, help="leave the other table as it stands")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings that must all show the fault")
    options = parser.parse_args()
    searches = [
        Search(k, d, s, number, standing(k, column))
        for number, k in enumerate(KNOBS[options.only] if options.only else sum(KNOBS.values(), ()))
        for column, (d, s) in enumerate(COLUMNS)
        if (d, s) != COLUMNS[1] or k.of not in LEAKS["torch"]  # there the sound training is a leak
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
            size = search.knob.size(SIZES[search.middle])
            scenarios[name] = scenario(name, search, 100 * search.number + seed, size)
            if not search.knob.model:
                faults.append({"name": search.knob.fault, "step": STEP, "size": size, "scenario": name})
    os.environ[FAULT_VARIABLE] = json.dumps(faults)
    blocks = make_blocks([Block(s, (variant(s),), HERE / "limits.toml") for s in scenarios.values()])
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
        stage, first = search.knob.stage, search.knob.first
        if all(j.verdict in verdicts and j.stage == stage and (j.step or 0) >= first for j in mine):
            search.good = middle
        else:
            search.bad = middle


def cell_name(search: Search, seed: int) -> str:
    """A scenario's name: one fault, size and seed."""
    return f"{search.knob.name}-{search.dtype}-{'strict-' if search.strict else ''}{search.middle}-{seed}"


def variant(made: Scenario) -> Variant:
    """Where it runs: Keras' Dense keeps float64 on TensorFlow, and on torch it does not."""
    return Variant.parse("tf" if made.model else "torch")


def scenario(name: str, search: Search, seed: int, size: float) -> Scenario:
    """Sixteen Adam steps of a re-uploading circuit on two wires; of a model four steps of SGD."""
    made: dict[str, Any] = {"name": name, "dtype": search.dtype, "seed": seed}
    if search.knob.model:
        made |= {
            "model": "limits_models:build",
            "circuit_options": {"kind": search.knob.model, "fault": search.knob.fault, "size": size},
            "data": {"name": "random", "features": 16, "samples": 16},
        }
        training: dict[str, Any] = {"epochs": 2, "optimizer": {"name": "sgd", "learning_rate": 0.05}}
    elif search.knob.keys:
        given = search.knob.keys
        made |= given | {"data": given["data"] | {"samples": 16}}
        training = {"epochs": 4, **given["training"]}
    else:
        made |= {"wires": 2, "layers": 2, "data": {"samples": 16}}
        training = {"epochs": 8, "optimizer": {"name": "adam", "learning_rate": 0.03}}
    return Scenario.model_validate(made | {"training": training | {"batch_size": 8}})


def page(searches: Sequence[Search], seeds: int, jury: Sequence[str] | None = None) -> str:
    """The page as Markdown; what was not searched for keeps its line, and so does what jury_limits.py has found."""
    if jury is None:
        jury = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `jury-")]
    tables = {"jury": "\n".join(jury)}
    for table, knobs in KNOBS.items():
        lines = []
        for knob in knobs:
            mine = {(search.dtype, search.strict): search.limit for search in searches if search.knob == knob}
            limits = " | ".join(mine.get(column, "-") for column in COLUMNS)
            made = f"| `{knob.name}` | {knob.stage} | {knob.words} | {limits} |" if mine else row(knob)
            lines.append(made or f"| `{knob.name}` | {knob.stage} | {knob.words} | - | - | - |")
        tables[table] = "\n".join(lines)
    return TEXT.format(**tables, seeds=seeds)


TEXT = """# Detection limits

How small an error the gate still finds, measured on real workers by `python benchmarks/detection_limits.py --write`
(do not edit by hand). The number is the smallest relative size *s* (on a grid of half decades) that is found at its
own stage in all of {seeds} trainings with different seeds.

## Circuits, judged by the oracle

Each fault is injected from step 2 on into trainings on torch: a re-uploading circuit on two wires, two layers, batches
of 8, 16 Adam steps.

| fault | stage | what it does | float32 | float64 | float64, told from a leak |
|---|---|---|---|---|---|
{circuits}

The last column: an error below float32's rounding is found in a float64 program, but named PRECISION-LEAK, since its
size cannot tell it from one; from this size on all {seeds} are LOCAL-FAULT.

An epsilon matters only where gradients are as small as it is, and a beta only as far as gradients change: their
limits depend on the training more than the others do. Faults without a size (sign, order, wire, gate, sample, axis,
step counter, ...) are found always; `tests/integration/test_faults.py` holds every one to its exact variant, step and
stage.

## Kinds of circuits, judged by the oracle

The same faults in circuits of two wires and six weights with one thing more, or measured in another way
(`benchmarks/limits_circuits.py`), by backprop on torch, eight steps.

| circuit, fault | stage | what it does | float32 | float64 | float64, told from a leak |
|---|---|---|---|---|---|
{kinds}

## Losses and optimizers

The same faults, from step 2 on, in a circuit of two wires on torch, batches of 8, eight steps: the loss of every loss
(of the last kind of targets and predictions that it takes), judged by the reference but for `mse` and `energy`, and the
learning rate of every optimizer, judged by its law.

| training, fault | stage | what it does | float32 | float64 | float64, told from a leak |
|---|---|---|---|---|---|
{trainings}

An optimizer whose step does not depend on the gradient's size (sign, Muon's orthogonal factor) or on differences of
averages has a bound that is wider by what can be lost there. `-` stands where Keras itself computes a float64 update in
float32 on torch, so that the sound training is a leak already.

## Whole models, judged by the reference

An error in a model's own code (`benchmarks/limits_models.py`), there from the first step on; batches of 8, four steps
of SGD on TensorFlow (eager), all of them judged.

| fault | stage | what it does | float32 | float64 | float64, told from a leak |
|---|---|---|---|---|---|
{models}

The reference allows 24 roundings of everything that a number depends on, and compares a gradient along one random
direction a step: its limits are above the oracle's, which knows a circuit's operations one by one. Errors without a
size, in layers: [planted-faults.md](planted-faults.md).

## Whole models, judged by a jury

What other backends find where nothing independent can judge (`python benchmarks/jury_limits.py --write`, on cells of
[correct random models](clean-models.md) of which the reference said nothing): one recorded tensor of a cell
that passes is scaled by 1 + s at all steps, and judged again. The smallest s from which on two jurors convict the cell
of that tensor, in half, nine tenths and all of so many tensors.

| tensor | precision | tensors | half | nine tenths | all |
|---|---|---|---|---|---|
{jury}

A jury allows 24 roundings of everything as the reference does, and as much for a gradient as rounding the model's
largest gradient takes: a small one beside it is known less well.
"""

if __name__ == "__main__":
    main()
