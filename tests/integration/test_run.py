"""The main job on the real backends: agreement from the same weights, one import a backend, a light parent."""

import json
import os
import shutil
import subprocess
import sys
import venv

import numpy as np
import pytest

from qparity.reporting import index
from qparity.scenario.backends import trainable
from qparity.store import Run
from qparity.summary import judgements
from qparity.worker import accelerator
from tests.conftest import ROOT, SOURCES, backends, variants, variants_of

EAGER_AND_JIT = [v for b in backends() for v in variants_of(b) if v in ("tf", "torch", "jax", "jax-jit")]
CELLS = """
variants = {variants}
data = {{ samples = 7 }}
training = {{ batch_size = 4, epochs = 2 }}
[matrix]
layers = [1, 2]
simulator = [
    {{ device = "default.qubit", diff_method = "backprop" }},
    {{ device = "lightning.qubit", diff_method = "adjoint" }},
]
"""
STOCK = """
variants = {variants}
data = {{ samples = 32 }}
training = {{ epochs = 3, numerics = "stock" }}
[scenarios]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory, qparity):
    """16 cells on three backends (fewer on one), run once."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.toml").write_text(CELLS.format(variants=json.dumps(EAGER_AND_JIT)))
    done = qparity("run", "small.toml", "--no-timing", "--report", "--check", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run.load(folder / "results" / done.stdout.splitlines()[-1])
    return run, done, folder


def test_every_cell_is_a_pass(small):
    run, done, _ = small
    found = judgements(run)
    assert len(found) == 4 * len(EAGER_AND_JIT)
    assert {str(j.verdict) for j in found.values()} == {"ROUNDING"}
    assert f" {len(found)} " in done.stdout


def test_agreement_within_1e_13_at_every_step_from_the_same_weights(small):
    run, _, _ = small
    for place in run.planned():
        if place.scenario.device == "default.qubit":
            stages = judgements(run)[place.cell_id].stages
            for stage in ("forward", "loss", "gradient"):
                assert np.nanmax(stages[stage].residual) < 0.5e-13
                assert not np.isnan(stages[stage].residual).any()


def test_variants_agree_with_each_other_at_the_first_step(small):
    run, _, _ = small
    for block in run.plan.blocks:
        traces = [run.trace(cell.id) for cell in block.cells]
        for trace in traces[1:]:
            rows = slice(*trace["offsets"][:2])
            np.testing.assert_array_equal(trace["weights/0"][0], traces[0]["weights/0"][0])
            for name, part in (("predictions", rows), ("loss", 0), ("gradients/0", 0)):
                np.testing.assert_allclose(trace[name][part], traces[0][name][part], atol=1e-13, rtol=0)


def test_fit_ends_at_the_audits_weights_bit_for_bit(small):
    run, _, _ = small
    for outcome in run.outcomes().values():
        assert outcome.fit.equals_audit, outcome.variant
        assert len(outcome.fit.history) == 2


def test_each_framework_is_imported_once(small):
    run, _, _ = small
    judges = ["numpy"]  # the reference: Keras on NumPy
    assert sorted(run.record.workers) == sorted(f"{backend}@cpu-1t" for backend in [*backends(), *judges])
    assert {worker.imports for worker in run.record.workers.values()} == {1}


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


def test_check_needs_nothing_but_the_run_folder(small, qparity, tmp_path):
    """The same answer where no framework can be imported, from a copy of the folder alone."""
    run, _, folder = small
    shutil.copytree(run.path, tmp_path / run.id)
    command = [sys.executable, "-c", BLOCKED, "check", str(tmp_path / run.id), "--json"]
    environment = os.environ | {"PYTHONPATH": SOURCES}
    alone = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=300)
    here = qparity("check", run.id, "--json", cwd=folder)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert json.loads(alone.stdout) == json.loads(here.stdout)
    keras = [sys.executable, "-c", BLOCKED.replace("qparity.cli", "keras")]
    assert "keras is not on this machine" in subprocess.run(keras, text=True, capture_output=True).stderr


def test_the_report_is_there(small):
    run, _, folder = small
    text = (folder / "reports" / f"{run.id}.html").read_text()
    assert index.read(text)["counts"]["pass"] == len(run.planned())
    assert run.id in text


def test_trace_is_native_and_complete(small):
    run, _, _ = small
    for cell_id, outcome in run.outcomes().items():
        trace = run.trace(cell_id)
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


