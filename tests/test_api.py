"""The public surface: what `import qparity` promises, and what ships with it."""

import os
import subprocess
import sys
import tomllib

import pytest

import qparity
from qparity.scenario import shipped
from qparity.scenario.errors import ScenarioError
from qparity.scenario.load import load_file, load_files
from tests.conftest import ROOT, SOURCES, backends
from tests.reliability.fuzz_folder import MIXED, make_run

FRAMEWORKS = ("keras", "torch", "jax", "tensorflow", "pennylane", "pandas", "matplotlib")


def run_code(code):
    environment = os.environ | {"PYTHONPATH": SOURCES}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_imports_next_to_nothing():
    code = f"import qparity, sys; dir(qparity); print(sorted({set(FRAMEWORKS)!r} & set(sys.modules)))"
    assert run_code(code) == "[]\n"


def test_everything_promised_is_there_and_has_a_docstring():
    for name in set(qparity.__all__) - {"__version__"}:
        assert getattr(qparity, name).__doc__, name
    assert set(qparity.__all__) <= set(dir(qparity))
    with pytest.raises(AttributeError, match="nonsense"):
        qparity.nonsense  # noqa: B018


def test_the_version_is_the_one_of_the_changelog(qparity):
    import qparity as package

    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert newest.split()[1] == package.__version__
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    assert qparity("--version").stdout == f"qparity {package.__version__}\n"


def test_a_run_is_judged_and_reported(tmp_path):
    run = make_run(tmp_path / "results", MIXED)
    view = qparity.judge(run)
    assert {cell.variant for cell in view.cells if cell.mark == "pass"} == {"torch", "jax"}
    assert qparity.judge(run.id, results=tmp_path / "results").sentence == view.sentence
    page = qparity.report(view, tmp_path / "page.html")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert qparity.report(run, tmp_path / "page.html") == page


def test_a_sweep_from_a_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variant = {"tensorflow": "tf"}.get(backends()[0], backends()[0])
    run = qparity.run("smoke", variants=[variant], keep="1-wire or default", timing=False, progress=False)
    view = qparity.judge(run)
    assert (view.exit_code, run.path.parent.name) == (0, "results")
    assert set(run.cells()["verdict" if "verdict" in run.cells() else "status"]) <= {"ok", "ROUNDING"}
    assert len(run.steps()) > 0


def test_a_budget_that_is_none_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError, match='budget = "soon": expected a time such as 90s, 2m or 1h'):
        qparity.run("smoke", budget="soon", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_shipped_files_are_found_by_name_unless_there_is_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.names() == sorted(path.stem for path in (ROOT / "scenarios").glob("*.toml"))
    assert load_file("smoke").scenarios == load_file(ROOT / "scenarios" / "smoke.toml").scenarios
    (tmp_path / "smoke").write_text('name = "mine"\n')
    assert load_file("smoke").scenarios[0].name == "mine"
    for name in ("smokee", ""):
        with pytest.raises(ScenarioError, match=r"shipped scenario file"):
            load_files([name] if name else ["nope"])


def test_init_copies_a_shipped_file(qparity, tmp_path):
    assert qparity("init", "--from", "fourier", cwd=tmp_path).returncode == 0
    assert (tmp_path / "fourier.toml").read_bytes() == (ROOT / "scenarios" / "fourier.toml").read_bytes()
    unknown = qparity("init", "--from", "furier", cwd=tmp_path)
    assert (unknown.returncode, unknown.stderr.count("\n"), "did you mean fourier?" in unknown.stderr) == (2, 1, True)


def test_list_without_a_file_names_what_ships(qparity):
    lines = qparity("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == shipped.names()
    assert all(len(line.split()) > 2 for line in lines), "each says what it is for"
