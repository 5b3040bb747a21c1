"""Kill random processes of running sweeps, 500 times: prints how many cells were lost, which must be none.

    python benchmarks/kills.py [--kills 500] [--seed 0]

The victim is the sweep itself, a worker server or a cell's child, the moment is random. A sweep that is killed is
resumed; at the end of each round `--retry` runs the cells whose child was the victim, and every cell must be there,
with the outcome and bit for bit the trace of a sweep that nothing disturbed. What was stored once must never change,
and no process may outlive its sweep. The cells are null cells (tests/null_worker.py): real processes, no framework.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil

from tests.reliability.sweeps import Sweeps, assert_same

CELLS = 40
LONGEST_WAIT_S = 0.3
WEIGHTS = {"sweep": 1, "server": 1, "child": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    killed: Counter[str] = Counter()
    rounds, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Sweeps(Path(name) / "undisturbed", CELLS, seconds=0.02).sweep()
        while sum(killed.values()) < options.kills:
            sweeps = Sweeps(Path(name) / f"round-{rounds}", CELLS, seconds=0.02)
            slowest = max(slowest, disturb(sweeps, rng, killed, options.kills))
            assert_same(sweeps.sweep("latest", retry=True), undisturbed)
            rounds += 1
            print(f"round {rounds}: {dict(killed)}, 0 of {CELLS} cells lost", flush=True)
    total = sum(killed.values())
    print(f"{total} kills in {rounds} sweeps of {CELLS} cells: 0 cells lost, 0 changed; ", end="")
    print(f"the last process was gone at most {slowest:.1f} s after its sweep's death")


def disturb(sweeps: Sweeps, rng: random.Random, killed: Counter[str], most: int) -> float:
    """Kill until the sweep has finished all the same; the longest time, in seconds, a process outlived its sweep."""
    slowest, stored = 0.0, {}
    sweep = start(sweeps)
    while sum(killed.values()) < most:
        victim, kind = None, rng.choices(*zip(*WEIGHTS.items(), strict=True))[0]
        time.sleep(rng.uniform(0, LONGEST_WAIT_S))
        while alive(sweep) and (victim := choose(sweep, kind, rng)) is None:
            time.sleep(0.005)
        if victim is None or not alive(sweep):
            break
        family = [sweep, *descendants(sweep)]
        kill(victim)
        killed[kind] += 1
        if kind == "sweep":
            slowest = max(slowest, gone(family))
            for file in sweeps.stored():
                content = file.read_bytes()
                assert stored.setdefault(file, content) == content, f"{file} has changed"
            sweep = start(sweeps)
    while alive(sweep):
        time.sleep(0.05)
    return slowest


def start(sweeps: Sweeps) -> psutil.Process:
    """A sweep in a process of its own, forked from this one: nothing has to be imported again."""
    pid = os.fork()
    if pid:
        return psutil.Process(pid)
    try:
        sys.stdout.flush()
        sweeps.sweep("latest" if list(sweeps.results.glob("*/run.json")) else None)
        os._exit(0)
    finally:
        os._exit(1)


def choose(sweep: psutil.Process, kind: str, rng: random.Random) -> psutil.Process | None:
    """A process of a kind, if there is one: the sweep, one of its servers, or one of their children."""
    try:
        servers = sweep.children()
        children = [child for server in servers for child in server.children()]
    except psutil.NoSuchProcess:
        return None
    processes = {"sweep": [sweep], "server": servers, "child": children}[kind]
    return rng.choice(processes) if processes else None


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended is reaped."""
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def gone(family: list[psutil.Process]) -> float:
    """Seconds until none of these processes runs."""
    begin = time.monotonic()
    while any(alive(process) if process is family[0] else running(process) for process in family):
        time.sleep(0.01)
        assert time.monotonic() - begin < 60, "a process has outlived its sweep"
    return time.monotonic() - begin


def running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
