"""A sample of the matrix of losses and optimizers; all of it: `python benchmarks/training_matrix.py`."""

import os
import subprocess
import sys

from tests.conftest import ROOT, SOURCES, variants

TRAINED = [name for name in ("torch", "tf-graph", "jax-jit") if name in variants()]


def test_no_loss_or_optimizer_is_accused_and_a_fault_in_each_is_found():
    command = [sys.executable, str(ROOT / "benchmarks" / "training_matrix.py"), "--every", "61", "--variants", *TRAINED]
    environment = os.environ | {"PYTHONPATH": SOURCES}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    found = int(done.stdout.split(" planted faults")[0].split()[-1])
    assert found >= 6, done.stdout
