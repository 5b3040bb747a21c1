"""The main job on the real backends: agreement from the same weights, one import a backend, a light parent."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from qparity.records import Outcome
from qparity.reporting import index
from qparity.scenario.backends import trainable
from qparity.store import Run
from qparity.summary import judgements, summarise
from qparity.worker import accelerator
from tests.conftest import ROOT, SOURCES, backends, variants, variants_of

EAGER_AND_JIT = [v for b in backends() for v in variants_of(b) if v in ("tf", "torch", "jax", "jax-jit")]
SMALL = """
variants = {variants}
data = {{ samples = 7 }}
training = {{ batch_size = 4, epochs = 2 }}
[matrix]
simulator = [
    {{ device = "default.qubit", diff_method = "backprop" }},
    {{ device = "lightning.qubit", diff_method = "adjoint" }},
]
"""
MODES = """
variants = {variants}
data = {{ samples = 5 }}
training = {{ batch_size = 2, epochs = 2 }}
[matrix]
precision = [
    {{ label = "float64", dtype = "float64", wires = 2 }},
    {{ label = "float32", dtype = "float32", wires = 1 }},
]
"""
SHUFFLED = """
variants = {variants}
data = {{ samples = 7 }}
training = {{ batch_size = 3, epochs = 3, shuffle = true }}
"""


@dataclass(frozen=True)
class Swept:
    """A run, what the command that made it said, and where."""

    run: Run
    done: subprocess.CompletedProcess[str]
    folder: Path

    def cells(self, file: str) -> dict[tuple[str, str], Outcome]:
        """The outcomes of a file's cells, by scenario and variant."""
        outcomes = self.run.outcomes().values()
        return {(o.scenario.name, o.variant): o for o in outcomes if o.scenario.name.startswith(file)}


@pytest.fixture(scope="module")
def swept(tmp_path_factory, qparity):
    """All files in one sweep on three backends (or on one)."""
    folder = tmp_path_factory.mktemp("swept")
    files = {"small": (SMALL, EAGER_AND_JIT), "modes": (MODES, variants()), "shuffled": (SHUFFLED, EAGER_AND_JIT[-1:])}
    for name, (text, chosen) in files.items():
        (folder / f"{name}.toml").write_text(text.format(variants=json.dumps(chosen)))
    done = qparity("run", *(f"{name}.toml" for name in files), "--no-timing", "--report", "--check", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return Swept(Run.load(folder / "results" / done.stdout.splitlines()[-1]), done, folder)


def test_every_cell_is_a_pass(swept):
    """All modes, both dtypes, partial batches."""
    found = judgements(swept.run)
    cells = [*swept.cells("small").values(), *swept.cells("modes").values(), *swept.cells("shuffled").values()]
    assert len(cells) == 2 * len(EAGER_AND_JIT) + 2 * len(variants()) + 1
    assert {str(found[outcome.id].verdict) for outcome in cells} == {"ROUNDING"}
    assert f" {len(found)} " in swept.done.stdout


def test_agreement_within_1e_13_at_every_step_from_the_same_weights(swept):
    found = judgements(swept.run)
    for outcome in swept.cells("small").values():
        if outcome.scenario.device == "default.qubit":
            stages = found[outcome.id].stages
            for stage in ("forward", "loss", "gradient"):
                assert np.nanmax(stages[stage].residual) < 0.5e-13
                assert not np.isnan(stages[stage].residual).any()


def test_variants_agree_with_each_other_at_the_first_step(swept):
    for block in swept.run.plan.blocks:
        if not block.scenario.name.startswith("small"):
            continue
        traces = [swept.run.trace(cell.id) for cell in block.cells]
        for trace in traces[1:]:
            rows = slice(*trace["offsets"][:2])
            np.testing.assert_array_equal(trace["weights/0"][0], traces[0]["weights/0"][0])
            for name, part in (("predictions", rows), ("loss", 0), ("gradients/0", 0)):
                np.testing.assert_allclose(trace[name][part], traces[0][name][part], atol=1e-13, rtol=0)


def test_fit_ends_at_the_audits_weights_bit_for_bit(swept):
    for outcome in swept.cells("small").values():
        assert outcome.fit.equals_audit, outcome.variant
        assert len(outcome.fit.history) == 2


def test_each_framework_is_imported_once(swept):
    judges = ["numpy"]  # the reference: Keras on NumPy
    workers = swept.run.record.workers
    assert sorted(workers) == sorted(f"{backend}@cpu-1t" for backend in [*backends(), *judges])
    assert {worker.imports for worker in workers.values()} == {1}


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"keras", "tensorflow", "torch", "jax", "pennylane", "pennylane_lightning"}:
            raise ImportError(f"{name} is not on this machine")

