"""A Dask cluster on this machine, set up as the engine wants it: to try it, and as the pattern for a real one.

Every node has its share of the cores, one thread, and one `machine`. On one machine the nodes do disturb each other:
run it with one node, or without timing, or on several machines.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qparity.runner.dask import RESOURCE, SETTINGS
from qparity.runner.local import available_cores
from qparity.worker.control import die_with

START_S = 60.0


@contextmanager
def cluster(nodes: int, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and the processes of its nodes; all end with the context, or with this process."""
    cores = available_cores()
    with tempfile.TemporaryDirectory(prefix="qparity-cluster-") as folder:
        about = Path(folder) / "scheduler.json"
        running: list[subprocess.Popen[bytes]] = []
        try:
            command = ["scheduler", "--host", host, "--port", str(port), "--dashboard-address", ":0"]
            running.append(_dask([*command, "--scheduler-file", str(about)], cores))
            address = _address(about, running[0])
            for number in range(nodes):
                worker = ["worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
                worker += ["--resources", f"{RESOURCE}=1", "--name", f"node-{number}", "--local-directory", folder]
                running.append(_dask(worker, cores[number % len(cores) :: nodes]))
            yield address, running[1:]
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                _end(process)


def environment() -> dict[str, str]:
    """The settings as Dask reads them from the environment."""
    names = {key: "DASK_" + key.upper().replace(".", "__").replace("-", "_") for key in SETTINGS}
    values = {names[key]: value if isinstance(value, str) else json.dumps(value) for key, value in SETTINGS.items()}
    return {"DASK_LOGGING__DISTRIBUTED": "critical", **values}


def _dask(arguments: list[str], cores: list[int]) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def begin() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started the cluster
        die_with(parent)

    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, env=os.environ | environment(), stdin=subprocess.DEVNULL, preexec_fn=begin)


def _address(about: Path, scheduler: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + START_S
    read: Callable[[], str] = lambda: about.read_text() if about.is_file() else ""  # noqa: E731
    while not (text := read()).rstrip().endswith("}"):
        if scheduler.poll() is not None or time.monotonic() > end:
            raise OSError(0, "the Dask scheduler did not start", "dask scheduler")
        time.sleep(0.05)
    return str(json.loads(text)["address"])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
