"""Run `tests/backend` once inside a backend: Keras fixes its backend when it is imported."""

import os
import subprocess
import sys

from tests.conftest import ROOT


def run_inside(backend: str) -> None:
    """All tests of this folder, in a process of their own."""
    environment = os.environ | {"KERAS_BACKEND": backend, "QPARITY_IN_BACKEND": backend, "QPARITY_BACKENDS": backend}
    command = [sys.executable, "-m", "pytest", "tests/backend", "-q", "-p", "no:cacheprovider", "--no-header", "-x"]
    run = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=1200)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
