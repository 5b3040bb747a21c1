"""What the runner promises about processes: every death is an outcome, the others finish, nothing is left over.

On a real backend, inside PennyLane; what happens to servers, parents and folders is in tests/reliability.
"""

import json
import re
import time
from pathlib import Path

import psutil
import pytest

from qparity.runner import log
from qparity.runner.warm import WARM
from qparity.store import Run
from tests.conftest import backends, variants_of

VARIANT = "torch" if "torch" in backends() else variants_of(backends()[-1])[-1]
MISCHIEF = """
import ctypes, os, signal, sys, threading
import numpy as np
import pennylane as qml

def misbehave(inputs, weights, how):
    flag = os.environ.get("QPARITY_TEST_FLAG", "")
    if how != "well" and os.path.exists(flag):
        if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
        if how == "segfault": ctypes.string_at(0)
        if how == "abort": os.abort()
        if how == "exit": os._exit(7)
        if how == "deadlock":
            lock = threading.Lock()
            with lock: lock.acquire()
        if how == "memory": np.ones(2**29)
        if how == "raise": raise RuntimeError("mischief: two\\nlines")
        if how == "print": print("GARBAGE" * 10); sys.stdout.flush()
        while how == "flood": os.write(1, bytes(2**20))
        if how == "nan": inputs = (-inputs) ** 0.5  # the second batch has the positive ones
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))
"""
TOML = """
circuit = "mischief:misbehave"
weight_shapes = {{ weights = [1] }}
data = {{ samples = 4 }}
training = {{ batch_size = 2, epochs = 2 }}
variants = ["{variant}"]
[matrix]
circuit_options = [{options}]
"""


def scenario(folder: Path, *hows: str) -> Path:
    (folder / "mischief.py").write_text(MISCHIEF)
    file = folder / "mischief.toml"
    options = ", ".join(f'{{ how = "{how}" }}' for how in hows)
    file.write_text(TOML.format(variant=VARIANT, options=options))
    return file


@pytest.fixture
def mischief(tmp_path, monkeypatch):
    """A scenario file whose cells misbehave once the flag file exists (it does)."""
    flag = tmp_path / "flag"
    flag.touch()
    monkeypatch.setenv("QPARITY_TEST_FLAG", str(flag))
    monkeypatch.delenv(WARM, raising=False)  # its servers have another environment in /proc
    return tmp_path


def document(qparity, folder: Path) -> dict:
    return json.loads(qparity("show", "--json", "--results", folder / "results").stdout)


def workers() -> list[psutil.Process]:
    """Worker processes of any sweep on this machine that this test process started, by their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command, environ = process.info["cmdline"] or [], process.info["environ"] or {}
        if any("harness/qparity/worker/__main__.py" in word for word in command) and "QPARITY_TEST_FLAG" in environ:
            found.append(process)
    return found


def nothing_left(seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while workers():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_every_misfortune_is_an_outcome_and_the_others_finish(qparity, mischief):
    hows = ("deadlock", "kill", "segfault", "exit", "abort", "memory", "raise", "print", "flood", "nan", "well")
    limits = ("--timeout", 15, "--max-memory", "2G", "--no-timing")
    run = qparity("run", scenario(mischief, *hows), "--results", mischief / "results", *limits)
    assert run.returncode == 3, run.stdout + run.stderr
    assert nothing_left()
    cells = {cell["scenario"].rpartition("-")[2]: cell for cell in document(qparity, mischief)["cells"]}
    assert {name: cell["status"] for name, cell in cells.items()} == {
        "deadlock": "timeout",
        "kill": "crashed",
        "segfault": "crashed",
        "exit": "crashed",
        "abort": "crashed",
        "memory": "failed",
        "raise": "failed",
        "flood": "timeout",
        "nan": "diverged",
        "print": "ok",
        "well": "ok",
    }
    assert "SIGKILL" in cells["kill"]["reason"]
    assert "exit code 7" in cells["exit"]["reason"]
    assert "SIGABRT" in cells["abort"]["reason"]
    assert "SIGSEGV" in cells["segfault"]["reason"]
    assert "15 s" in cells["deadlock"]["reason"]
    assert "4.00 GiB" in cells["memory"]["reason"]
    assert re.search(r"\bloss\b.*\bnan\b.*\bstep 1\b", cells["nan"]["reason"])
    assert "mischief: two lines" in cells["raise"]["reason"]
    assert cells["well"]["verdict"] == cells["print"]["verdict"] == "ROUNDING"
    results = next((mischief / "results").iterdir())
    for cell in cells.values():
        assert (results / cell["log"]).is_file()
    assert log.MOST_BYTES <= (results / cells["flood"]["log"]).stat().st_size < log.MOST_BYTES + 2**20
    assert "GARBAGE" in (results / cells["print"]["log"]).read_text()
    assert "Traceback" in (results / cells["raise"]["log"]).read_text()
    workers_seen = json.loads((results / "run.json").read_text())["workers"]
    assert {worker["imports"] for worker in workers_seen.values()} == {1}, "backend and reference"


def test_a_spawned_cell_is_the_forked_one_bit_for_bit_and_its_death_is_told_alike(qparity, mischief):
    file, runs = scenario(mischief, "kill", "well"), {}
    for isolation, keep in (("spawn", "kill or well"), ("fork", "well")):
        results = mischief / isolation
        qparity("run", file, "--results", results, "--isolation", isolation, "-k", keep, "--no-timing")
        runs[isolation] = Run.load(next(results.glob("*/run.json")).parent)
    assert nothing_left()
    ((cell, forked),) = runs["fork"].outcomes().items()
    outcomes = runs["spawn"].outcomes()
    spawned = outcomes.pop(cell)
    assert [(each.isolation, each.status) for each in (forked, spawned)] == [("fork", "ok"), ("spawn", "ok")]
    one, other = (run.trace(cell) for run in runs.values())
    assert one.keys() == other.keys()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    ((status, reason),) = ((each.status, each.reason) for each in outcomes.values())
    assert (status, reason) == ("crashed", "killed by SIGKILL")
