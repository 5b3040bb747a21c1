"""Benchmarks are not run here; but each is known to `run_all.py`, and takes the arguments that it gets there."""

import ast
import importlib.util
import sys

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
