"""Does the judge ever accuse a correct model? Random hybrid models on the real backends: false accusations must be 0.

    python benchmarks/clean_models.py --models 300 [--first 0] [--variants tf torch jax-jit] [--one-dtype] [--jury]

Models of benchmarks/random_model.py: skip connections, two heads, shared and frozen quantum layers, patches,
normalisation, convolution, pooling, attention, LSTM, activity penalties, regularizers, losses of their own. In float32
every verdict that finds something is a false accusation. In float64 Keras itself computes parts in float32 (means and
products on torch, means and tanh on JAX, Python floats such as a regularizer's on TensorFlow): a PRECISION-LEAK by
far is right there; a narrow one is a false accusation, unless a layer of the model by itself leaks by far. Prints
what was judged by what, and how much of their judge's tolerance correct models use; exit code 1 on any false
accusation. `--jury` leaves the reference out, as if no model could run on NumPy: then other backends judge.
`--write` makes docs/clean-models.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qparity.diagnose import find
from qparity.diagnose.walk import LayerFinding, walk
from qparity.parity import Observation
from qparity.parity.audit import audit
from qparity.parity.comparison import REFERENCE
from qparity.parity.testimony import heard_of
from qparity.runner import cell
from qparity.runner.begin import begin
from qparity.runner.events import CellFinished
from qparity.runner.inputs import Inputs
from qparity.runner.local import Options
from qparity.runner.plan import Block
from qparity.runner.pool import Pool
from qparity.runner.reference import References
from qparity.runner.sweep import sweep
from qparity.scenario.load import load_files
from qparity.store import Run
from qparity.summary.judging import judge_block, observations_of

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "clean-models.md"
TOML = """
model = "random_model:build"
variants = {variants}
data = {{ name = "random", features = 4, samples = 7 }}
training = {{ batch_size = 3, epochs = 1, optimizer = {{ name = "{optimizer}", learning_rate = 0.05 }} }}
[matrix]
circuit_options = [{numbers}]
dtype = ["{dtype}"]
"""
CLEARLY = 100
"""Times its tolerance that a number computed in float32 is off at the least: float32 is 29 bits coarser."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take only each so many of these models")
    parser.add_argument("--variants", nargs="+", default=["tf", "torch", "jax-jit"])
    parser.add_argument("--one-dtype", action="store_true", help="two models of three in float32, the third in float64")
    parser.add_argument("--jobs", type=int, help="cells side by side (default: as many as have cores)")
    parser.add_argument("--keep", type=Path, help="keep the run folder here; what is there goes on")
    parser.add_argument("--report", nargs="+", type=Path, help="train nothing; what these kept folders say together")
    parser.add_argument("--jury", action="store_true", help="leave the reference out: other backends judge")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.report:
        text, bad = report([Run.load(path) for folder in options.report for path in (folder / "results").glob("*")])
        print(text)
        sys.exit(bool(bad))
    if options.jury:
        cell.consult = _read_circuits_alone
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
    folder = options.keep or Path(tempfile.mkdtemp(prefix="qparity-models-"))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "random_model.py", folder)
    numbers = range(options.first, options.first + options.models, options.every)
    files = []
    kinds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n in numbers:
        for dtype in ("float32", "float64"):
            if not options.one_dtype or (n % 3 == 2) == (dtype == "float64"):
                kinds["sgd" if n % 2 else "adam", dtype].append(n)
    for (optimizer, dtype), mine in kinds.items():
        files.append(folder / f"{optimizer}-{dtype}.toml")
        listed = ", ".join(f"{{ number = {n} }}" for n in mine)
        text = TOML.format(variants=options.variants, optimizer=optimizer, numbers=listed, dtype=dtype)
        files[-1].write_text(text)
    results = folder / "results"
    begun = sorted(path.name for path in results.glob("*")) if results.is_dir() else []
    run, blocks = begin(load_files(files), results, begun[-1] if begun else None, None, sys.argv, False)
    done = 0

    def listen(event: object) -> None:
        nonlocal done
        if isinstance(event, CellFinished):
            done += 1
            if done % 50 == 0:
                print(f"{done} cells", file=sys.stderr, flush=True)

    with contextlib.suppress(KeyboardInterrupt):  # what there is is reported all the same
        sweep(run, blocks, Options(jobs=options.jobs), listen)
    text, bad = report([Run.load(run.path)])
    print(text)
    if options.write:
        PAGE.write_text(f"# Correct models\n\n`{' '.join(['python', *sys.argv])}`\n\n{text}\n")
    if options.keep is None:
        shutil.rmtree(folder)
    sys.exit(bool(bad))


