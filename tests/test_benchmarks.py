"""Benchmarks are not run here; but each is known to `run_all.py`, and takes the arguments that it gets there."""

import ast
import importlib.util
import json
import sys

import numpy as np
import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
MODULES = (
    "_script",
    "limits_circuits",
    "limits_models",
    "matrix_circuit",
    "planted_models",
    "random_circuit",
    "random_model",
    "run_all",
)
spec = importlib.util.spec_from_file_location("run_all", FOLDER / "run_all.py")
run_all = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_all)


def test_every_benchmark_is_known():
    assert sorted(run_all.QUICK) == sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in MODULES)
    assert set(run_all.BY_HAND) <= set(run_all.QUICK)


@pytest.mark.parametrize("name", run_all.QUICK)
def test_a_benchmark_has_the_options_that_quick_gives_it(name):
    calls = [node for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())) if isinstance(node, ast.Call)]
    added = [call.args for call in calls if getattr(call.func, "attr", "") == "add_argument"]
    options = {argument.value for arguments in added for argument in arguments}
    assert {word for word in run_all.QUICK[name].split() if word.startswith("-")} <= options


def test_a_benchmark_that_fails_is_said_and_the_next_one_runs(tmp_path, monkeypatch, capfd):
    (tmp_path / "bad.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "good.py").write_text("import sys\nprint(sys.argv[1:])\n")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "QUICK", {"bad": "", "good": "--few 1"})
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--quick"])
    assert run_all.main() == 1
    said = capfd.readouterr().out
    assert "bad: exit code 3" in said
    assert "['--few', '1']" in said
    assert "good: exit code 0" in said


def test_against_counts_the_judged_part_of_a_cell(against):
    cells = [
        {"scenario": "a", "judged": 8, "judgeable": 8},
        {"scenario": "b", "judged": 3, "judgeable": 12},
        {"scenario": "b", "judged": 0, "judgeable": 0},
    ]
    assert against.judged_steps(cells, {"a": 4, "b": 40}) == 4 + 10


def test_against_takes_the_median_of_relative_half_widths(against):
    def cell(ratio, low, high):
        return {"timing": {"ratio": ratio, "ratio_low": low, "ratio_high": high}}

    reference, without = cell(1.0, 1.0, 1.0), cell(3.0, None, None)
    measured = [cell(2.0, 1.8, 2.2), cell(1.0, 0.98, 1.02), cell(4.0, 3.0, 5.0)]
    assert against.half_width([reference, without, {"timing": None}, *measured]) == pytest.approx(0.1)


def test_against_tells_arrays_that_differ_in_a_bit(against, tmp_path):
    zeros = {"loss": np.zeros(2), "final_weights/0": np.zeros(3), "old/0": np.zeros(1)}
    old = folder(tmp_path / "old", {"torch": (zeros, None), "tf": (zeros, None)})
    other = {"loss": np.array([0.0, -0.0]), "final_weights/0": np.ones(3)}
    new = folder(tmp_path / "new", {"torch": (other, 2), "tf": ({**zeros, "final_weights/0": np.ones(3)}, 4)})
    found = against.compare(old, new)
    assert found.cells == 2
    assert found.same == {"loss": 1, "old/0": 1}
    assert found.different == {"loss": 1, "final_weights/0": 1}
    assert found.left_out == {"final_weights/0": 1}
    assert found.of_one == {"old/0": 1}


def folder(path, cells):
    """A run folder of one scenario of four steps: variant -> (arrays, steps of `fit`)."""
    scenario = {"name": "a", "data": {"samples": 3}, "training": {"batch_size": 2, "epochs": 2}}
    for name in ("cells", "traces"):
        (path / name).mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({"plan": {"blocks": [{"scenario": scenario}]}}))
    for variant, (arrays, steps) in cells.items():
        np.savez(path / "traces" / f"{variant}.npz", **arrays)
        outcome = {"scenario": scenario, "variant": variant, "trace": f"traces/{variant}.npz", "fit": {"steps": steps}}
        (path / "cells" / f"{variant}.json").write_text(json.dumps(outcome))
    return path


@pytest.fixture(scope="module")
def against():
    spec = importlib.util.spec_from_file_location("against", FOLDER / "against.py")
    module = sys.modules["against"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["against"]
