"""A run folder from elsewhere: no text of it becomes code of a script, and none of its modules is imported unasked."""

import ast
import json
from dataclasses import replace

import numpy as np
import pytest

from qparity.diagnose import DiagnosisError, diagnose, find, reproduce, shrink
from qparity.diagnose.usermodel import model_lines
from qparity.records import Outcome
from qparity.scenario.schema import SCRIPTED, ScriptSpec, Training
from qparity.store import Run
from tests.parity import fake

HOSTILE = "x\"\"\"'''\\\n\r\x0c\x85\u2028import os; os.abort()\n\\N{x} {0} {run} %s \u202e"


def make(folder, fault="gradient x2", at=0, **changes) -> Run:
    """A faulty cell beside a clean one, with all that a reproducer reads."""
    scenario = fake.observe(fake.Setting()).outcome.raw["scenario"] | {"name": "fake"} | changes
    cells = {"torch": f"{0:016x}", "jax": f"{1:016x}"}
    plan = {"scenario": scenario, "cells": [{"id": i, "variant": v} for v, i in cells.items()]}
    plan["search_path"] = [str(folder / "theirs")]
    run = Run.create(folder, {"blocks": [plan], "sources": []}, {}, ["test"])
    for variant, cell in cells.items():
        seen = fake.observe(fake.Setting(fault=fault if variant == "torch" else "", at=at, variant=variant))
        program = fake.program(fake.Setting())
        weights = [{"path": w["name"], "shape": w["shape"], "dtype": "float64"} for w in program["weights"]]
        layer = {"name": "quantum", "weights": [0, 1], "program": program}
        resolved = {"device": "default.qubit", "diff_method": "backprop", "weights": weights, "quantum_layers": [layer]}
        outcome = seen.outcome.raw | {"id": cell, "scenario": run.planned()[0].block.written, "worker": "w"}
        run.write_outcome(Outcome(outcome | {"resolved": resolved}), seen.trace)
    run.update(workers={"w": {"versions": {"keras": "3"}}})
    return Run.load(run.path)


def rewrite(run: Run, name: str, change) -> None:
    document = json.loads((run.path / name).read_bytes())
    document.pop("sha256", None)
    change(document)
    (run.path / name).write_text(json.dumps(document))


def skeleton(source: str) -> str:
    """A script without what stands in its strings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def test_no_text_of_a_run_becomes_code(tmp_path):
    run = make(tmp_path)
    expected = skeleton(reproduce(run, find(run, "fake/torch")))
    rewrite(run, "run.json", lambda d: d.update(id=HOSTILE, workers={"w": {"versions": {HOSTILE: HOSTILE}}}))
    rewrite(run, f"cells/{0:016x}.json", lambda d: d["resolved"]["quantum_layers"][0].update(name=HOSTILE))
    hostile = Run.load(run.path)
    subject = find(hostile, "fake/torch")
    judgement = replace(subject.judgement, reason=HOSTILE)
    source = reproduce(hostile, replace(subject, judgement=judgement))
    assert "os.abort" in source  # it is there, in comments
    assert skeleton(source) == expected
    assert source.replace("\n", "").isprintable()


@pytest.mark.parametrize("stage", ["loss", "gradient", "update"])
def test_a_tensor_of_any_name_is_printed_and_no_more(tmp_path, stage):
    """The names of tensors come from the judge; even so they are quoted."""
    run = make(tmp_path, {"loss": "sum for mean", "gradient": "gradient x2", "update": "epsilon 1e-8"}[stage])
    subject = find(run, "fake/torch")
    assert subject.judgement.stage == stage
    ast.parse(reproduce(run, subject))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["resolved"].update(device='x"); import os; os.abort(); ("'),
        lambda d: d["resolved"].update(diff_method="a'b"),
        lambda d: d["resolved"]["quantum_layers"][0]["program"]["gates"][0].update(name="RX(0); os.abort"),
        lambda d: d["resolved"]["quantum_layers"][0]["program"]["measurements"][0].update(terms=[[1.0, [["Z)", 0]]]]),
        lambda d: d["resolved"]["quantum_layers"][0]["program"]["gates"][0].update(wires=["0)"]),
    ],
)
def test_what_would_be_code_is_refused(tmp_path, change):
    run = make(tmp_path)
    rewrite(run, f"cells/{0:016x}.json", change)
    found = Run.load(run.path)
    with pytest.raises(ValueError, match=r".") as error:  # each with one line
        reproduce(found, find(found, "fake/torch"))
    assert str(error.value).isprintable()


USERS = (
    {"circuit": "my_ansatz:circuit", "weight_shapes": {"w": [1]}},
    {"model": "my_model:build"},
    {"training": Training(loss="os:abort")},
    {"training": Training(loss="qparity.store.files:remove")},
    {"script": ScriptSpec(file="qparity.train.py"), "model": SCRIPTED},
)


@pytest.mark.parametrize("changes", USERS)
def test_nothing_is_imported_from_a_run_that_is_not_trusted(tmp_path, changes):
    run = make(tmp_path)
    subject = find(run, "fake/torch")
    scenario = subject.block.scenario.model_copy(update=changes)
    mine = replace(subject, block=replace(subject.block, scenario=scenario))
    module = {"training": scenario.own_loss, "script": "qparity.train.py"}.get(next(iter(changes)), scenario.source)
    does = f"{'run' if scenario.script else 'import'} {str(module).partition(':')[0]}"
    acts = [lambda: diagnose(run, mine), lambda: shrink(run, mine)]
    if "my_model" in scenario.source:
        acts.append(lambda: model_lines(mine, np.zeros((1, 1))))
    for act in acts:
        with pytest.raises(DiagnosisError, match=f"this would {does} from {tmp_path / 'theirs'}"):
            act()
    assert replace(mine, trusted=True).search_path() == [str(tmp_path / "theirs")]
    assert not (run.path / "diagnosis").exists()


def test_a_shipped_circuit_needs_no_trust_and_no_search_path(tmp_path):
    run = make(tmp_path)
    assert find(run, "fake/torch").search_path() == []
    assert find(run, "fake/torch", trust=True).search_path() == []


def test_a_program_that_is_too_large_is_one_line_and_holds_up_no_other_cell(tmp_path):
    run = make(tmp_path)
    huge = [{"name": "RX", "wires": [k % 16], "params": [{"weights": [[0, 1.0]]}]} for k in range(2000)]
    program = lambda d: d["resolved"]["quantum_layers"][0]["program"]  # noqa: E731
    rewrite(run, f"cells/{1:016x}.json", lambda d: program(d).update(wires=16, gates=huge))
    run = Run.load(run.path)
    with pytest.raises(DiagnosisError, match="too large to judge within 300 s"):
        find(run, "fake/jax")
    assert find(run, "fake/torch").judgement.verdict == "LOCAL-FAULT"
    with pytest.raises(DiagnosisError, match="too large to judge within 1e-09 s"):
        find(run, "fake/torch", within_s=1e-9)
