"""A variant against itself (A/A): how often is a difference claimed that is not there, and how wide are the intervals?

    python benchmarks/aa_calibration.py --variants torch jax-jit --repetitions 10 [--load] [--planted 1.15]

Prints, for each variant, the share of intervals that hold 1, the share of verdicts that claim a difference, the median
half-width, and the noise that `harness.timing.speed.NOISE` should stand for on this machine. `--load` keeps a rival on
the measured core; `--planted` multiplies one side's recorded times, and the verdict must then be "slower".
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness.runner.local import available_cores
from harness.runner.plan import Block, make_blocks
from harness.runner.pool import Pool
from harness.runner.timing import Lane, TimingOptions, time_block
from harness.scenario.load import load_files
from harness.timing import Speed, calibrated_noise, read_block

SCENARIO = """
wires = 4
layers = 3
data = { samples = 64 }
training = { batch_size = 32, epochs = 1 }
diff_method = "backprop"
"""


def main() -> None:
    options = arguments()
    timing = TimingOptions(rounds=options.rounds, target_width=options.target_width)
    cpus = available_cores()[-1:]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "aa.toml"
        file.write_text(SCENARIO)
        (block,) = make_blocks(load_files([file], None, options.variants))
        found = asyncio.run(measure(block, Path(folder), cpus, timing, options.repetitions, options.load))
    for variant, documents in found.items():
        print(report(variant, documents, options.planted))


def report(variant: str, documents: list[dict[str, Any]], planted: float) -> str:
    """One line on a variant's repetitions."""
    lanes = [lane for document in documents if (lane := read_block(document).lanes.get("b"))]
    ratios = [lane.ratio for lane in lanes if lane.ratio is not None]
    if not ratios:
        return f"{variant}: nothing was measured"
    holds = np.mean([ratio.contains(1.0) for ratio in ratios])
    claimed = np.mean([lane.speed is not Speed.NOT_RESOLVED for lane in lanes])
    width = np.median([ratio.half_width / ratio.estimate for ratio in ratios])
    noise = calibrated_noise([ratio.estimate for ratio in ratios])
    slower = [slowed(document, planted) is Speed.SLOWER for document in documents]
    rounds, dropped = sum(lane.rounds for lane in lanes), sum(lane.dropped for lane in lanes)
    return (
        f"{variant}: {len(ratios)} repetitions, interval holds 1 in {holds:.0%}, "
        f"a difference claimed in {claimed:.0%}, "
        f"median half-width {width:.1%}, noise (95%) {noise:.1%}, "
        f"{planted:g}x slower found {sum(slower)}/{len(slower)}, {rounds} rounds kept, {dropped} dropped"
    )


def slowed(document: dict[str, Any], factor: float) -> Speed | None:
    """The verdict on lane b had each of its steps taken `factor` times as long."""
    changed = copy.deepcopy(document)
    for each in changed["rounds"]:
        if "b" in each["samples"]:
            each["samples"]["b"]["step_s"] *= factor
    lane = read_block(changed).lanes.get("b")
    return lane.speed if lane else None


async def measure(
    block: Block, folder: Path, cpus: list[int], timing: TimingOptions, repetitions: int, load: bool
) -> dict[str, list[dict[str, Any]]]:
    """Documents of all repetitions by variant; the variants take turns, so that all meet the same day."""
    found: dict[str, list[dict[str, Any]]] = {str(cell.variant): [] for cell in block.cells}
    rival = multiprocessing.get_context("spawn").Process(target=burn, args=(cpus,), daemon=True) if load else None
    if rival:
        rival.start()
    try:
        async with Pool(folder, 1, {}) as pool:
            for _ in range(repetitions):
                for cell in block.cells:
                    lanes = [Lane("a", cell), Lane("b", cell)]
                    found[str(cell.variant)].append(await time_block(pool, block, lanes, folder, cpus, timing))
    finally:
        if rival:
            rival.kill()
    return found


def burn(cpus: list[int]) -> None:
    """Compete for the measured core, on and off: steady load would be the easier case."""
    os.sched_setaffinity(0, cpus)
    while True:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        time.sleep(0.3)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=["torch", "jax-jit"])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--target-width", type=float, default=0.02)
    parser.add_argument("--planted", type=float, default=1.15)
    parser.add_argument("--load", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
