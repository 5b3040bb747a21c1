"""How often does the page over all runs mark a step in a ratio that took none? At most 1% of histories may have one.

    python benchmarks/false_steps.py [--repetitions 60] [--budget 5s] [--histories 4000]

Real ones: a variant is timed against itself again and again (A/A, `aa_calibration.measure`), and each history is 6 to
20 of those ratios with their intervals, drawn at random; those in the order in which they were measured are counted
beside it. Simulated ones: normal and heavy-tailed (t with 5 degrees of freedom), intervals of 2% and of 10% to either
side, with a scatter between runs of 0, 1 and 3 times the intervals'. `--repetitions 0` simulates alone. Exit code 1 if
a share is above 1%.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from aa_calibration import SCENARIO, measure

from qparity.runner.budget import parse_seconds
from qparity.runner.local import available_cores
from qparity.runner.plan import make_blocks
from qparity.runner.rounds import TimingOptions
from qparity.scenario.load import load_files
from qparity.timing import read_block
from qparity.timing.intervals import Interval
from qparity.timing.steps import steps

SHORTEST, LONGEST = 6, 20
MOST = 0.01
WIDTHS = (0.02, 0.1)
"""Half-widths of simulated intervals, relative."""
VARIANTS = ("torch", "jax-jit")
Draw = Callable[[int], np.ndarray]


def main() -> None:
    """Measure, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=60)
    parser.add_argument("--budget", default="5s", help="of one repetition")
    parser.add_argument("--histories", type=int, default=4000)
    options = parser.parse_args()
    rng, shares = np.random.default_rng(0), {}
    if options.repetitions:
        for variant, ratios in measured(options.repetitions, parse_seconds(options.budget)).items():
            told = ", ".join(f"{ratio.estimate:.3f}" for ratio in ratios)
            print(f"{variant}: {len(ratios)} ratios of itself to itself: {told}")
            ends = range(LONGEST, len(ratios) + 1)
            stepped = sum(bool(steps(ratios[end - LONGEST : end])) for end in ends)
            print(f"  in the order measured: {stepped} of {len(ends)} histories of {LONGEST}")
            shares[f"{variant}, real ratios"] = share(
                options.histories, lambda n, r=ratios: [r[k] for k in rng.integers(0, len(r), n)], rng
            )
    for name, draw in {"normal": rng.standard_normal, "t, 5": lambda n: rng.standard_t(5, n)}.items():
        for width, scatter in itertools.product(WIDTHS, (0, 1, 3)):

            def made(n: int, width: float = width, scatter: int = scatter, draw: Draw = draw) -> list[Interval]:
                return simulated(draw(n), rng.standard_normal(n), width, scatter)

            shares[f"{name}, {width:.0%}, scatter {scatter}"] = share(options.histories, made, rng)
    for name, found in shares.items():
        print(f"{name}: {found:.2%} of {options.histories} histories have a step")
    raise SystemExit(max(shares.values()) > MOST)


def measured(repetitions: int, budget_s: float) -> dict[str, list[Interval]]:
    """Ratios of each variant to itself, in the order of time."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "aa.toml"
        file.write_text(SCENARIO)
        (block,) = make_blocks(load_files([file], None, list(VARIANTS)))
        timing = TimingOptions(run_s=budget_s)
        found = asyncio.run(measure(block, Path(folder), available_cores()[-1:], timing, repetitions, False))
    lanes = {v: [lane for d in documents if (lane := read_block(d).lanes.get("b"))] for v, documents in found.items()}
    return {variant: [lane.ratio for lane in each if lane.ratio] for variant, each in lanes.items()}


def simulated(between: np.ndarray, within: np.ndarray, width: float, scatter: float) -> list[Interval]:
    """Ratios around 1: what the runs scatter, and what an interval tells of its own."""
    unit = width / 1.959964
    logs = unit * (within + scatter * between)
    return [Interval(np.exp(x - width), np.exp(x), np.exp(x + width)) for x in logs]


def share(histories: int, draw: Callable[[int], list[Interval]], rng: np.random.Generator) -> float:
    """The share of histories of random lengths in which a step is seen."""
    return float(np.mean([bool(steps(draw(int(rng.integers(SHORTEST, LONGEST + 1))))) for _ in range(histories)]))


if __name__ == "__main__":
    main()