sys.meta_path.insert(0, Blocked())
from qparity.cli import app
app()
"""


def test_check_needs_nothing_but_the_run_folder(swept, qparity, tmp_path):
    """The same answer where no framework can be imported, from a copy of the folder alone."""
    run, folder = swept.run, swept.folder
    shutil.copytree(run.path, tmp_path / run.id)
    command = [sys.executable, "-c", BLOCKED, "check", str(tmp_path / run.id), "--json"]
    environment = os.environ | {"PYTHONPATH": SOURCES}
    alone = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=300)
    here = qparity("check", run.id, "--json", cwd=folder)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert json.loads(alone.stdout) == json.loads(here.stdout)
    keras = [sys.executable, "-c", BLOCKED.replace("qparity.cli", "keras")]
    assert "keras is not on this machine" in subprocess.run(keras, text=True, capture_output=True).stderr


def test_the_report_is_there(swept):
    text = (swept.folder / "reports" / f"{swept.run.id}.html").read_text()
    cells = index.read(text).cells
    assert Counter(cell.mark for cell in cells) == Counter(summarise(swept.run).counts)
    assert swept.run.id in text


def test_trace_is_native_and_complete(swept):
    for outcome in swept.cells("small").values():
        trace = swept.run.trace(outcome.id)
        steps, rows = 4, 14
        assert trace["offsets"].tolist() == [0, 4, 7, 11, 14]
        assert trace["predictions"].shape == (rows, 1)
        assert trace["gradients/0"].shape == trace["weights/0"].shape == trace["slots/0/m"].shape
        assert trace["iterations"].tolist() == list(range(steps))
        assert {trace[k].dtype.name for k in ("predictions", "gradients/0", "loss", "slots/0/v")} == {"float64"}
        np.testing.assert_array_equal(trace["weights/0"][1:], trace["new_weights/0"][:-1])
        assert outcome.audit.devices["weights"] == ("cpu",)
        assert outcome.audit.compiled == (outcome.variant == "jax-jit")
        assert outcome.resolved.diff_method == outcome.scenario.diff_method


def test_shuffled_batches_come_in_the_shipped_order(swept):
    (outcome,) = swept.cells("shuffled").values()
    order = swept.run.trace(outcome.id)["batch_index"].reshape(3, 7)
    assert np.array_equal(np.sort(order, axis=1), np.tile(np.arange(7), (3, 1)))
    assert not np.array_equal(order[0], order[1])
    assert outcome.fit.max_weight_difference < 1e-10  # jax-jit: another program, other rounding; else 0


@pytest.mark.skipif(accelerator.driver() is not None, reason="this machine has a GPU")
def test_without_a_gpu_every_cell_for_one_says_what_its_own_backend_lacks(tmp_path, qparity):
    names = [f"{variants_of(backend)[0]}@gpu" for backend in backends()]
    devices = '[matrix]\ndevice = ["default.qubit", "lightning.gpu"]\n'
    (tmp_path / "gpu.toml").write_text(f"variants = {json.dumps(names)}\n{devices}")
    done = qparity("run", "gpu.toml", "--no-timing", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run.load(tmp_path / "results" / done.stdout.splitlines()[-1])
    outcomes = list(run.outcomes().values())
    assert {(each.status, each.isolation) for each in outcomes} == {("unsupported", "spawn")}
    assert len({each.reason for each in outcomes}) == 2 * len(names)
    assert all("no NVIDIA driver" in each.reason for each in outcomes)


PARENT = """
import json, re, sys
from qparity import cli
try:
    cli.main()
except SystemExit:
    pass
print(json.dumps({
    "frameworks": sorted({"keras", "tensorflow", "torch", "jax", "pennylane"} & set(sys.modules)),
    "peak": int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024,
}))
"""


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A sweep of two variants, one of a backend that is missing: the variants, where, and what its parent says."""
    folder = tmp_path_factory.mktemp("parent")
    venv.create(folder / "bare", with_pip=False)  # without the framework: a machine where it is not installed
    here = "torch" if "torch" in backends() else backends()[0]
    absent = next(facts.name for facts in trainable() if facts.name != here)
    chosen = [variants_of(name)[0] for name in (here, absent)]
    (folder / "s.toml").write_text(
        f"variants = {json.dumps(chosen)}\ndata = {{ samples = 3 }}\ntraining = {{ batch_size = 3, epochs = 1 }}\n"
    )
    command = [sys.executable, "-c", PARENT, "run", "s.toml", "--no-timing", "--check"]
    done = subprocess.run(
        [*command, "--python", f"{absent}={folder}/bare/bin/python"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return here, absent, folder, json.loads(done.stdout.splitlines()[-1])


def test_a_missing_backend_is_unsupported_and_the_rest_runs(parent, qparity):
    here, absent, folder, _ = parent
    document = json.loads(qparity("check", "--json", cwd=folder).stdout)
    assert document["exit_code"] == 0
    cells = {c["variant"]: c for c in document["cells"]}
    assert cells[variants_of(here)[0]]["verdict"] == "ROUNDING"
    lacking = cells[variants_of(absent)[0]]
    assert lacking["status"] == "unsupported"
    assert f"{absent} is not installed" in lacking["reason"]
    assert f"pip install '.[{absent}]'" in lacking["reason"]


def test_the_parent_imports_no_framework_and_stays_small(parent):
    *_, said = parent
    assert said["frameworks"] == []
    assert said["peak"] < 200e6


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "pandas", "pydantic", "altair", "scipy"}
    code = f"import sys, qparity.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "[]"
