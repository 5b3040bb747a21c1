"""Mangled scenario files, expectations, run folders and command lines, 20,000 in all: prints how many gave a traceback.

    python benchmarks/fuzz.py [--inputs 20000] [--kind "run folder"]

Every input must give a result, or one printable line and exit code 2; nothing may be written outside its folder, and
none may need more than 6 GiB of memory.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from hypothesis import HealthCheck, Phase, given, settings

from qparity.runner import warm
from tests.reliability import fuzz

MEMORY_BYTES = 6 << 30
# Cheap kinds have the larger share.
SHARES = {"scenario": 0.3, "expectations": 0.3, "run folder": 0.1, "arguments": 0.13, "data file": 0.15, "script": 0.02}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--kind", choices=fuzz.KINDS)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    shares = {options.kind: 1.0} if options.kind else SHARES
    os.environ.setdefault(warm.WARM, tempfile.mkdtemp(prefix="qparity-warm-", dir="/tmp"))
    failures = sum(feed(kind, round(options.inputs * share)) for kind, share in shares.items())
    warm.end(os.environ[warm.WARM])
    print(f"{failures} failures")
    raise SystemExit(bool(failures))


def feed(kind: str, inputs: int) -> int:
    """Give so many inputs of a kind; each distinct failure is printed once."""
    strategy, check = fuzz.KINDS[kind]
    found: Counter[str] = Counter()
    given_in_all, start = 0, time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        @settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one(value: Any) -> None:
            nonlocal given_in_all
            given_in_all += 1
            try:
                with fuzz.watched(folder):
                    check(value, folder)
            except (Exception, SystemExit) as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                known = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
                found[known] += 1
                if found[known] == 1:
                    print(f"  {known}: {str(error)[:300]!r}\n  input: {value!r}"[:1500], flush=True)

        one()
    seconds = time.process_time() - start
    print(
        f"{kind:14} {given_in_all:6} inputs  {sum(found.values())} failures  {seconds / given_in_all * 1e3:.1f} ms each"
    )
    return sum(found.values())


if __name__ == "__main__":
    main()
