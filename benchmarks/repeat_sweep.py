"""The same sweep twice: do the intervals of the ratios hold what they promise from one sweep to the next?

    python benchmarks/repeat_sweep.py [FILE.toml] [-v torch -v jax-jit] [--sweeps 2]

For every timed cell and every pair of sweeps, the interval of the difference of its two log-ratios must hold 0; that of
90% of them must. By default a sweep of four scenarios on four variants.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

from qparity.store import Run, resolve
from qparity.summary import RunView, summarise
from qparity.summary.speeds import ratio_phrase, relative_speeds

SHARE = 0.9
SCENARIOS = """
variants = ["torch", "tf", "tf-graph", "jax-jit"]
data = { samples = 32 }
training = { batch_size = 16, epochs = 1 }
diff_method = "backprop"
[matrix]
wires = [1, 3]
layers = [1, 3]
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("-v", "--variant", action="append", default=[])
    parser.add_argument("--sweeps", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.file or Path(folder) / "repeat.toml"
        if options.file is None:
            file.write_text(SCENARIOS)
        views = [swept(file, options.variant, Path(folder) / str(k)) for k in range(options.sweeps)]
    held = []
    for base, head in itertools.combinations(views, 2):
        found, why_not = relative_speeds(base.cells, head.cells)
        for (scenario, variant), ratio in found.items():
            held.append(ratio.contains(1.0))
            print(f"{'holds 1' if held[-1] else 'MISSES 1'}: {scenario} {variant} {ratio_phrase(ratio)}")
        if not found:
            sys.exit(f"nothing to compare: {why_not}")
    share = sum(held) / len(held)
    print(f"the interval holds 1 in {sum(held)} of {len(held)} cells ({share:.0%}, at least {SHARE:.0%} asked for)")
    return int(share < SHARE)


def swept(file: Path, variants: list[str], results: Path) -> RunView:
    """One sweep, judged."""
    chosen = [word for name in variants for word in ("-v", name)]
    command = [sys.executable, "-m", "qparity.cli", "run", str(file), *chosen, "--results", str(results)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return summarise(Run.load(resolve(results, "latest")))


if __name__ == "__main__":
    sys.exit(main())
