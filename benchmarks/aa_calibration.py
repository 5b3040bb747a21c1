"""A variant against itself (A/A): how often is a difference claimed that is not there, and how wide are the intervals?

    python benchmarks/aa_calibration.py [--repetitions 50] [--variants torch jax-jit] [--load] [--planted 1.15]
                                        [--budget 20s]

Half of the calibration: 50 repetitions on a quiet machine; the other half has a rival on the measured core (`--load`).
With `--budget` each repetition is timed as the one block of a run with such a budget: as many pairs of processes as
there is time for, often a single one.
The variants take turns. Prints each repetition as it comes, then for each variant and for all the share of intervals
that hold 1 (at least 85%), the median half-width (under 5%, with load 10%), the share of verdicts that claim a
difference, the noise that `qparity.timing.speed.NOISE` should stand for on this machine, and how often the same
rounds, with one side's times multiplied by `--planted`, are called "slower" (at least 19 of 20). The same is done with
the slowdown of which each repetition itself says that it would be found 9 times in 10 (`qparity.timing.power`: at least
85%). Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qparity.records import Timing
from qparity.runner.budget import Budget, Cost, Course, parse_seconds, time_within
from qparity.runner.local import available_cores
from qparity.runner.plan import Block, make_blocks
from qparity.runner.pool import Pool
from qparity.runner.rounds import Bench, Lane, Record, TimingOptions
from qparity.runner.timing import time_block
from qparity.scenario.load import load_files
from qparity.summary.speeds import phrase
from qparity.timing import Speed, calibrated_noise, read_block
from qparity.timing.power import smallest

SCENARIO = """
wires = 2
layers = 2
data = { samples = 320 }
training = { batch_size = 32, epochs = 1 }
diff_method = "backprop"
"""


def main() -> int:
    options = arguments()
    given_s = parse_seconds(options.budget) if options.budget else None
    timing = TimingOptions(rounds=options.rounds, target_width=options.target_width, run_s=given_s)
    cpus, start = available_cores()[-1:], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "aa.toml"
        file.write_text(SCENARIO)
        (block,) = make_blocks(load_files([file], None, options.variants))
        found = asyncio.run(measure(block, Path(folder), cpus, timing, options.repetitions, options.load))
    generations = [len({each.child for each in found.kept}) for documents in found.values() for found in documents]
    for variant, documents in found.items():
        print(said(variant, summary(documents, options.planted), options.planted))
    every = summary([document for documents in found.values() for document in documents], options.planted)
    print(f"pairs of processes: {np.mean(generations):.1f} on average, {min(generations)} at least")
    print(said("all", every, options.planted), f"in {(time.monotonic() - start) / 60:.1f} minutes")
    missed = every.holds < 0.85 or every.slower < 0.95 or every.powered < 0.85
    return int(missed or every.width >= (0.10 if options.load else 0.05))


@dataclass(frozen=True)
class Summary:
    """What repetitions show; shares from 0 to 1, `width` is the median half-width relative to the ratio."""

    repetitions: int
    holds: float
    claimed: float
    width: float
    noise: float
    slower: float
    powered: float
    smallest: float
    rounds: int
    dropped: int


def summary(documents: list[Timing], planted: float) -> Summary:
    """Of the repetitions in which anything was measured."""
    lanes = [(d, lane, lane.ratio) for d in documents if (lane := read_block(d).lanes.get("b")) and lane.ratio]
    if not lanes:
        raise SystemExit("nothing was measured: " + str([document.left_out for document in documents]))
    return Summary(
        repetitions=len(lanes),
        holds=float(np.mean([ratio.contains(1.0) for _, _, ratio in lanes])),
        claimed=float(np.mean([lane.speed is not Speed.NOT_RESOLVED for _, lane, _ in lanes])),
        width=float(np.median([ratio.half_width / ratio.estimate for _, _, ratio in lanes])),
        noise=calibrated_noise([ratio.estimate for _, _, ratio in lanes]),
        slower=float(np.mean([slowed(document, planted) is Speed.SLOWER for document, _, _ in lanes])),
        powered=float(np.mean([slowed(d, smallest(ratio, lane.noise)) is Speed.SLOWER for d, lane, ratio in lanes])),
        smallest=float(np.median([smallest(ratio, lane.noise) for _, lane, ratio in lanes])),
        rounds=sum(lane.rounds for _, lane, _ in lanes),
        dropped=sum(lane.dropped for _, lane, _ in lanes),
    )


def said(name: str, found: Summary, planted: float) -> str:
    """One line."""
    return (
        f"{name}: {found.repetitions} repetitions, interval holds 1 in {found.holds:.0%}, median half-width "
        f"{found.width:.1%}, a difference claimed in {found.claimed:.0%}, noise (95%) {found.noise:.1%}, "
        f"{planted:g}x slower found in {found.slower:.0%}, what should be found in 90% "
        f"(median {found.smallest:.3g}x) in {found.powered:.0%}, {found.rounds} rounds kept, {found.dropped} dropped"
    )


def slowed(document: Timing, factor: float) -> Speed | None:
    """The verdict on lane b had each of its steps taken `factor` times as long."""
    changed: dict[str, Any] = copy.deepcopy(document.raw)
    for each in changed["rounds"]:
        if "b" in each["samples"]:
            each["samples"]["b"]["step_s"] *= factor
    lane = read_block(Timing(changed)).lanes.get("b")
    return lane.speed if lane else None


async def measure(
    block: Block, folder: Path, cpus: list[int], timing: TimingOptions, repetitions: int, load: bool
) -> dict[str, list[Timing]]:
    """Documents of all repetitions by variant; the variants take turns, so that all meet the same day."""
    found: dict[str, list[Timing]] = {str(cell.variant): [] for cell in block.cells}
    rival = multiprocessing.get_context("spawn").Process(target=burn, args=(cpus,), daemon=True) if load else None
    if rival:
        rival.start()
    try:
        async with Pool(folder, 1, {}) as pool:
            for number in range(repetitions):
                cell = block.cells[number % len(block.cells)]
                start = time.monotonic()
                lanes = [Lane("a", cell), Lane("b", cell)]
                if timing.run_s is None:
                    document = await time_block(pool, block, lanes, folder, cpus, timing)
                else:
                    bench = Bench(pool, block, folder, cpus, timing, Record())
                    course = Course(bench, lanes, dict.fromkeys("ab", Cost(0.0, 0.0)))
                    await time_within(Budget(timing.run_s), [course], lambda _: None)
                    document = bench.timing
                found[str(cell.variant)].append(document)
                lane = read_block(document).lanes.get("b")
                words = phrase(lane) if lane else document.left_out
                print(f"{number + 1} {cell.variant}: {words} ({time.monotonic() - start:.0f} s)", flush=True)
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
    parser.add_argument("--variants", nargs="+", default=["torch", "tf", "tf-graph", "jax-jit"])
    parser.add_argument("--repetitions", type=int, default=50, help="of all variants together")
    parser.add_argument("--rounds", type=int, default=TimingOptions().rounds)
    parser.add_argument("--target-width", type=float, default=TimingOptions().target_width)
    parser.add_argument("--planted", type=float, default=1.15)
    parser.add_argument("--budget", help="of each repetition, such as 20s; default: none")
    parser.add_argument("--load", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
