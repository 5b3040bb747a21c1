"""Warm workers: a process that stays forks the servers of many sweeps, each with its own environment and socket."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from qparity.runner import warm
from tests.conftest import SOURCES

SERVER = """
import json, os, sys
from socket import socket
from qparity.worker.warm import next_parent
imported = os.getpid()
parent = next_parent(socket(fileno=int(sys.argv[-1])))
print("said in the log", flush=True)
told = {"imported": imported, "pid": os.getpid(), "mine": os.environ["QPARITY_MINE"], "cwd": os.getcwd()}
parent.send(json.dumps(told).encode())
parent.recv(1)
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask for a server in an environment: what it says, the socket to it, and what the pool has of it."""
    folder = tmp_path / "w"
    monkeypatch.setenv(warm.WARM, str(folder))
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    sockets = []

    def one(**more):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sockets.append(ours)
        environment = {"PYTHONPATH": SOURCES, "PATH": os.environ["PATH"], **more}
        with theirs, (tmp_path / "log").open("ab") as log:
            command = [sys.executable, str(script)]
            process = warm.forked(command, environment, theirs.fileno(), log.fileno())
        return (None if process is None else json.loads(ours.recv(1 << 16))), ours, process

    yield one
    for each in sockets:
        each.close()
    warm.end(folder)


def test_servers_come_from_one_process_and_end_with_their_sweep(ask, tmp_path):
    first, one, process = ask(QPARITY_MINE="a", PYTEST_CURRENT_TEST="x")
    second, _other, later = ask(QPARITY_MINE="b", PYTEST_CURRENT_TEST="y")
    assert first["imported"] == second["imported"] != first["pid"] != second["pid"]
    assert (first["mine"], second["mine"], first["cwd"]) == ("a", "b", str(tmp_path))
    assert (tmp_path / "log").read_text() == "said in the log\n" * 2
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    one.close()
    process.wait(10)
    later.kill()
    later.wait(10)
    os.kill(first["imported"], 0)  # it is still there
    warm.end(tmp_path / "w")
    end = time.monotonic() + 10
    while list((tmp_path / "w").glob("*.sock")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_another_environment_has_another_process_and_a_third_none(ask):
    (one, *_), (two, *_), (three, *_) = (ask(QPARITY_MINE="a", OTHER=value) for value in "xyz")
    assert one["imported"] != two["imported"]
    assert three is None


def test_one_that_was_killed_is_started_again(ask):
    first, *_ = ask(QPARITY_MINE="a")
    os.kill(first["imported"], 9)
    end, second = time.monotonic() + 10, None
    while second is None:  # as long as it is dying, there is none
        assert time.monotonic() < end
        second, *_ = ask(QPARITY_MINE="a")
    assert second["imported"] != first["imported"]


def test_nobody_asked_for_any(ask, monkeypatch):
    monkeypatch.delenv(warm.WARM)
    assert ask(QPARITY_MINE="a")[0] is None
