"""One small real run for all tests of the room, and a way to run a written script as its reader would."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qparity.diagnose import find
from qparity.parity import Stage
from qparity.store import Run
from tests.conftest import backends

FORKED = Path(__file__).with_name("forked.py")
CELLS = """
variants = {variants}
wires = 2
layers = 2
data = {{ samples = 5 }}
training = {{ batch_size = 3, epochs = 2 }}
[matrix]
channel = [
    {{ label = "exact", training.numerics = "exact" }},
    {{ label = "stock", training.numerics = "stock" }},
]
"""
CHOSEN = [{"torch": "torch", "tensorflow": "tf-graph", "jax": "jax-jit"}[b] for b in backends()]


@pytest.fixture(scope="session")
def small(tmp_path_factory, qparity):
    """Both channels on one variant of each backend."""
    folder = tmp_path_factory.mktemp("diagnose")
    (folder / "small.toml").write_text(CELLS.format(variants=json.dumps(CHOSEN)))
    done = qparity("run", "small.toml", "--no-timing", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run.load(folder / "results" / done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def execute(tmp_path_factory):
    """Run a script far from the project, without anything of ours; one process imports for all of a backend."""
    servers = {}

    def started(backend: str) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"KERAS_BACKEND": backend}
        command = [sys.executable, "-P", str(FORKED), "keras", "pennylane", "pennylane_lightning", backend]
        return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(source: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path_factory.mktemp("repro") / "repro.py"
        file.write_text(source)
        assert not re.search(r"(from|import) qparity", source)
        backend = re.search(r'"KERAS_BACKEND"\] = "(\w+)"', source).group(1)
        if backend not in servers:
            servers[backend] = started(backend)
        server = servers[backend]
        server.stdin.write(f"{file}\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        return subprocess.CompletedProcess([str(file)], answer["code"], answer["said"], "")

    yield run
    for server in servers.values():
        server.stdin.close()
        server.wait(30)


def pointed(run: Run, cell: str, stage: Stage, step: int = 1):
    """A cell as if its judgement pointed at a stage."""
    subject = find(run, cell)
    tensor = {
        Stage.FORWARD: "predictions",
        Stage.LOSS: "loss",
        Stage.GRADIENT: "gradients/0",
        Stage.UPDATE: "weights/0",
    }
    return replace(subject, judgement=replace(subject.judgement, stage=stage, step=step, tensor=tensor[stage]))
