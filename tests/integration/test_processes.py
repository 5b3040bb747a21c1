"""What the runner promises about processes: every death is an outcome, the others finish, nothing is left over."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, VARIANTS, backends

VARIANT = VARIANTS[backends()[-1]][-1]
MISCHIEF = """
import os, signal, sys, time
import pennylane as qml

def misbehave(inputs, weights, how):
    flag = os.environ.get("QPARITY_TEST_FLAG", "")
    if how != "well" and os.path.exists(flag):
        if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
        if how == "abort": os.abort()
        if how == "exit": os._exit(7)
        if how == "hang": time.sleep(600)
        if how == "raise": raise RuntimeError("mischief: two\\nlines")
        if how == "print": print("GARBAGE" * 10); sys.stdout.flush()
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
    return tmp_path


def document(qparity, folder: Path) -> dict:
    return json.loads(qparity("show", "--json", "--results", folder / "results").stdout)


def workers() -> list[psutil.Process]:
    """Worker processes of any sweep on this machine that this test process started, by their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command, environ = process.info["cmdline"] or [], process.info["environ"] or {}
        if any("harness/worker/__main__.py" in word for word in command) and "QPARITY_TEST_FLAG" in environ:
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
    file = scenario(mischief, "kill", "exit", "abort", "hang", "raise", "print", "well")
    run = qparity("run", file, "--results", mischief / "results", "--timeout", 15, "--no-timing")
    assert run.returncode == 3, run.stdout + run.stderr
    assert nothing_left()
    cells = {cell["scenario"].rpartition("-")[2]: cell for cell in document(qparity, mischief)["cells"]}
    assert {name: cell["status"] for name, cell in cells.items()} == {
        "kill": "crashed",
        "exit": "crashed",
        "abort": "crashed",
        "hang": "timeout",
        "raise": "failed",
        "print": "ok",
        "well": "ok",
    }
    assert "SIGKILL" in cells["kill"]["reason"]
    assert "exit code 7" in cells["exit"]["reason"]
    assert "SIGABRT" in cells["abort"]["reason"]
    assert "15 s" in cells["hang"]["reason"]
    assert "mischief: two lines" in cells["raise"]["reason"]
    assert cells["well"]["verdict"] == cells["print"]["verdict"] == "ROUNDING"
    results = next((mischief / "results").iterdir())
    for cell in cells.values():
        assert (results / cell["log"]).is_file()
    assert "GARBAGE" in (results / cells["print"]["log"]).read_text()
    assert "Traceback" in (results / cells["raise"]["log"]).read_text()
    workers_seen = json.loads((results / "run.json").read_text())["workers"]
    assert [worker["imports"] for worker in workers_seen.values()] == [1]


def test_resume_runs_only_what_is_missing(qparity, mischief):
    file = scenario(mischief, "kill", "well")
    first = qparity("run", file, "--results", mischief / "results", "--no-timing")
    assert first.returncode == 3
    folder = next((mischief / "results").iterdir())
    kept, lost = sorted((folder / "cells").iterdir(), key=lambda p: json.loads(p.read_text())["status"] != "ok")
    before = kept.stat().st_mtime_ns
    lost.unlink()
    (mischief / "flag").unlink()
    again = qparity("run", file, "--results", mischief / "results", "--resume", "latest", "--no-timing")
    assert again.returncode == 0, again.stdout + again.stderr
    assert kept.stat().st_mtime_ns == before
    assert json.loads(lost.read_text())["status"] == "ok"
    assert again.stdout.splitlines()[-1] == folder.name


def start(mischief: Path, file: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "harness.cli", "run", str(file), "--results", str(mischief / "results")]
    command += ["--no-timing"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
    return found


def finished_cells(mischief: Path) -> list[Path]:
    return list((mischief / "results").glob("*/cells/*.json"))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_is_done(mischief, sign):
    process = start(mischief, scenario(mischief, "well", "hang"))
    wait_for(lambda: finished_cells(mischief))
    process.send_signal(sign)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, out + err
    assert "--resume" in err
    assert "Traceback" not in out + err
    assert nothing_left()
    record = json.loads(next((mischief / "results").glob("*/run.json")).read_text())
    assert record["state"] == "interrupted"
    assert record["workers"]


def test_no_orphan_when_the_parent_is_killed(mischief):
    process = start(mischief, scenario(mischief, "well", "hang"))
    wait_for(lambda: finished_cells(mischief))
    assert wait_for(workers)
    process.kill()
    process.communicate()
    assert nothing_left()


def test_a_killed_server_costs_its_cells_not_the_sweep(mischief, qparity):
    process = start(mischief, scenario(mischief, "hang", "well"))
    wait_for(lambda: finished_cells(mischief))
    server = min(workers(), key=lambda p: p.create_time())
    server.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, out + err
    assert nothing_left()
    cells = {cell["scenario"].rpartition("-")[2]: cell for cell in document(qparity, mischief)["cells"]}
    assert cells["hang"]["status"] == "crashed"
    assert "server" in cells["hang"]["reason"]
    assert cells["well"]["status"] == "ok"
