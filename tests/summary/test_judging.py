"""What is judged of a run folder: whole cells of a size that can be judged, each for itself."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

import qparity.parity
from qparity.parity import Observation
from qparity.records import Outcome, Program
from qparity.reporting import data
from qparity.store import Run
from qparity.summary import cost, judging, summarise
from qparity.summary.gate import Gate
from tests.parity import fake
from tests.reliability.fuzz_folder import make_run

TORCH, JAX = f"{0:016x}", f"{1:016x}"


@pytest.fixture
def run(tmp_path) -> Run:
    return make_run(tmp_path)


def rewrite(run: Run, name: str, change) -> Run:
    document = json.loads((run.path / name).read_bytes())
    document.pop("sha256", None)
    change(document)
    (run.path / name).write_text(json.dumps(document))
    return Run.load(run.path)


def test_a_whole_run_passes(run):
    assert [cell.mark for cell in summarise(run).cells] == ["pass", "pass"]


def test_a_cell_at_which_the_judge_fails_is_not_compared_and_its_siblings_are(run, monkeypatch):
    judge = qparity.parity.judge

    def fail(observations, pairs=True):
        if any(o.variant == "torch" for o in observations):
            raise ValueError("operands could not be broadcast")
        return judge(observations)

    monkeypatch.setattr("qparity.parity.judge", fail)
    view = summarise(run)
    assert [cell.mark for cell in view.cells] == ["uncompared", "pass"]
    assert "could not be broadcast" in view.cells[0].line
    assert view.exit_code == 3


def test_cells_that_only_together_cannot_be_judged_are_judged_alone(run, monkeypatch):
    judge = qparity.parity.judge

    def fail(observations, pairs=True):
        if len(observations) > 1:
            raise IndexError("no pair")
        return judge(observations)

    monkeypatch.setattr("qparity.parity.judge", fail)
    assert [cell.mark for cell in summarise(run).cells] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("expected"), "expected.hashes"),
        (lambda d: d["expected"]["hashes"].pop("order"), "expected.hashes.order"),
        (lambda d: d["audit"].pop("hashes"), "audit.hashes"),
        (lambda d: d["audit"]["hashes"].pop("weights"), "audit.hashes.weights"),
        (lambda d: d["audit"]["hyperparameters"].pop("beta_1"), "hyper-parameters"),
        (lambda d: d["expected"].update(hyperparameters={}), "hyper-parameters"),
        (lambda d: d["resolved"].update(own=["train_step"]), "a training of its own"),
        (lambda d: d["resolved"].update(diff_method="finite-diff"), "finite-diff"),
    ],
)
def test_an_outcome_with_less_in_it_does_not_pass_more(run, change, said):
    found = rewrite(run, f"cells/{TORCH}.json", change)
    torch, jax = summarise(found).cells
    assert (torch.mark, jax.mark) == ("uncompared", "pass")
    assert said in torch.line


@pytest.mark.parametrize("name", ["sample_loss", "learning_rate", "iterations", "predictions", "new_weights/1"])
def test_a_trace_with_less_in_it_does_not_pass_more(run, name):
    outcome, trace = run.outcome(TORCH), run.trace(TORCH)
    del trace[name]
    run.write_outcome(outcome, trace)
    assert summarise(Run.load(run.path)).cells[0].mark != "pass"


@pytest.mark.parametrize("change", [{"quantum_layers": []}, {"quantum_layers": [{"name": "q"}]}])
def test_without_its_gate_program_a_circuit_is_not_judged_by_majority(tmp_path, change):
    """Three variants that agree on a fault would be a majority."""
    run = make_run(tmp_path, {"torch": "", "jax": "", "tf": ""})
    for _, cell, _ in run.planned():
        run = rewrite(run, f"cells/{cell}.json", lambda d: d["resolved"].update(change))
    view = summarise(run)
    assert {cell.mark for cell in view.cells} == {"uncompared"}
    assert "no gate program" in view.cells[0].line


def test_an_odd_trace_makes_its_cell_missing_and_no_other(run):
    arrays = run.trace(TORCH)
    run.write_outcome(run.outcome(TORCH), arrays | {"loss": arrays["loss"][:-1]})
    torch, jax = summarise(Run.load(run.path)).cells
    assert (torch.status, jax.mark) == ("missing", "pass")
    assert "loss has not a row a step" in torch.line


# A budget


def test_what_is_too_large_is_not_compared_and_says_what_would_do(run):
    huge = [{"name": "RX", "wires": [k % 16], "params": [{"weights": [[0, 1.0]]}]} for k in range(2000)]

    def grow(outcome):
        outcome["resolved"]["quantum_layers"][0]["program"].update(wires=16, gates=huge)

    view = summarise(rewrite(run, f"cells/{TORCH}.json", grow))
    assert [cell.mark for cell in view.cells] == ["uncompared", "pass"]
    assert "300 s" in view.cells[0].line
    assert view.exit_code == 3


def test_the_budget_can_be_set(run):
    (cell, _) = summarise(run, gate=Gate(within_s=1e-9)).cells
    assert "too large to judge within 1e-09 s" in cell.line


def test_what_the_oracle_refuses_costs_nothing():
    """17 wires are not covered, whatever they would take: variants are compared with each other."""
    seen = fake.observe(fake.Setting())
    assert cost.seconds(replace(seen, program=None)) == 0
    assert cost.seconds(replace(seen, program=Program(not_covered="why"))) == 0
    assert cost.seconds(replace(seen, program=replace(seen.program, wires=17))) == 0


def test_a_larger_circuit_costs_more():
    def seconds(**changes) -> float:
        return cost.seconds(fake.observe(fake.Setting(**changes)))

    small = seconds()
    assert seconds(layers=4) == pytest.approx(2 * small, rel=0.2)
    assert seconds(wires=3) > 1.9 * small
    assert seconds(epochs=6) == 2 * small
    seen = fake.observe(fake.Setting())
    model = seen.outcome.raw | {"scenario": seen.outcome.raw["scenario"] | {"model": "a:b"}}
    model["resolved"] = {"quantum_layers": [{"program": fake.program(fake.Setting())}] * 3}
    assert cost.seconds(Observation(Outcome(model), seen.trace)) == pytest.approx(3 * small)


def test_a_run_too_small_for_forks_is_judged_as_one_with_them(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    alone = judging.judgements(run)
    monkeypatch.setattr(judging, "MANY", 0)
    forked = judging.judgements(run, within_s=np.inf)
    assert {cell: j.verdict for cell, j in forked.items()} == {cell: j.verdict for cell, j in alone.items()}


def test_what_a_fork_finds_damaged_is_missing_in_the_view_without_curves(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    monkeypatch.setattr(judging, "MANY", 0)
    monkeypatch.setattr(judging.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    trace = run.path / "traces" / f"{JAX}.npz"
    trace.write_bytes(trace.read_bytes()[:-1])  # after the run was loaded, and found whole
    view = summarise(run, curves=False)
    assert [(cell.id, cell.status) for cell in view.cells] == [(TORCH, "ok"), (JAX, "missing")]
    assert [file for file, _ in view.damaged] == [f"traces/{JAX}.npz"]
    assert "truncated" in view.cells[1].line


@pytest.mark.parametrize("many", [0, judging.MANY])
def test_judging_checks_what_was_not_checked_before(tmp_path, monkeypatch, many):
    run = make_run(tmp_path)
    monkeypatch.setattr(judging, "MANY", many)
    monkeypatch.setattr(judging.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    trace = run.path / "traces" / f"{JAX}.npz"
    trace.write_bytes(trace.read_bytes()[:-1])
    (run.path / "cells" / "another.json").write_text("{}")
    whole, late = Run.load(run.path), Run.load(run.path, checked=False)
    assert [file for file, _ in late.damaged] == ["cells/another.json"]
    view = summarise(late, curves=False)
    assert view.damaged == tuple(whole.damaged) == tuple(late.damaged)
    assert [cell.status for cell in view.cells] == ["ok", "missing"]
    assert late.checked == whole.checked  # nobody has to look at these again


def test_without_curves_nothing_is_kept_for_pictures(run):
    with_them, without = summarise(run), summarise(run, curves=False)
    assert all(cell.series for cell in with_them.cells)
    assert with_them.pairs
    assert not any(cell.series for cell in without.cells)
    assert not without.pairs
    assert [cell.line for cell in without.cells] == [cell.line for cell in with_them.cells]
    assert without.cells[0].resolved == with_them.cells[0].resolved


def test_how_far_variants_are_apart_decides_nothing(run, monkeypatch):
    """So a command that does not show it need not look, and says the same."""
    whole = summarise(run, curves=False)

    def fail(cells):
        raise ValueError("operands could not be broadcast")

    monkeypatch.setattr("qparity.parity.verdict.pair_differences", fail)
    view = summarise(run)
    assert [cell.line for cell in view.cells] == [cell.line for cell in whole.cells]
    assert not view.pairs


@pytest.mark.parametrize("many", [0, judging.MANY])
def test_a_large_run_keeps_the_curves_that_a_report_shows(tmp_path, monkeypatch, many):
    """Those of the first cells, and of the scenarios in which something is unexpected: here the last one."""
    monkeypatch.setattr(judging, "MANY", many)
    monkeypatch.setattr(judging.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    run = make_run(tmp_path)
    for number, fault in enumerate(("", "", "gradient x2"), 1):
        other = make_run(tmp_path / str(number), {"torch": fault, "jax": ""})
        (block,) = other.plan.blocks
        block = replace(block, scenario=block.scenario.model_copy(update={"name": f"fake-{number}"}))
        cells = tuple(cell._replace(id=f"{number}{cell.id[1:]}") for cell in block.cells)
        run.plan_more([replace(block, cells=cells)])
        for cell, theirs in zip(cells, block.cells, strict=True):
            about = {"id": cell.id, "scenario": block.written}
            run.write_outcome(Outcome(other.outcome(theirs.id).raw | about), other.trace(theirs.id))
    run, whole = Run.load(run.path), summarise(Run.load(run.path))
    assert all(cell.series and cell.fit and cell.loss is not None for cell in whole.cells)
    for module in ("summary.summarise", "reporting.data"):
        monkeypatch.setattr(import_module(f"qparity.{module}"), "MOST_CURVES", 4)
    view = summarise(run)
    assert [bool(cell.series) for cell in view.cells] == [True, True, True, True, False, False, True, True]
    assert [cell.fit is None for cell in view.cells] == [cell.loss is None for cell in view.cells]
    assert len(data.series(whole)) == 4
    assert data.series(view) == data.series(whole)
    assert view.pairs == whole.pairs


def test_a_trace_is_read_once(run, monkeypatch):
    read, names = Run._trace_bytes, []
    monkeypatch.setattr(Run, "_trace_bytes", lambda run, cell, outcome: names.append(cell) or read(run, cell, outcome))
    summarise(run)
    assert names == [TORCH, JAX]


def test_a_cell_is_seen_as_soon_as_its_block_is_judged(run, monkeypatch):
    """So that judging and summing up go on side by side, and no more than a block waits."""
    first = run.plan.blocks[0]
    run.plan_more([replace(first, scenario=first.scenario.model_copy(update={"name": "another"}), cells=())])
    module, done = import_module("qparity.summary.summarise"), []
    judged, viewed = judging.judge_family, module.view_of
    monkeypatch.setattr(judging, "judge_family", lambda *a: done.append("judged") or judged(*a))
    monkeypatch.setattr(module, "view_of", lambda *a: done.append("viewed") or viewed(*a))
    summarise(run)
    assert done == ["judged", "viewed", "viewed", "judged"]


def rows(folder, **faults: str) -> Run:
    """A run of a scenario a row, each another method of one circuit, by torch alone; each with its fault or none."""
    blocks, seen = [], []
    methods = ("backprop", "parameter-shift", "adjoint", "hadamard")
    for number, (name, fault) in enumerate(faults.items()):
        o = fake.observe(fake.Setting(wires=1, layers=1, epochs=1, fault=fault))
        scenario = o.outcome.raw["scenario"] | {"name": name, "diff_method": methods[number], "judge": ["methods"]}
        blocks.append({"scenario": scenario, "cells": [{"id": f"{number:016x}", "variant": "torch"}]})
        seen.append(o)
    run = Run.create(folder, {"blocks": blocks, "sources": ["fake.toml"]}, {}, ["test"])
    for place, o in zip(run.planned(), seen, strict=True):
        program = fake.program(fake.Setting(wires=1, layers=1)) | {"not_covered": "no gate of ours"}
        layers = [{"name": "quantum", "weights": [0, 1], "program": program}]
        resolved = {"bare": True, "diff_method": place.scenario.diff_method, "quantum_layers": layers}
        resolved["weights"] = [{"path": name, "shape": [1], "dtype": "float64"} for name in ("first", "second")]
        about = {"id": place.cell_id, "scenario": place.block.written, "resolved": resolved}
        run.write_outcome(Outcome(o.outcome.raw | about), o.trace)
    return Run.load(run.path)


@pytest.mark.parametrize("many", [0, 100])
def test_rows_of_a_matrix_that_ask_for_it_are_compared_with_each_other(tmp_path, monkeypatch, many):
    """Whether blocks are judged here or in forks, and in the order of the plan."""
    monkeypatch.setattr(judging, "MANY", many)
    monkeypatch.setattr(judging.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    run = rows(tmp_path, a="", b="gradient x2", c="", d="")
    view = summarise(run)
    assert [cell.scenario for cell in view.cells] == ["a", "b", "c", "d"]
    assert [cell.verdict for cell in view.cells] == ["NOT-COMPARED", "LOCAL-FAULT", "NOT-COMPARED", "NOT-COMPARED"]
    assert view.exit_code == 1
    by_itself = judging.judge_block(run, run.plan.blocks[1])
    assert [str(judged.verdict) for judged in by_itself.values()] == ["LOCAL-FAULT"]


def test_rows_are_compared_only_where_they_ask_for_it_and_differ_in_nothing_else(tmp_path):
    run = rows(tmp_path, a="", b="gradient x2", c="", d="")
    changed = [
        replace(block, scenario=block.scenario.model_copy(update=update))
        for block, update in zip(run.plan.blocks, ({}, {"judge": None}, {"seed": 1}, {}), strict=True)
    ]
    run.plan = replace(run.plan, blocks=tuple(changed))
    assert judging.families(run) == {0: (0, 3), 1: (1,), 2: (2,), 3: (0, 3)}
