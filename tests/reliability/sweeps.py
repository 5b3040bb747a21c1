"""Sweeps of null cells (tests/null_worker.py), and what it means that two runs have the same results."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from qparity.runner.begin import begin
from qparity.runner.local import Options
from qparity.runner.sweep import sweep
from qparity.scenario.load import load_files
from qparity.store import Run
from tests import null_worker
from tests.conftest import SOURCES

VARIANTS = ("torch", "jax")
# What may differ between two runs of one cell: where and how fast it ran.
CIRCUMSTANCES = ("phases", "memory", "worker", "node")


class Sweeps:
    """One scenario file of null cells in a folder, run as processes or in this one."""

    def __init__(self, folder: Path, cells: int = 12, **options: object) -> None:
        self.folder, self.results, self.file = folder, folder / "results", folder / "null.toml"
        folder.mkdir(exist_ok=True)
        self.python = str(null_worker.interpreter(folder))
        self.file.write_text(null_worker.toml(cells, *VARIANTS, **options))

    @property
    def run(self) -> Run:
        """The only run in the folder, read anew."""
        (path,) = self.results.glob("*/run.json")
        return Run.load(path.parent)

    def arguments(self, *more: object) -> list[str]:
        """The command line of a sweep; `--timing` takes the `--no-timing` away."""
        pythons = [word for name in (*VARIANTS, "numpy") for word in ("--python", f"{name}={self.python}")]
        timing = [] if "--timing" in more else ["--no-timing"]
        words = [str(word) for word in more if word != "--timing"]
        return ["run", str(self.file), "--results", str(self.results), *timing, *pythons, *words]

    def start(self, *more: object, **options: Any) -> subprocess.Popen[str]:
        """A sweep in its own process."""
        command = [sys.executable, "-m", "qparity.cli", *self.arguments(*more)]
        environment = os.environ | {"PYTHONPATH": SOURCES, "QPARITY_TEST_FOLDER": str(self.folder)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **{**pipes, **options})

    def sweep(self, resume: str | None = None, retry: bool = False, results: Path | None = None, **options: Any) -> Run:
        """A sweep in this process, of real worker processes."""
        run, blocks = begin(load_files([self.file]), results or self.results, resume, None, ["test"], False)
        assert sweep(
            run, blocks, Options(interpreters=dict.fromkeys((*VARIANTS, "numpy"), self.python), **options), retry=retry
        )
        return Run.load(run.path)

    def processes(self) -> list[psutil.Process]:
        """Whatever a sweep of this folder has started and is still there; `info` holds what may be asked of each."""
        found = []
        for process in psutil.process_iter(["environ", "ppid", "cmdline"]):  # later it may be gone
            if (process.info["environ"] or {}).get("QPARITY_TEST_FOLDER") == str(self.folder):
                found.append(process)
        return found

    def children(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        """The cells that run now in a sweep's process: what its worker servers have started."""
        there = self.processes()
        servers = {p.pid for p in self.servers(process)}
        return [p for p in there if p.info["ppid"] in servers]

    def servers(self, process: subprocess.Popen[str]) -> list[psutil.Process]:
        """The worker servers of a sweep's process; it starts others (git), which do not live long."""
        mine = [p for p in self.processes() if p.info["ppid"] == process.pid]
        return [p for p in mine if any("null_worker" in word for word in p.info["cmdline"] or ())]

    def stored(self) -> list[Path]:
        """The outcomes on disk."""
        return list(self.results.glob("*/cells/*.json"))


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the condition gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return found


def assert_same(run: Run, undisturbed: Run) -> None:
    """Every cell of both runs is there, with the same outcome and bit for bit the same trace."""
    assert run.missing() == undisturbed.missing() == []
    mine, theirs = run.outcomes(), undisturbed.outcomes()
    assert mine.keys() == theirs.keys()
    for cell, outcome in theirs.items():
        for name in outcome.raw.keys() - CIRCUMSTANCES:
            assert mine[cell].raw[name] == outcome.raw[name], (cell, name)
        trace, expected = run.trace(cell), undisturbed.trace(cell)
        assert (trace is None) == (expected is None)
        for name, array in (expected or {}).items():
            np.testing.assert_array_equal(trace[name], array, strict=True)
