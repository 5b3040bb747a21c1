"""The GitHub action and the workflows: their inputs and commands hang together, and the action judges a real run."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from qparity.runner.budget import parse_seconds
from qparity.scenario.starter import STARTER
from tests.conftest import ROOT, SOURCES

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOWS = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / ".github/workflows").glob("*.yml"))
}
ISSUES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
STEPS = ACTION["runs"]["steps"]


def test_every_input_is_used_and_declared_and_none_becomes_script():
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 4
    assert not [script for script in scripts if "${{" in script]  # what a caller writes must not be run by the shell
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)


def test_a_first_run_times_within_a_budget():
    """In the action and in tox; nobody should have to read that nothing was timed."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    for words in (ACTION["inputs"]["arguments"]["default"], tox["testenv:sweep"]["commands"], STARTER):
        assert 0 < parse_seconds(re.search(r"--budget (\w+)", words)[1]) <= 120
        assert "--no-timing" not in words


def test_the_workflow_calls_the_action_with_inputs_and_files_that_exist():
    calls = [step for job in WORKFLOWS["parity"]["jobs"].values() for step in job["steps"] if step.get("uses") == "./"]
    assert len(calls) == 2
    for call in calls:
        assert set(call["with"]) <= set(ACTION["inputs"])
        assert all((ROOT / file).is_file() for file in call["with"]["scenarios"].split())


def test_the_documentation_lists_the_inputs():
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z][\w-]*)` \|", text, re.MULTILINE)) == set(ACTION["inputs"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_few_rights_an_end_and_pinned_actions(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(each == "./" or re.search(r"@v\d+$", each) for each in used), used
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def test_lint_and_the_suite_run_on_every_push_and_pull_request():
    workflow = WORKFLOWS["tests"]
    assert {"push", "pull_request"} <= set(workflow[True])  # YAML reads `on` as true
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    called = {name for script in scripts for name in re.findall(r"tox run -e (\S+)", script)}
    assert called == {"lint", "docs", "tests"}
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert all(tox.has_section(f"testenv:{name}") for name in called)
    browser = re.search(r"python (\S+)", tox["testenv:tests"]["commands_pre"])[1]
    assert (ROOT / browser).is_file()
    versions = {
        step["with"]["python-version"] for job in workflow["jobs"].values() for step in job["steps"] if "with" in step
    }
    assert versions == {"3.11"}


@pytest.mark.parametrize("file", ISSUES, ids=lambda file: file.stem)
def test_an_issue_form_is_one(file):
    form = yaml.safe_load(file.read_text(encoding="utf-8"))
    if file.stem == "config":
        assert set(form) == {"blank_issues_enabled"}
        return
    assert form["name"]
    assert form["description"]
    ids = [entry["id"] for entry in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert {entry["type"] for entry in form["body"]} <= {"textarea", "input", "markdown"}
    assert all(entry["attributes"]["label"] for entry in form["body"])


def test_the_files_that_the_guide_for_contributors_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:harness|tests|docs)/[\w/.-]+)`", text))
    assert len(named) > 15
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


@pytest.mark.backend("torch")
def test_the_script_trains_judges_and_reports(tmp_path):
    script = next(step["run"] for step in STEPS if step.get("id") == "sweep")
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    scenario = tmp_path / "tiny.toml"
    scenario.write_text("data = { samples = 4 }\ntraining = { batch_size = 2, epochs = 1 }\n", encoding="utf-8")
    asked = {
        "SCENARIOS": f"{scenario}\n",
        "ARGUMENTS": "--no-timing -v torch",
        "EXPECTATIONS": "",
        "MIN_COMPARED": "1.5",
    }

    command = tmp_path / "bin" / "qparity"  # of this checkout, whatever is installed
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qparity.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"

    def sweep(**more: str) -> str:
        Path(files["GITHUB_OUTPUT"]).write_text("", encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": SOURCES, "PATH": path} | files | asked | more
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        subprocess.run(bash, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)
        return Path(files["GITHUB_OUTPUT"]).read_text(encoding="utf-8")

    assert "exit-code=2" in sweep(SCENARIOS="no-such-file.toml")
    assert re.search(r"run=\d{8}-\d{6}-\w{4}\n.*exit-code=0", sweep(MIN_COMPARED="1"), re.DOTALL)
    out = tmp_path / "qparity-output"
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "<testsuites" in (out / "junit.xml").read_text(encoding="utf-8")
    assert "✓ Backend parity" in Path(files["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