@pytest.mark.backend("tensorflow", "torch", "jax")
def test_stock_numerics_show_what_a_plain_fit_user_gets(tmp_path, qparity):
    done = qparity("run", ROOT / "scenarios" / "stock.toml", "--no-timing", "--check", "--results", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run.load(tmp_path / done.stdout.splitlines()[-1])
    outcomes = {(o.scenario.name, o.variant): o for o in run.outcomes().values()}
    for variant in ("tf", "torch", "jax", "jax-jit"):
        exact, stock = (outcomes[name, variant].fit.history[0] for name in ("stock-exact", "stock-stock"))
        assert abs(exact - stock) < 1e-6
    found = judgements(run)
    by_cell = {(o.scenario.name, o.variant): found[i] for i, o in run.outcomes().items()}
    for variant in ("torch", "jax", "jax-jit"):
        leak = by_cell["stock-stock", variant]
        assert (str(leak.verdict), str(leak.stage)) == ("PRECISION-LEAK", "loss")
        assert 1e-9 < np.nanmax(leak.stages["loss"].residual) < 1e-6
    assert str(by_cell["stock-stock", "tf"].verdict) == "SETUP-FAULT"
    assert by_cell["stock-stock", "tf"].tensor == "beta_1"


def test_all_modes_and_partial_batches(tmp_path, qparity):
    (tmp_path / "modes.toml").write_text(
        f"variants = {json.dumps(variants())}\nwires = 2\ndata = {{ samples = 5 }}\n"
        "training = { batch_size = 2, epochs = 2 }\n[matrix]\ndtype = ['float64', 'float32']\n"
    )
    done = qparity("run", "modes.toml", "--no-timing", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(qparity("show", "--json", cwd=tmp_path).stdout)
    assert {cell["verdict"] for cell in document["cells"]} == {"ROUNDING"}
    assert document["counts"]["pass"] == len(document["cells"]) == 2 * len(variants())


def test_shuffled_batches_come_in_the_shipped_order(tmp_path, qparity):
    (tmp_path / "s.toml").write_text(
        f"variants = {json.dumps(EAGER_AND_JIT[-1:])}\ndata = {{ samples = 7 }}\n"
        "training = { batch_size = 3, epochs = 3, shuffle = true }\n"
    )
    done = qparity("run", "s.toml", "--no-timing", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run.load(tmp_path / "results" / done.stdout.splitlines()[-1])
    (cell_id, outcome), *_ = run.outcomes().items()
    order = run.trace(cell_id)["batch_index"].reshape(3, 7)
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


def test_a_missing_backend_is_unsupported_and_the_rest_runs(tmp_path, qparity):
    """An interpreter without the framework stands for a machine where it is not installed."""
    venv.create(tmp_path / "bare", with_pip=False)
    here, *others = backends()
    absent = others[0] if others else next(facts.name for facts in trainable() if facts.name != here)
    (tmp_path / "s.toml").write_text(
        f"variants = {json.dumps([variants_of(here)[0], variants_of(absent)[0]])}\n"
        "data = { samples = 3 }\ntraining = { batch_size = 3, epochs = 1 }\n"
    )
    bare = f"{absent}={tmp_path}/bare/bin/python"
    done = qparity("run", "s.toml", "--no-timing", "--check", "--python", bare, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = {c["variant"]: c for c in json.loads(qparity("show", "--json", cwd=tmp_path).stdout)["cells"]}
    assert cells[variants_of(here)[0]]["verdict"] == "ROUNDING"
    lacking = cells[variants_of(absent)[0]]
    assert lacking["status"] == "unsupported"
    assert f"{absent} is not installed" in lacking["reason"]
    assert f"pip install '.[{absent}]'" in lacking["reason"]


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


def test_the_parent_imports_no_framework_and_stays_small(tmp_path):
    (tmp_path / "s.toml").write_text(
        f"variants = {json.dumps(EAGER_AND_JIT[-1:])}\ndata = {{ samples = 3 }}\n"
        "training = { batch_size = 3, epochs = 1 }\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PARENT, "run", "s.toml", "--no-timing", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["frameworks"] == []
    assert said["peak"] < 200e6


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "pandas", "pydantic", "altair", "scipy"}
    code = f"import sys, qparity.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "[]"
