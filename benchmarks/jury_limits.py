"""How small an error does a jury still find? One recorded tensor of a correct cell is scaled, and judged again.

    python benchmarks/jury_limits.py [--models 18] [--folder FOLDER] [--write]

The cells are those of `benchmarks/clean_models.py --jury --keep FOLDER`, which is run for so many models, and goes on
with what is in the folder (without one: a temporary one). In each that passes beside two jurors predictions, loss and
every gradient that nobody independent judged are scaled by 1 + s, at all steps, one after the other. The limit of each
is the smallest s, on a grid of half decades, from which on the jury says LOCAL-FAULT or PRECISION-LEAK at that stage,
of that tensor. `--write` puts the table into docs/detection-limits.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from detection_limits import PAGE, SEEDS, SIZES, page, word

from qparity.parity import Observation
from qparity.parity.audit import Tensor
from qparity.parity.jury import blame_by_jury
from qparity.parity.names import weight_name
from qparity.parity.setup import weight_arrays
from qparity.parity.testimony import heard_of
from qparity.parity.types import Stage, Verdict
from qparity.records.trace import Trace
from qparity.store import Run
from qparity.summary.judging import judge_block, observations_of

WRONG = (Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK)
Limits = Mapping[tuple[str, str], Sequence[int]]
"""Of stage and precision the limits, as indices of SIZES; -1 where nothing is found."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=18)
    parser.add_argument("--folder", type=Path, help="keep the run folder here; what is there goes on")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    limits: dict[tuple[str, str], list[int]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="qparity-jury-") as temporary:
        folder = options.folder or Path(temporary)
        more = ("--models", str(options.models), "--one-dtype", "--jury", "--keep", str(folder))
        subprocess.run([sys.executable, str(Path(__file__).with_name("clean_models.py")), *more], check=True)
        for path in (folder / "results").iterdir():
            for o, tensors in passing(Run.load(path)):
                for tensor in tensors:
                    limits[str(tensor[0]), o.dtype].append(limit(o, tensor))
    table = rows(limits)
    print("\n".join(table))
    if options.write:
        PAGE.write_text(page([], SEEDS, table), encoding="utf-8")


def passing(run: Run) -> Iterator[tuple[Observation, list[Tensor]]]:
    """The cells that pass beside two jurors, with the tensors that both of them have judged."""
    for block in run.plan.blocks:
        judgements = judge_block(run, block)
        for o in observations_of(run, block):
            found = judgements.get(o.cell)
            if found is None or found.verdict != Verdict.PEERS_AGREE:
                continue
            o = replace(o, trace=o.recorded)
            heard = heard_of(o, ())
            tensors = [t for t in found.unjudged if heard and all(t in each.comparisons for each in heard)]
            if len(heard) == 2:
                yield o, [t for t in tensors if array_of(o, t) and np.any(o.recorded[array_of(o, t)])]


def array_of(o: Observation, tensor: Tensor) -> str:
    """The name in a trace of what is scaled: predictions, loss, or a gradient; empty for all else."""
    stage, name = tensor
    if stage in (Stage.FORWARD, Stage.LOSS):
        return name
    names = {f"gradients/{weight_name(o, k)}": f"gradients/{k}" for k in range(len(weight_arrays(o, "gradients")))}
    return names.get(name, "") if stage == Stage.GRADIENT else ""


def limit(o: Observation, tensor: Tensor) -> int:
    """The last index of SIZES at which, and at all larger sizes, the error is found."""
    found = -1
    for number, size in enumerate(SIZES):
        if not convicted(o, tensor, size):
            break
        found = number
    return found


def convicted(o: Observation, tensor: Tensor, size: float) -> bool:
    """Whether the jury finds the scaled tensor wrong."""
    name = array_of(o, tensor)
    array = o.recorded[name]
    scaled = replace(o, trace=Trace({**o.recorded, name: (array * (1 + size)).astype(array.dtype)}))
    blame = blame_by_jury(scaled, [tensor], "", heard_of(scaled, ()))
    return blame.verdict in WRONG and (blame.stage, blame.tensor) == tensor


def rows(limits: Limits) -> list[str]:
    """A line of the page for each stage and precision."""
    lines = []
    for (stage, dtype), mine in sorted(limits.items()):
        worst = sorted(mine)
        half, most = (word(worst[int(np.ceil((1 - share) * (len(worst) - 1)))]) for share in (0.5, 0.9))
        lines.append(f"| `jury-{stage}` | {dtype} | {len(mine)} | {half} | {most} | {word(worst[0])} |")
    return lines


if __name__ == "__main__":
    main()
