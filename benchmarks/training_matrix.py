"""Does the judge accuse a correct loss or optimizer, and does it find a fault in each? Real trainings on the backends.

    python benchmarks/training_matrix.py [--random 1000] [--variants torch tf-graph jax-jit] [--write]

Every loss with targets as numbers, signs, one-hot or classes, on probabilities and on logits; every optimizer plain,
with each learning-rate schedule, weight decay, every clipping, gradient accumulation, loss scaling and averages: all
that Keras accepts, in both precisions. In each a fault is planted once, on the first variant: it must be found at its
stage. `--random N` draws clean trainings from this space in place of going through it. In float64 a PRECISION-LEAK is
right where Keras computes in float32 (`LEAKS`). Exit code 1 on a false accusation or a fault that was not found.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qparity.oracle.optimizers import LAWS
from qparity.oracle.schedules import SCHEDULES
from qparity.records.plan import Place
from qparity.runner.begin import begin
from qparity.runner.cell import FAULT_VARIABLE
from qparity.runner.events import CellFinished
from qparity.runner.local import Options
from qparity.runner.sweep import sweep
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import Block
from qparity.scenario.losses import LOSSES
from qparity.scenario.schema import Scenario
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import judgements

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "training-matrix.md"
VARIANTS = ("torch", "tf-graph", "jax-jit")
LEAKS = {
    "torch": ("clipnorm", "global_clipnorm", "adafactor", "muon"),
    "jax-jit": ("adafactor", "muon", "cosine_decay"),
    "tf-graph": ("nadam", "schedule"),
}
"""Where Keras computes part of a float64 update in float32; each stands in docs/found.md."""


ABOUT = """
Trainings of two epochs, batches of 3, 3 and 1, of a circuit of two wires (`benchmarks/matrix_circuit.py`). Every loss
with targets as numbers, signs, one-hot or classes, on probabilities and on logits; every optimizer plain, with each
schedule, decay, clipping, gradient accumulation, loss scaling, and averages of weights: what Keras accepts of that. A
fault is a loss or a learning rate that is 1.05 times what it should be from step 1 on, in the first variant. Each
PRECISION-LEAK in float64 is where Keras itself computes in float32 ([found.md](found.md)); `diverged` in float32 is
Adafactor, which divides by a moment that has vanished, or Ftrl, which divides by a rate that a cosine took to zero. How
small an error is found: [detection-limits.md](detection-limits.md).
"""


DRAWN = "## Drawn at random\n"


class Case(NamedTuple):
    """One training: `what` it is of, how it is told, and the keys of its scenario."""

    what: str
    name: str
    keys: dict[str, Any]


def losses() -> Iterator[Case]:
    """Every loss with every kind of target and prediction that belongs to it."""
    for loss, kind in LOSSES.items():
        for targets in ("numbers", "signs", "one-hot", "classes"):
            for logits in (False, True) if "from_logits" in kind.options else (None,):
                keys = of_loss(loss, targets, logits)
                if keys:
                    told = {None: "", False: " of probabilities", True: " of logits"}[logits]
                    yield Case(loss, f"{loss} {targets}{told}", keys)


def of_loss(loss: str, targets: str, logits: bool | None) -> dict[str, Any] | None:
    """The keys of a loss on these targets; None where they do not belong together."""
    entropy, classes = logits is not None, loss == "sparse_categorical_crossentropy"
    binary = loss.startswith("binary")
    if loss == "energy" and targets != "numbers":
        return None
    if (entropy and targets in ("numbers", "signs")) or classes != (targets == "classes" and not binary):
        return None
    several = targets == "one-hot" or classes
    returns = ("several" if several else "one") + ("" if logits or loss in ("hinge", "squared_hinge") else " likely")
    data = {"name": "random", "features": 2} if targets == "numbers" else {"name": "moons", "labels": targets}
    options: dict[str, Any] = {} if logits is None else {"from_logits": logits}
    if "label_smoothing" in LOSSES[loss].options and logits:
        options |= {"label_smoothing": 0.1}
    return circuit(returns) | {
        "data": data | {"samples": 7},
        "training": {"loss": loss, **({"loss_options": options} if options else {})},
    }


def optimizers() -> Iterator[Case]:
    """Every optimizer with each of what an optimizer may do besides."""
    for name in LAWS:
        for told, optimizer, schedule in (
            ("plain", {}, None),
            *((f"schedule {each}", {}, schedule_of(each)) for each in SCHEDULES),
            ("decay", {"weight_decay": 0.01}, None),
            ("clipnorm", {"clipnorm": 0.1}, None),
            ("clipvalue", {"clipvalue": 0.05}, None),
            ("global_clipnorm", {"global_clipnorm": 0.1}, None),
            ("accumulation", {"gradient_accumulation_steps": 2}, None),
            ("loss scale", {"loss_scale_factor": 8.0}, None),
            ("averages", {"ema_overwrite_frequency": 2, "ema_momentum": 0.7}, None),
        ):
            training = {"optimizer": {"name": name, **optimizer}} | ({"schedule": schedule} if schedule else {})
            keys = circuit("one") | {"data": {"name": "random", "features": 2, "samples": 7}, "training": training}
            yield Case(name, f"{name} {told}", keys)


def schedule_of(name: str) -> dict[str, Any]:
    """A schedule that changes the rate within a few steps."""
    given = {
        "decay_steps": 8, "decay_rate": 0.7, "first_decay_steps": 3, "boundaries": [2, 4], "values": [0.1, 0.05, 0.02],
    }  # fmt: skip
    return {"name": name} | {key: given[key] for key in SCHEDULES[name].arguments if key in given}


def circuit(returns: str) -> dict[str, Any]:
    """Keys of `matrix_circuit.py`."""
    return {
        "circuit": "matrix_circuit:circuit",
        "circuit_options": {"returns": returns},
        "weight_shapes": {"weights": [2, 2, 3]},
        "wires": 2,
    }


def scenario(case: Case, dtype: str, number: int, seed: int, planted: bool) -> Scenario | None:
    """The scenario of a case; None where Keras, and so a scenario file, does not accept it."""
    training = {"batch_size": 3, "epochs": 2, **case.keys["training"]}
    name = f"{number:04d}-{'planted-' if planted else ''}{dtype}"
    try:
        return validate({**case.keys, "training": training, "name": name, "dtype": dtype, "seed": seed})
    except ScenarioError:
        return None


def drawn(rng: np.random.Generator, cases: list[Case]) -> Case:
    """A random training of the space: a loss, with an optimizer, and what it does besides."""
    of_losses, of_optimizers = ([c for c in cases if (c.what in LOSSES) == wanted] for wanted in (True, False))
    loss = of_losses[rng.integers(len(of_losses))]
    optimizer = of_optimizers[rng.integers(len(of_optimizers))]
    training = {**loss.keys["training"], **optimizer.keys["training"]}
    training["optimizer"] = {**training["optimizer"], "learning_rate": float(rng.choice([0.003, 0.03, 0.3]))}
    training |= {"batch_size": int(rng.integers(1, 6)), "epochs": int(rng.integers(1, 4))}
    return Case("random", f"{loss.name}, {optimizer.name}", {**loss.keys, "training": training})


class Fault(NamedTuple):
    """A fault of `qparity.worker.faults`, and the stage at which it must be found."""

    name: str
    stage: str


IN_LOSS, IN_UPDATE = Fault("loss-scaled", "loss"), Fault("learning-rate", "update")
Planned = list[tuple[Case, Scenario, Fault | None]]


def every_training(rng: np.random.Generator, every: int) -> Planned:
    """All cases in both precisions, clean and with a fault."""
    planned: Planned = []
    for number, case in enumerate([*losses(), *optimizers()][::every]):
        for dtype in ("float32", "float64"):
            for fault in (None, IN_LOSS if case.what in LOSSES else IN_UPDATE):
                made = scenario(case, dtype, number, int(rng.integers(2**31)), fault is not None)
                planned += [(case, made, fault)] if made else []
    return planned


def random_trainings(rng: np.random.Generator, count: int) -> Planned:
    """Clean trainings of the space."""
    cases = [*losses(), *optimizers()]
    planned: Planned = []
    for number in range(count):
        case, dtype = drawn(rng, cases), str(rng.choice(["float32", "float64"]))
        made = scenario(case, dtype, number, int(rng.integers(2**31)), False)
        planned += [(case, made, None)] if made else []
    return planned


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, metavar="N", help="so many clean trainings, drawn at random")
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="only each so many of the cases")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    planned = random_trainings(rng, options.random) if options.random else every_training(rng, options.every)
    os.environ[FAULT_VARIABLE] = json.dumps(
        [{"name": fault.name, "step": 1, "size": 0.05, "scenario": made.name} for _, made, fault in planned if fault]
    )
    folder = Path(tempfile.mkdtemp(prefix="qparity-matrix-"))
    shutil.copy(HERE / "matrix_circuit.py", folder)

    def variants_of(fault: Fault | None) -> tuple[Variant, ...]:
        names = [str(rng.choice(options.variants))] if options.random else options.variants
        return tuple(map(Variant.parse, names[:1] if fault else names))

    blocks = [Block(made, variants_of(fault), folder / "matrix.toml") for _, made, fault in planned]
    done = 0

    def listen(event: object) -> None:
        nonlocal done
        done += isinstance(event, CellFinished)
        if isinstance(event, CellFinished) and done % 50 == 0:
            print(f"{done} cells", file=sys.stderr, flush=True)

    run, made_blocks = begin(blocks, folder / "results", None, None, sys.argv, False)
    sweep(run, made_blocks, Options(jobs=options.jobs), listen)
    text, wrong = report(Run.load(run.path), planned)
    print(text)
    if options.write:
        write(text, bool(options.random))
    shutil.rmtree(folder)
    sys.exit(bool(wrong))


def write(text: str, drawn: bool) -> None:
    """Write a part of the page: the whole space, or the trainings drawn from it; the other part stays as it is."""
    made = f"`{' '.join(['python', *sys.argv])}` made this part (do not edit by hand)."
    there = PAGE.read_text(encoding="utf-8") if PAGE.exists() else f"# Every loss and optimizer\n{ABOUT}"
    whole, _, random = there.partition(DRAWN)
    if drawn:
        random = f"\n{made}\n\n{text}\n"
    else:
        whole = f"# Every loss and optimizer\n\n{made}\n\n{text}\n{ABOUT}"
    PAGE.write_text(whole.rstrip() + "\n" + (f"\n{DRAWN}{random.rstrip()}\n" if random else ""), encoding="utf-8")


def report(run: Run, planned: Planned) -> tuple[str, list[str]]:
    """The findings as Markdown, and what was wrong, a line each."""
    found = judgements(run)
    about = {made.name: (case, fault) for case, made, fault in planned}
    wrong: list[str] = []
    counts: dict[str, Counter[str]] = {}
    missed = detected = 0
    for place in run.planned():
        case, fault = about[place.scenario.name]
        judged, outcome = found.get(place.cell_id), run.outcome(place.cell_id)
        told = f"{case.name}, {place.scenario.dtype}, {place.variant}"
        if judged is None:
            status = outcome.status if outcome else "missing"
            verdict, reason = status, (outcome.reason or "") if outcome else ""
        else:
            verdict, reason = str(judged.verdict), judged.reason
        if fault:
            hit = verdict == "LOCAL-FAULT" and judged is not None and str(judged.stage) == fault.stage
            hit = hit or (verdict == "diverged" and of_keras(case, place, verdict))
            detected, missed = detected + hit, missed + (not hit)
            if not hit:
                wrong.append(f"MISSED {fault.name} in {told}: {verdict} {reason}")
            continue
        counts.setdefault(place.variant, Counter())[f"{place.scenario.dtype} {verdict}"] += 1
        if verdict != "ROUNDING" and not of_keras(case, place, verdict):
            accused = verdict.endswith(("FAULT", "LEAK"))
            wrong.append(f"{'FALSE' if accused else 'NOT JUDGED'} {told}: {verdict} {reason}")
    cells = sum(count.total() for count in counts.values())
    faults = f"; {detected} of {detected + missed} planted faults found at their stage" if detected + missed else ""
    lines = [f"{cells} clean cells{faults}.", ""]
    lines += ["| variant | " + " | ".join(kinds := sorted({k for c in counts.values() for k in c})) + " |"]
    lines += ["|---" * (len(kinds) + 1) + "|"]
    lines += [f"| {variant} | {' | '.join(str(c[k]) for k in kinds)} |" for variant, c in counts.items()]
    return "\n".join([*lines, "", *(f"- {line[:400]}" for line in wrong)]), wrong


def of_keras(case: Case, place: Place, verdict: str) -> bool:
    """Whether what was found is right: Keras computes in float32, or an optimizer divides by what has vanished.

    That is Adafactor's moment in float32, and Ftrl's learning rate where a schedule takes it to zero.
    """
    if verdict == "diverged" and "ftrl" in case.name and "cosine_decay" in case.name:
        return True
    if place.scenario.dtype == "float32":
        return verdict == "diverged" and "adafactor" in case.name
    return verdict == "PRECISION-LEAK" and any(key in case.name for key in LEAKS.get(place.variant, ()))


if __name__ == "__main__":
    main()
