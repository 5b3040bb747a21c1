"""Is a layer that one backend has wrong found, with its name and its direction? Faults of benchmarks/planted_models.py.

    python benchmarks/planted_faults.py [--faults mask dropout] [--variants tf-graph torch jax-jit] [--write]

Each fault is planted on each variant's backend in turn, in a model that is trained there for nine steps; a training of
the same model without the fault must pass. What is found of each cell: verdict, step, stage and tensor, as `check` has
them, then layer and direction, as `diagnose` has them. A fault counts as found where it is no pass, first seen no
earlier than it is there, and layer and direction are right, and the entry of the tensor where it is one. Exit code 1
on any that is not, and on any sound cell that is accused. `--write` makes docs/planted-faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qparity.diagnose import DiagnosisError, find
from qparity.diagnose.walk import BACKWARD, FORWARD, LayerFinding, walk
from qparity.parity import Judgement, Verdict
from qparity.runner.begin import begin
from qparity.runner.events import CellFinished
from qparity.runner.local import Options
from qparity.runner.pool import Pool
from qparity.runner.sweep import sweep
from qparity.scenario.load import Block
from qparity.scenario.schema import Scenario
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import judgements

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "planted-faults.md"
VARIANTS = ("tf", "tf-graph", "torch", "jax", "jax-jit")
BATCH, BATCHES, EPOCHS = 4, 3, 3
SOUND = "nowhere"


@dataclass(frozen=True)
class Fault:
    """What is planted, the direction it is wrong in, its words, the steps at which it shows, and the precisions."""

    name: str
    direction: str
    words: str
    steps: Sequence[int] = range(BATCHES * EPOCHS)
    dtypes: tuple[str, ...] = ("float32",)
    entry: str = ""
    """Of the tensor that is wrong, where it is one."""


FAULTS = (
    Fault(
        "gradient-scaled",
        BACKWARD,
        "a kernel's gradient × (1 + 1e-3), in float64 × (1 + 1e-6)",
        dtypes=("float32", "float64"),
    ),
    Fault("one-entry", BACKWARD, "the gradient of one entry of a kernel × 1.1", entry="kernel[1,2]"),
    Fault("running-mean", FORWARD, "a running mean moves by momentum, not by 1 - momentum"),
    Fault("transposed", FORWARD, "a weight is transposed"),
    Fault("derivative", BACKWARD, "an activation's derivative is wrong for negative input"),
    Fault("dropout", FORWARD, "what dropout keeps is not scaled"),
    Fault("mask", FORWARD, "a mask is ignored"),
    Fault("second-call", FORWARD, "a gate is wrong in the second call of a layer in a step, and in no other"),
    Fault("from-step-5", BACKWARD, "a kernel's gradient is doubled from step 5 on", range(5, BATCHES * EPOCHS)),
    Fault(
        "partial-batch",
        BACKWARD,
        "a kernel's gradient is doubled in partial batches, the last of an epoch",
        range(BATCHES - 1, BATCHES * EPOCHS, BATCHES),
    ),
)


Planted = tuple[Fault, str, str, bool]
"""Fault, precision, variant, and whether it is left out."""


@dataclass(frozen=True)
class Found:
    """What became of one training: `layer` where it was asked for."""

    fault: Fault
    dtype: str
    variant: str
    sound: bool
    judgement: Judgement | None
    reason: str
    layer: LayerFinding | None = None

    @property
    def right(self) -> bool:
        """Whether it was said as it is."""
        j = self.judgement
        if j is None or self.sound:
            return j is not None and j.verdict == Verdict.ROUNDING
        by_name = self.layer is not None and self.layer.layer == "planted"
        by_way = self.layer is not None and self.layer.direction == self.fault.direction
        convicted = j.verdict in (Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK)
        by_entry = self.layer is not None and str(self.layer.tensor).endswith(self.fault.entry)
        return convicted and j.step in self.fault.steps and by_name and by_way and by_entry

    @property
    def words(self) -> str:
        """In one line."""
        j, layer = self.judgement, self.layer
        if j is None or self.sound or layer is None:
            return self.reason
        nth = f", call {layer.nth}" if layer.nth > 1 else ""
        return f"{j.verdict} step {j.step} {j.stage} `{j.tensor}`: {layer.layer} {layer.direction}{nth}, {layer.tensor}"


def main() -> None:
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", choices=names, default=names, metavar="FAULT")
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if fault.name in options.faults]
    with tempfile.TemporaryDirectory(prefix="qparity-planted-") as folder:
        seen = found(Path(folder), planted(chosen, options.variants), options.jobs)
    print(text := page(seen))
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    wrong = [each for each in seen if not each.right]
    for each in wrong:
        print(f"{each.fault.name}, {each.dtype}, {each.variant}{', sound' * each.sound}: {each.words}", file=sys.stderr)
    sys.exit(bool(wrong))


def planted(faults: Sequence[Fault], variants: Sequence[str]) -> list[Planted]:
    """Each fault on each variant, and the same without it."""
    return [
        (fault, dtype, variant, sound)
        for fault in faults
        for dtype in fault.dtypes
        for variant in variants
        for sound in (True, False)
    ]


def found(folder: Path, trainings: Sequence[Planted], jobs: int | None = None) -> list[Found]:
    """Train all, judge them, and ask for the layer of what is wrong; `folder` is to have the run."""
    shutil.copy(HERE / "planted_models.py", folder)
    by_scenario: dict[str, tuple[Scenario, list[Variant]]] = {}
    about: dict[tuple[str, str], tuple[Fault, str, bool]] = {}
    for fault, dtype, name, sound in trainings:
        variant = Variant.parse(name)
        made = scenario(fault, dtype, SOUND if sound else variant.backend)
        by_scenario.setdefault(made.name, (made, []))[1].append(variant)
        about[made.name, str(variant)] = fault, dtype, sound
    blocks = [Block(made, tuple(variants), folder / "planted.toml") for made, variants in by_scenario.values()]
    done = 0

    def listen(event: object) -> None:
        nonlocal done
        if isinstance(event, CellFinished):
            done += 1
            print(f"{done} of {len(about)} cells", file=sys.stderr, flush=True)

    run, to_do = begin(blocks, folder / "results", None, None, sys.argv, False)
    sweep(run, to_do, Options(jobs=jobs), listen)
    return asyncio.run(examined(Run.load(run.path), about))


async def examined(run: Run, about: dict[tuple[str, str], tuple[Fault, str, bool]]) -> list[Found]:
    """Each cell as it was judged, and the layer of those that did not pass."""
    judged = judgements(run)
    seen = []
    async with Pool(run.logs(), 1, {}) as pool:
        for place in run.planned():
            fault, dtype, sound = about[place.scenario.name, str(place.variant)]
            outcome, judgement = run.outcome(place.cell_id), judged.get(place.cell_id)
            layer = None
            if judgement is None:
                reason = f"{outcome.status}: {outcome.reason}" if outcome else "missing"
            else:
                reason = judgement.reason
            if judgement is not None and not sound:
                try:
                    layer = await walk(pool, run, find(run, f"{place.scenario.name}/{place.variant}", trust=True))
                except DiagnosisError as error:
                    reason = str(error)
            seen.append(Found(fault, dtype, str(place.variant), sound, judgement, reason, layer))
    return seen


def scenario(fault: Fault, dtype: str, where: str) -> Scenario:
    """Ten samples in batches of four, three times."""
    return Scenario.model_validate(
        {
            "name": f"{fault.name}-{dtype}-{where}",
            "model": "planted_models:build",
            "circuit_options": {"fault": fault.name, "where": where},
            "dtype": dtype,
            "data": {"name": "random", "features": 4, "samples": BATCH * (BATCHES - 1) + BATCH // 2},
            "training": {
                "batch_size": BATCH,
                "epochs": EPOCHS,
                "optimizer": {"name": "sgd", "learning_rate": 0.05},
            },
        }
    )


def page(seen: Sequence[Found]) -> str:
    """The table as Markdown."""
    guilty = [each for each in seen if not each.sound]
    sound = [each for each in seen if each.sound]
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in guilty:
        row = (each.fault.words, each.dtype, "MISSED: " * (not each.right) + each.words)
        alike.setdefault(row, []).append(each.variant)
    rows = [
        f"| {words} | {dtype} | {', '.join(variants)} | {said} |" for (words, dtype, said), variants in alike.items()
    ]
    return TEXT.format(
        found=sum(each.right for each in guilty),
        guilty=len(guilty),
        accused=sum(not each.right for each in sound),
        sound=len(sound),
        rows="\n".join(rows),
    )


TEXT = """# Planted faults

Layers that one backend has wrong (`benchmarks/planted_models.py`), planted on each backend in turn in a model that is
trained for nine steps, in batches of 4, 4 and 2; made by `python benchmarks/planted_faults.py --write` (do not edit by
hand). {found} of {guilty} found with their layer, `planted`, and their direction; of the same {sound} trainings without
a fault {accused} did not pass.

| fault | precision | variants | found: verdict, step, stage, tensor; layer and direction, and what of it |
|---|---|---|---|
{rows}

No other backend is there to compare with. Verdict, step, stage and tensor are those of
`qparity check`; layer and direction those of `qparity diagnose`, which walks the model at the step that was found. A
tensor need not be of the layer that is wrong: what an activation hands back wrongly is seen at the weights before it.
An error of 1e-6 in a float64 program may be one that float32 makes, and is called a precision leak. The reference
judges eight of the nine steps, so that a fault of step 5 may be seen at step 6.
"""

if __name__ == "__main__":
    main()
