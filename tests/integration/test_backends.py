"""Run `tests/backend` once inside each backend: Keras fixes its backend when it is imported."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, backends


@pytest.mark.parametrize("backend", backends())
def test_layer_inside(backend):
    environment = os.environ | {"KERAS_BACKEND": backend, "QPARITY_IN_BACKEND": backend}
    command = [sys.executable, "-m", "pytest", "tests/backend", "-q", "-p", "no:cacheprovider", "--no-header", "-x"]
    run = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=800)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
