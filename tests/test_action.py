"""The GitHub action: its inputs hang together, and its script judges a real run and tells the next steps."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, SOURCES

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/parity.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]


def test_every_input_is_used_and_declared_and_none_becomes_script():
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 4
    assert not [script for script in scripts if "${{" in script]  # what a caller writes must not be run by the shell
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)


def test_the_workflow_calls_the_action_with_inputs_and_files_that_exist():
    calls = [step for job in WORKFLOW["jobs"].values() for step in job["steps"] if step.get("uses") == "./"]
    assert len(calls) == 2
    for call in calls:
        assert set(call["with"]) <= set(ACTION["inputs"])
        assert all((ROOT / file).is_file() for file in call["with"]["scenarios"].split())


def test_the_documentation_lists_the_inputs():
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z][\w-]*)` \|", text, re.MULTILINE)) == set(ACTION["inputs"])


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

    def sweep(**more: str) -> str:
        Path(files["GITHUB_OUTPUT"]).write_text("", encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": SOURCES} | files | asked | more
        bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        subprocess.run(bash, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)
        return Path(files["GITHUB_OUTPUT"]).read_text(encoding="utf-8")

    assert "exit-code=2" in sweep(SCENARIOS="no-such-file.toml")
    assert re.search(r"run=\d{8}-\d{6}-\w{4}\n.*exit-code=0", sweep(MIN_COMPARED="1"), re.DOTALL)
    out = tmp_path / "qparity-output"
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "<testsuites" in (out / "junit.xml").read_text(encoding="utf-8")
    assert "✓ Backend parity" in Path(files["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