def report(runs: Sequence[Run]) -> tuple[str, list[str]]:
    """The findings as Markdown, and the false accusations, a line each."""
    counts: Counter[tuple[str, str, str]] = Counter()
    used: dict[tuple[str, str], list[float]] = defaultdict(list)
    bad, other = [], Counter[str]()
    steps = judged = judgeable = 0
    for run, block in ((each, block) for each in runs for block in each.plan.blocks):
        judgements = judge_block(run, block)
        seen = {o.cell: o for o in observations_of(run, block)}
        for place in block.cells:
            o, judgement = seen.get(place.id), judgements.get(place.id)
            name = f"{block.scenario.name}/{place.variant}"
            if o is None or judgement is None:
                status = "missing" if o is None else o.outcome.status
                counts[place.variant, block.scenario.dtype, status] += 1
                other[f"{status}: {'' if o is None else o.outcome.reason}"] += 1
                continue
            counts[o.variant, o.dtype, str(judgement.verdict)] += 1
            steps += len(o.recorded.offsets) - 1
            judged, judgeable = judged + judgement.judged, judgeable + judgement.judgeable
            if judgement.verdict in ("ROUNDING", "PEERS-AGREE"):
                _use(o, used)
            leak = judgement.verdict == "PRECISION-LEAK" and o.dtype == "float64"
            if leak and not (judgement.r or 0) > CLEARLY:
                layer = asyncio.run(_first_wrong_layer(run, name))
                leak = (layer.r or 0) > CLEARLY
                other[f"narrow leak of {name}: {layer.reason}"] += 1
            if judgement.verdict in ("LOCAL-FAULT", "SETUP-FAULT", "PRECISION-LEAK") and not leak:
                bad.append(f"{name}: {judgement.reason}")
            elif judgement.verdict in ("NOT-COMPARED", "PEERS-AGREE"):
                other[f"{judgement.verdict}: {judgement.reason[:160]}"] += 1
    verdicts = sorted({verdict for *_, verdict in counts})
    lines = [
        f"{sum(counts.values())} cells, {steps} steps, {judged} of {judgeable} tensors of all steps judged by something"
    ]
    lines[0] += f" independent. False accusations: {len(bad)}."
    lines += ["", f"| variant, dtype | {' | '.join(verdicts)} |", "|---" * (len(verdicts) + 1) + "|"]
    for variant, dtype in sorted({(v, d) for v, d, _ in counts}):
        lines.append(f"| {variant}, {dtype} | {' | '.join(str(counts[variant, dtype, v]) for v in verdicts)} |")
    lines += [
        "",
        "What correct numbers use of their judge's tolerance (reference or jury):",
        "",
        "| stage, dtype | median r | 99% | largest |",
    ]
    lines.append("|---|---|---|---|")
    for (stage, dtype), values in sorted(used.items()):
        low, high = np.quantile(values, [0.5, 0.99])
        lines.append(f"| {stage}, {dtype} | {low:.2g} | {high:.2g} | {max(values):.2g} |")
    lines += ["", *(f"- FALSE: {line}" for line in bad), *(f"- {n} x {reason}" for reason, n in other.most_common(20))]
    return "\n".join(lines), bad


async def _read_circuits_alone(
    references: References, block: Block, of: cell.Cell, inputs: Inputs, draft: cell.Draft
) -> None:
    """In place of `consult`: the reference reads the circuits and says nothing of the steps."""
    draft.reference = dict(await references.about(block, of, inputs.shape)) | {"reason": "it was left out"}


async def _first_wrong_layer(run: Run, name: str) -> LayerFinding:
    """Which layer is wrong by itself, on what entered it."""
    async with Pool(run.logs(), 1, {}) as pool:
        return await walk(pool, run, find(run, name, trust=True))


def _use(o: Observation, used: dict[tuple[str, str], list[float]]) -> None:
    """How much of its tolerance each tensor of a cell that passed takes, beside reference or jurors that it is near."""
    told = [c for each in heard_of(replace(o, trace=o.recorded), ()) for c in each.comparisons.values()]
    for c in [*(c for c in audit(o).comparisons if c.by == REFERENCE), *(c for c in told if c.r.max(initial=0.0) <= 1)]:
        if c.r.size:
            used[str(c.stage), o.dtype].append(float(c.r.max()))


if __name__ == "__main__":
    main()
