"""Run `tests/backend` once inside each backend: Keras fixes its backend when it is imported."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, backends


@pytest.mark.parametrize("backend", backends())
def test_layer_inside(backend, tmp_path):
    """JAX compiles many programs again and again here: what it has made once it finds on disk."""
    environment = os.environ | {"KERAS_BACKEND": backend, "QPARITY_IN_BACKEND": backend}
    environment |= {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-m", "pytest", "tests/backend", "-q", "-p", "no:cacheprovider", "--no-header", "-x"]
    run = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=800)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
