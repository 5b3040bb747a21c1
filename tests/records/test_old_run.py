"""A run folder of 0.1 (tests/fixtures/run-0.1: run-0.1.toml, with a fault put into one cell) is read as ever."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from qparity.cli.entry import main
from qparity.store import Run, atomic
from qparity.store.merge import merge
from qparity.summary import summarise

FIXTURES = Path(__file__).parents[1] / "fixtures"
OLD = FIXTURES / "run-0.1"
SAID = json.loads((FIXTURES / "run-0.1.check.json").read_text())
"""`check --json` of the version that wrote the folder."""


@pytest.fixture
def copied(tmp_path) -> Path:
    shutil.copytree(OLD, tmp_path / "run")
    return tmp_path / "run"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.*")) if file.is_file()}


def rounded(said):
    """Numbers to six digits: how the bounds are computed has changed in the last ones."""
    if isinstance(said, dict):
        return {key: rounded(value) for key, value in said.items()}
    if isinstance(said, list):
        return list(map(rounded, said))
    return float(f"{said:.6g}") if isinstance(said, float) else said


SENTENCES = ("reason", "line")


def as_said_then(now, said):
    """Without the entries that a version since has added, and in the words of then."""
    if isinstance(said, dict):
        return {key: value if key in SENTENCES else as_said_then(now[key], value) for key, value in said.items()}
    if isinstance(said, list) and len(now) == len(said):
        return list(map(as_said_then, now, said))
    return now


def test_the_verdicts_and_the_exit_code_are_those_it_was_given_then(capsys, monkeypatch):
    monkeypatch.chdir(FIXTURES)
    monkeypatch.setattr(sys, "argv", ["qparity", "check", "run-0.1", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == SAID["exit_code"] == 1
    assert rounded(as_said_then(json.loads(capsys.readouterr().out), SAID)) == rounded(SAID)


def test_what_is_read_and_written_again_has_the_same_bytes(copied):
    before, run = bytes_of(copied), Run.load(copied)
    assert run.damaged == []
    for place in run.planned():
        outcome = run.outcome(place.cell_id)
        run.write_outcome(outcome, run.trace(place.cell_id))
    for block in run.plan.blocks:
        if timing := run.timing(block.scenario.name):
            run.write_timing(block.scenario.name, timing)
    run.update()
    assert bytes_of(copied) == before


def test_what_this_version_does_not_know_of_survives_a_merge(copied, tmp_path):
    for file in (copied / "run.json", *copied.glob("cells/*.json"), *copied.glob("timings/*.json")):
        document = json.loads(file.read_text())
        document["of_the_future"] = {"a": [1, None]}
        if "resolved" in document:
            document["resolved"]["of_the_future"] = 2
        if "workers" in document:
            document["workers"]["torch@cpu-1t"]["of_the_future"] = 3
        atomic.write_json(file, document)
    merged = merge([Run.load(copied)], tmp_path / "merged")
    read = Run.load(merged.path)
    for outcome in read.outcomes().values():
        assert outcome.raw["of_the_future"] == {"a": [1, None]}
        assert outcome.raw["resolved"]["of_the_future"] == 2
    assert read.timing("small").raw["of_the_future"] == {"a": [1, None]}
    assert read.record.raw["workers"]["torch@cpu-1t"]["of_the_future"] == 3
    assert [c.verdict for c in summarise(read).cells] == [c["verdict"] for c in SAID["cells"]]


LAYER = ("resolved", "quantum_layers", 0)
CHILD = ("lanes", "torch", "children", 0)


@pytest.mark.parametrize(
    ("file", "place", "value", "said"),
    [
        ("cells", (*LAYER, "weights"), "0", "resolved.quantum_layers[0].weights: expected a list"),
        ("cells", (*LAYER, "weights"), [0, -1], "resolved.quantum_layers[0].weights[1]: expected"),
        ("cells", ("audit", "hyperparameters", "beta_1"), "0.9", "audit.hyperparameters.beta_1: expected"),
        ("cells", (*LAYER, "program", "gates", 0, "params", 0, "constant"), True,
         "resolved.quantum_layers[0].program.gates[0].params[0].constant: expected a finite number"),
        ("cells", (*LAYER, "program", "gates"), None,
         "resolved.quantum_layers[0].program.gates: expected a list"),
        ("timings", ("rounds", 0, "samples", "torch", "step_s"), None, "rounds[0].samples.torch.step_s: expected"),
        ("timings", (*CHILD, "finite"), 1, "lanes.torch.children[0].finite: expected true"),
    ],
)  # fmt: skip
def test_an_odd_entry_is_named_by_its_place(copied, file, place, value, said):
    path = sorted(copied.glob(f"{file}/*.json"))[-1]
    document = inside = json.loads(path.read_text())
    *outer, last = place
    for key in outer:
        inside = inside[key]
    inside[last] = value
    atomic.write_json(path, document)
    run = Run.load(copied)
    run.timing("small")
    assert dict(run.damaged)[f"{file}/{path.name}"].startswith(said)
    view = summarise(run)
    if file == "cells":
        assert [c.status for c in view.cells].count("missing") == 1
        assert view.exit_code != 0
    else:
        assert {c.untimed for c in view.cells if c.scenario == "small"} == {"its timed rounds cannot be read"}
