"""Who judges what of the models that people train (scenarios/hybrids.toml), and at how many steps: a table from a run.

    python benchmarks/judged_models.py [--run FOLDER] [-k dressed] [--variants torch jax-jit] [--write]

Sweeps the file, or takes a run of it that is there. Exit code 1 where a cell did not pass, where something of one
was judged by nobody, or by other backends alone, or where random layers drew other numbers on one variant than on
another. `--write` makes docs/models.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import qparity
from qparity.oracle.losses import WITH_LAW
from qparity.parity import Observation, Stage, Verdict
from qparity.parity.audit import Audit, audit
from qparity.parity.comparison import ORACLE
from qparity.store import Run
from qparity.summary.judging import judge_block, observations_of

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "scenarios" / "hybrids.toml"
PAGE = ROOT / "docs" / "models.md"
LAW = "law"
COLUMNS = ("predictions", "loss", "gradients", "updates", "state", "circuits")
Row = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="the folder of a run of hybrids.toml, in place of a sweep")
    parser.add_argument("-k", help="only these scenarios")
    parser.add_argument("--variants", nargs="+")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qparity-judged-") as folder:
        run = Run.load(options.run) if options.run else swept(Path(folder), options.k, options.variants)
        text, bad = page(run)
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    for line in bad:
        print(line, file=sys.stderr)
    sys.exit(bool(bad))


def swept(folder: Path, chosen: str | None, variants: list[str] | None) -> Run:
    """A run of the file, without timing."""
    return qparity.run(FILE, variants=variants, keep=chosen, results=folder, timing=False, progress=False)


def page(run: Run) -> tuple[str, list[str]]:
    """The page as Markdown, and what is not as it should be, a line each."""
    lines: list[str] = []
    random: list[str] = []
    bad: list[str] = []
    for block in run.plan.blocks:
        found: dict[Row, list[str]] = {}
        judgements = judge_block(run, block)
        observations = [o for o in observations_of(run, block) if o.cell in judgements]
        there = {o.variant for o in observations}
        bad += [f"{block.scenario.name}/{cell.variant}: no result" for cell in block.cells if cell.variant not in there]
        for o in observations:
            name, judgement = f"{block.scenario.name}/{o.variant}", judgements[o.cell]
            seen = audit(o)
            if judgement.verdict != Verdict.ROUNDING:
                bad.append(f"{name}: {judgement.reason}")
            bad += [f"{name}: nobody independent judged {tensor} ({stage})" for stage, tensor in seen.unjudged]
            row = (str(judgement.verdict), f"{seen.steps}", *columns(o, seen))
            found.setdefault(row, []).append(o.variant)
        model = block.scenario.name.rpartition("-")[2]
        if any(seeds(o) for o in observations):
            same = len({tuple(array.astype(np.int64).tobytes() for array in seeds(o)) for o in observations}) == 1
            bad += [] if same else [f"{block.scenario.name}: random layers drew other numbers on one variant"]
            random.append(DRAWN.format(model=model, same="" if same else "NOT ", apart=apart(observations)))
        lines += [f"| {model} | {', '.join(variants)} | {' | '.join(row)} |" for row, variants in found.items()]
    return TEXT.format(head=" | ".join(COLUMNS), lines="\n".join(lines), random="\n\n".join(random)), bad


def seeds(o: Observation) -> list[np.ndarray]:
    """The states of generators of random numbers, before the first step and after each."""
    states = [array for name, array in o.recorded.items() if name.startswith("state/")]
    return [array for array in states if array.dtype.kind in "iu" and len(array) > 1]


def apart(observations: Sequence[Observation]) -> float:
    """How far predictions of two variants are from each other at most, over the largest."""
    predictions = np.stack([np.asarray(o.recorded.predictions, np.float64) for o in observations])
    return float(np.ptp(predictions, axis=0).max() / np.abs(predictions).max())


def columns(o: Observation, seen: Audit) -> Iterable[str]:
    """For each of COLUMNS who judged it, at how many steps."""
    groups = {
        "predictions": [t for t in seen.required if t[0] == Stage.FORWARD],
        "loss": [t for t in seen.required if t[0] == Stage.LOSS],
        "gradients": [t for t in seen.required if t[0] == Stage.GRADIENT],
        "updates": [t for t in seen.required if t[0] == Stage.UPDATE and not t[1].startswith("state/")],
        "state": [t for t in seen.required if t[1].startswith("state/")],
        "circuits": [
            (c.stage, c.tensor)
            for c in seen.comparisons
            if c.by == ORACLE
            and c.stage in (Stage.FORWARD, Stage.GRADIENT)
            and (c.stage, c.tensor) not in seen.required
        ],
    }
    for name in COLUMNS:
        yield judges(name, list(dict.fromkeys(groups[name])), seen)


def judges(column: str, tensors: list[tuple[Stage, str]], seen: Audit) -> str:
    """Such as `reference 6, oracle 6 (1 of 5)`: the least of steps, and of how many tensors where not of all."""
    if not tensors:
        return "-"
    by: dict[str, dict[tuple[Stage, str], set[int]]] = {}
    for c in seen.comparisons:
        if (c.stage, c.tensor) in tensors and c.got.size:
            who = LAW if c.by == ORACLE and column in ("loss", "updates") else str(c.by)
            by.setdefault(who, {}).setdefault((c.stage, c.tensor), set()).update(int(t) for t in c.steps)
    told = []
    for who, steps in sorted(by.items(), key=lambda item: -len(item[1])):
        some = "" if len(steps) == len(tensors) else f" ({len(steps)} of {len(tensors)})"
        told.append(f"{who} {min(map(len, steps.values()))}{some}")
    if missing := [name for stage, name in tensors if not any((stage, name) in steps for steps in by.values())]:
        told.append(f"nobody: {', '.join(missing)}")
    return ", ".join(told)


DRAWN = """`{model}` draws random numbers. The states of its generators are {same}the same before and after each step
on all variants, and masks are a function of them (tests/integration/test_shared_draws.py compares their bits). Over the
whole training predictions of any two variants are at most {apart:.1e} of the largest apart."""
TEXT = f"""# Who judges what

The models of `scenarios/hybrids.toml`, each layer of whoever wrote it; made from a real run by
`python benchmarks/judged_models.py --write` (do not edit by hand).

| model | variant | verdict | steps | {{head}} |
|{"---|" * (len(COLUMNS) + 4)}
{{lines}}

A number is at how many steps somebody judged, the least of all tensors where they differ; `(1 of 5)` is of how many
tensors, where not of all.

- `reference`: Keras and PennyLane on NumPy, in float64, in a process without a framework, at the weights, state and
  batch that the cell recorded (docs/architecture.md, "Who judges what"). It takes as long as the audit took, four
  seconds of a processor at the least: where that is not enough, as for a large model, the steps are fewer.
- `oracle`: our own simulator, at what crossed the boundary of each circuit: its outputs, the gradients of its inputs
  (`circuits`), and those of its weights (among `gradients`).
- `law`: the rule of the optimizer, and that of the loss where there is one ({", ".join(WITH_LAW)}).
- `state`: running means and variances, and whatever else moves and is no weight.

{{random}}

In `tutorial` the circuit stands in a layer of the user's own, a bare QNode: the reference judges it with the rest,
its circuit being simulated by the oracle there.
"""

if __name__ == "__main__":
    main()
