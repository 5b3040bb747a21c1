"""What all tests share: which backends are here, and the command line in its own process."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from qparity.runner import warm
from qparity.runner.pool import KEPT, THREADS
from qparity.scenario.backends import BACKENDS, trainable

# No clock in a test's verdict: the machine may be busy with other things.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; what is started here would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# JAX compiles the same small programs in many tests: what one has compiled the others find, here and in sweeps.
MINE = KEPT not in os.environ
if MINE:
    os.environ[KEPT] = tempfile.mkdtemp(prefix="qparity-compiled-")
    os.environ[warm.WARM] = tempfile.mkdtemp(prefix="qparity-warm-", dir="/tmp")  # frameworks are imported once for all
# Where several processes share the cores, the threads of one wait for each other: a gradient of lightning.qubit takes
# 100 ms in place of 2.
os.environ |= dict.fromkeys(THREADS, "1")
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": os.environ[KEPT],
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}

ROOT = Path(__file__).parent.parent
SOURCES = os.pathsep.join(map(str, (ROOT / "harness", ROOT)))
"""PYTHONPATH of this checkout: the package, and the tests' own modules."""


def backends() -> list[str]:
    """The backends under test: `QPARITY_BACKENDS`, or the one that tests run inside of, or all three.

    One that should be here and is not is a failure.
    """
    inside = os.environ.get("QPARITY_IN_BACKEND") or " ".join(facts.name for facts in trainable())
    return os.environ.get("QPARITY_BACKENDS", inside).split()


def variants() -> list[str]:
    """Every variant of the backends under test, see `variants_of`."""
    return [variant for backend in backends() for variant in variants_of(backend)]


def variants_of(backend: str) -> list[str]:
    """The variants of a backend, eager first, but `torch-compile`, which takes a minute to compile."""
    return [mode.variant for mode in BACKENDS[backend].modes if mode.name != "compile"]


def pytest_unconfigure() -> None:
    """The process that made the folder of compiled programs takes it away; xdist's workers were given it."""
    if MINE:
        warm.end(os.environ[warm.WARM])
        for name in (KEPT, warm.WARM):
            shutil.rmtree(os.environ[name], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("backend"):
        missing = [name for name in mark.args if name not in backends()]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process ends long after the others; browser tests last.

    Playwright leaves an event loop running in this thread, and a sweep wants its own.
    """
    rooms = ("integration/test_in_", "integration", "diagnose", "reliability", "", "browser")

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        return rooms.index("browser") if "browser" in path else [path.startswith(room) for room in rooms].index(True)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    for backend in backends():
        assert importlib.util.find_spec(BACKENDS[backend].package), f"{backend} is under test but not installed"


Qparity = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def qparity(tmp_path_factory) -> Iterator[Qparity]:
    """Run the command line as a user does; `qparity("list", file)` returns the finished process.

    One process imports it for all commands, which are forks of it: `tests/commands.py`.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, str(ROOT / "tests" / "commands.py")]
    server = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": SOURCES}, **pipes)
    folder = tmp_path_factory.mktemp("said")

    def run(*arguments: object, cwd: Path | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "GITHUB_ACTIONS"} | {"PYTHONPATH": SOURCES}
        out, err = (folder / name for name in ("out", "err"))
        asked = {"arguments": list(map(str, arguments)), "cwd": str(cwd or Path.cwd()), "environment": environment}
        server.stdin.write(json.dumps(asked | {"out": str(out), "err": str(err)}) + "\n")
        server.stdin.flush()
        pid = int(server.stdout.readline())
        patience = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
        patience.start()
        code = int(server.stdout.readline())
        patience.cancel()
        return subprocess.CompletedProcess(asked["arguments"], code, out.read_text(), err.read_text())

    yield run
    server.stdin.close()
    server.wait(30)
