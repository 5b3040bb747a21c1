"""DataFrames and the environment fingerprint."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qparity.records import Environment, Timing, read
from qparity.store import Run, atomic, differences, fingerprint
from tests.reporting.run_builder import build_run

from .test_store_run import cell, outcome, plan, trace


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path, plan("s", "t"), {}, "")
    made.write_outcome(outcome(cell(0), phases={"step_s": 0.5, "fit_s": None}), trace())
    made.write_outcome(outcome(cell(1), status="failed", reason="boom"))
    return Run.load(made.path)


def test_cells_have_a_row_for_every_planned_cell(run: Run):
    table = run.cells()
    assert list(table.status) == ["ok", "failed", "missing", "missing"]
    assert list(table.optimizer.unique()) == ["adam"]
    assert table.reason[1] == "boom"


def test_timings_leave_out_what_was_not_measured(run: Run):
    assert run.timings()[["variant", "phase", "seconds"]].values.tolist() == [["torch", "audit_step", 0.5]]


def test_rounds_are_what_speeds_are_made_of(run: Run):
    sample = {"step_s": 0.1, "wall_s": 1.0, "cpu_s": 0.9, "delayed_s": 0.0}
    rounds = [
        {"child": 0, "kept": k != 1, "samples": {"torch": sample, "jax": sample | {"step_s": 0.2}}} for k in range(3)
    ]
    run.write_timing("s", Timing({"lanes": {}, "rounds": rounds, "left_out": {}}))
    table = Run.load(run.path).rounds()
    assert len(table) == 6
    kept = table[table.kept].pivot(index=["scenario", "round"], columns="variant", values="step_s")
    assert (kept.jax / kept.torch).tolist() == [2.0, 2.0]


def test_steps_give_loss_and_norms(run: Run):
    table = run.steps()
    assert list(table.step) == [0, 1]
    assert list(table.weight_norm) == [5.0, 0.0]
    assert table.gradient_norm[0] == 1.0
    assert np.isnan(table.gradient_norm[1])


def test_an_empty_run_has_empty_tables(tmp_path: Path):
    run = Run.create(tmp_path, plan(), {}, "")
    assert len(run.cells()) == len(run.timings()) == len(run.steps()) == 0
    assert "seconds" in run.timings()


def test_the_fingerprint_names_versions_and_machine_but_not_the_host(tmp_path: Path):
    found = fingerprint(tmp_path)
    assert found["packages"]["numpy"] == np.__version__
    assert found["cpu"]["count"] >= 1
    assert found["memory_bytes"] > 2**20
    assert found["git"] is None
    assert len(found["host"]) == 12


def test_git_state_is_recorded(tmp_path: Path):
    def git(*words: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "f").write_text("1")
    git("add", "f")
    git("commit", "-m", "m")
    clean = fingerprint(tmp_path)["git"]
    (tmp_path / "f").write_text("2")
    dirty = fingerprint(tmp_path)["git"]
    assert len(clean["commit"]) == 40
    assert (clean["dirty"], dirty["dirty"]) == (False, True)


def test_only_what_changes_numbers_or_speed_differs():
    base = fingerprint()
    other = base | {"memory_bytes": 1, "host": "x", "packages": base["packages"] | {"torch": "9"}}
    other["packages"].pop("keras", None)
    lines = differences(read(Environment, base), read(Environment, other))
    assert all(line.startswith("packages.") for line in lines)
    assert any("torch" in line and line.endswith("-> 9") for line in lines)
    assert differences(read(Environment, base), read(Environment, fingerprint())) == []


def test_no_secret_of_the_environment_is_copied(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = fingerprint()
    assert found["flags"]["OMP_NUM_THREADS"] == "3"
    assert "hunter2" not in str(found)


def test_reading_a_run_imports_no_framework_and_no_pandas():
    code = (
        "import sys, qparity.store; qparity.store.fingerprint();"
        "print([m for m in ('keras', 'torch', 'tensorflow', 'jax', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_scenarios_that_are_none_are_named_and_left_out(tmp_path):
    run, _ = build_run(tmp_path, scenarios=("a", "b", "c"), variants=("torch",))
    record = json.loads((run.path / "run.json").read_text())
    record["plan"]["blocks"][0]["scenario"]["training"] = "<script>"
    record["plan"]["blocks"][1]["scenario"]["training"]["optimizer"] = "<script>"
    atomic.write_json(run.path / "run.json", record)
    found = Run.load(run.path)
    assert list(found.cells().scenario) == ["c"]
    assert dict(found.damaged)["run.json"] == "; ".join(found.plan_faults)
    assert [fault.partition(": ")[0] for fault in found.plan_faults] == ["scenario 'a'", "scenario 'b'"]
