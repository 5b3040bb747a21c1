"""Is the break-even step true? Train below and above it, in fresh processes that know nothing of the timing.

    python benchmarks/break_even.py [-v jax-jit -v tf-graph] [--reference torch] [--repetitions 5]

A timed run says from how many steps on a compiled variant has overtaken the reference, with an interval. Both are then
trained for half the steps of its lower end, where the reference must be first, and for twice those of its upper end,
where the compiled variant must be. What counts is the time to build, trace, compile and train; the median decides.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _script import in_fresh_process

from qparity.store import Run, resolve
from qparity.summary import summarise
from qparity.summary.gate import Gate
from qparity.timing import BreakEven

STEPS = 40  # of an epoch: as many as one execution of the compiled variants may hold
MOST = 20_000
SCENARIO = f"""
wires = 4
layers = 3
data = {{ samples = {STEPS * 8} }}
training = {{ batch_size = 8, epochs = 1 }}
diff_method = "backprop"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-v", "--variant", action="append", help="compiled variants; default: jax-jit, tf-graph")
    parser.add_argument("--reference", default="torch")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    variants = options.variant or ["jax-jit", "tf-graph"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "breakeven.toml"
        file.write_text(SCENARIO)
        found = predicted(file, options.reference, variants)
        held = [confirmed(file, options.reference, v, found.get(v), options.repetitions) for v in variants]
    return int(not all(held))


def predicted(file: Path, reference: str, variants: list[str]) -> dict[str, BreakEven]:
    """The break-even step of each variant, as a run says it."""
    chosen = [word for name in (reference, *variants) for word in ("-v", name)]
    results = file.parent / "results"
    command = [sys.executable, "-m", "qparity.cli", "run", str(file), *chosen, "--results", str(results)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    view = summarise(Run.load(resolve(results, "latest")), gate=Gate(reference=reference))
    timings = {cell.variant: cell.timing for cell in view.cells if cell.timing}
    return {name: timing.break_even for name, timing in timings.items() if timing.break_even}


def confirmed(file: Path, reference: str, variant: str, said: BreakEven | None, repetitions: int) -> bool:
    """Whether who is first, below and above, is who was predicted."""
    if said is None or not said.high * 2 < MOST:
        print(f"{variant} against {reference}: no break-even step below {MOST / 2:.0f} ({said}): nothing to confirm")
        return said is not None
    print(f"{variant} against {reference}: break-even after {said.step:.0f} steps [{said.low:.0f}, {said.high:.0f}]")
    held = True
    for steps, first in ((max(1, int(said.low / 2)), reference), (int(2 * said.high) + 1, variant)):
        times: dict[str, list[float]] = {reference: [], variant: []}
        for k in range(repetitions):
            for name in (reference, variant)[:: 1 if k % 2 else -1]:
                times[name].append(in_fresh_process(file, "breakeven", name, steps)[1])
        middle = {name: statistics.median(each) for name, each in times.items()}
        right = min(middle, key=lambda name: middle[name]) == first
        held &= right
        said_times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in middle.items())
        print(f"  {steps} steps: {said_times}: {first} {'is' if right else 'is NOT'} first", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main())
