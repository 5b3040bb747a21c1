"""The command line as users meet it: bad input is one line and exit code 2; what was asked for is printed."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from qparity.cli.runs import probing
from qparity.runner.probe import Combination, Probed
from qparity.summary.words import resumed
from tests.conftest import ROOT
from tests.reporting.run_builder import build_run

SMOKE = str(ROOT / "scenarios" / "smoke.toml")
ONE = ("-k", "float64 and default", "-v", "torch")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "SCENARIO"),
        (["run", "nope.toml"], "nope.toml: expected a scenario file"),
        (["run", SMOKE, "-v", "tensorflow"], 'did you mean "tf"?'),
        (["run", SMOKE, "-k", "zzz"], '-k = "zzz"'),
        (["run", SMOKE, "--jobs", "0"], "--jobs"),
        (["run", SMOKE, "--shard", "3/2"], "--shard"),
        (["run", SMOKE, "--isolation", "thread"], "expected fork or spawn"),
        (["run", SMOKE, "--budget", "soon"], '--budget = "soon": expected a time such as 90s, 2m or 1h'),
        (["run", SMOKE, "--budget", "2m", "--no-timing"], "--budget: expected without --no-timing"),
        (["run", SMOKE, "--budget", "2m", "--engine", "dask"], "--budget: expected without --engine dask"),
        (["run", SMOKE, "--resume", "nope"], "no such run"),
        (["run", SMOKE, "--python", "jax=/nope"], "interpreter"),
        (["run", SMOKE, "--python", "cobol=/bin/sh"], "BACKEND"),
        (["run", SMOKE, "--with", "keras="], "--with = 'keras=': expected a requirement such as keras==3.14.1"),
        (["run", SMOKE, "--with", "keras==3", "--engine", "dask"], "--with and --engine dask"),
        (["bisect", SMOKE, "-v", "torch", "--package", "keras"], "SCENARIO: expected one scenario, which -k chooses"),
        (["bisect", SMOKE, *ONE], "--package and --packages: expected one of them"),
        (["bisect", SMOKE, *ONE, "--packages", "keras"], "--packages = 'keras': expected several names"),
        (["bisect", SMOKE, *ONE, "--packages", "keras,x", "--good", "3.9"], "--good = '3.9': expected NAME==RELEASE"),
        (["bisect", SMOKE, *ONE, "--package", "keras", "--with", "keras==3"], "expected another package than keras"),
        (["bisect", SMOKE, *ONE, "--package", "keras", "--speed", "1"], "--speed = 1: expected a factor above 1"),
        (["bisect", SMOKE, *ONE, "--package", "keras", "--speed", "nan"], "--speed = nan: expected a factor above 1"),
        (["bisect", SMOKE, *ONE, "--package", "keras", "--speed", "fast"], "--speed"),
        (["bisect", SMOKE, *ONE, "--packages", "a,b", "--speed", "2"], "--speed and --packages: expected --package"),
        (["list", SMOKE, "--bogus"], "--bogus"),
        (["show", "nope"], "no such run"),
        (["check", "--results", "absent"], "no such run in absent"),
        (["check", "--max-slowdown", "0.5"], "--max-slowdown = 0.5: expected a factor of 1 or more"),
        (
            ["check", "--max-slowdown", "2", "--reference", "tensorflow"],
            '--reference = "tensorflow": expected a variant',
        ),
        (["list", SMOKE, "-v", "pytorch"], '-v = "pytorch": expected a variant'),
        (["check", "--base", "latest"], "expected together with --max-slowdown"),
        (["export", "--format", "xml"], "expected csv, json or pytest-benchmark"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, qparity, tmp_path):
    done = qparity(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("qparity: ")
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_arguments_give_the_help(qparity):
    done = qparity()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == qparity("--help").stdout
    assert "Commands" in done.stdout


def test_nothing_in_a_help_text_is_cut(monkeypatch, qparity):
    monkeypatch.setenv("COLUMNS", "80")
    said = " ".join(qparity("--help").stdout.split())
    assert "..." not in said.partition("Commands:")[2]
    assert "Run a sweep: the same training on every variant, recorded step by step." in said
    assert max(map(len, qparity("run", "--help").stdout.splitlines())) <= 80


def test_list_counts_and_is_json_on_request(qparity):
    assert qparity("list", SMOKE).stdout.endswith("scenarios: 4, cells: 12\n")
    cells = json.loads(qparity("list", SMOKE, "-v", "torch", "--json").stdout)["cells"]
    assert [cell["variant"] for cell in cells] == ["torch"] * 4
    assert len({cell["id"] for cell in cells}) == 4


def test_init_writes_a_file_that_loads_and_never_overwrites(qparity, tmp_path):
    assert qparity("init", "mine.toml", cwd=tmp_path).returncode == 0
    assert qparity("list", "mine.toml", cwd=tmp_path).stdout.endswith("scenarios: 4, cells: 12\n")
    again = qparity("init", "mine.toml", cwd=tmp_path)
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_schema_is_json_schema(qparity):
    schema = json.loads(qparity("schema").stdout)
    assert "training" in schema["properties"]


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m qparity.cli list {SMOKE} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "Traceback" not in done.stderr


def test_the_pages_are_written_where_asked(qparity, tmp_path):
    options = {"scenarios": ("s",), "variants": ("torch",)}
    base, head = (build_run(tmp_path / "results", **options)[0].id for _ in range(2))
    done = qparity("compare", base, head, "--html", "changes.html", cwd=tmp_path)
    assert done.stdout.endswith(f"{base} -> {head}: 1 the same\n"), done.stderr
    assert f"Changes since {base}" in (tmp_path / "changes.html").read_text(encoding="utf-8")
    done = qparity("report", "--index", "--results", "none", cwd=tmp_path)
    assert done.stdout.splitlines() == ["reports/index.html"], done.stderr
    assert (tmp_path / "reports" / "index.html").is_file()


def test_a_command_line_is_said_again_with_one_resume_before_the_arguments_of_a_script():
    words = ["qparity", "run", "a.py", "--resume", "x", "-v", "torch", "--resume=y", "--no-timing", "--budget=1m"]
    plain, script = ["qparity", "run", "a.py", "-v", "torch"], ["--", "--resume", "z"]
    assert resumed([*words, *script], "i") == [*plain, "--no-timing", "--budget=1m", "--resume", "i", *script]
    timed = [*plain, "--resume", "i", "--budget", "2m", *script]
    assert resumed([*words, *script], "i", ["--budget", "2m"]) == timed


def test_the_doctor_survives_an_interpreter_that_does_not(qparity):
    done = qparity("doctor", "--python", "torch=/bin/false", "--python", "tensorflow=/bin/false", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["backend"]: row for row in json.loads(done.stdout)["cells"] if row["accelerator"] == "cpu"}
    assert [rows[name]["status"] for name in ("torch", "tensorflow", "jax")] == ["crashed", "crashed", "ok"]
    assert "ended while it imported" in rows["torch"]["reason"]


def test_how_far_the_matrix_is_stands_on_standard_error(capsys):
    found = Probed(Combination("default.qubit", "best", "torch"))
    with probing() as tell:
        for done in range(1, 29):
            tell(done, 28, found)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (10, "3 of 28 probed", "28 of 28 probed")


def test_cells_as_tests_are_not_shared_out():
    plugin = () if entry_points(group="pytest11", name="qparity") else ("-p", "qparity.pytest_plugin")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, "--qparity", SMOKE, "-n", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "leave out -n" in done.stderr
