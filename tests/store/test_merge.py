"""Runs joined: every cell once, differences never silent, each cell still knows where it ran."""

import re
from dataclasses import replace

import numpy as np
import pytest

from qparity.records import Environment, Outcome, Timing, read
from qparity.store import Run, StoreError
from qparity.store.merge import merge

HERE = {"packages": {"torch": "2.13"}, "python": {"version": "3.11"}}
TIMING = {"lanes": {}, "rounds": [], "left_out": {}}
LANE = {"variant": "tf", "steps_per_execution": 1, "batch_size": 4, "children": []}  # one of elsewhere has no id
SAMPLE = {"step_s": 0.1, "wall_s": 1.0, "cpu_s": 1.0}
THERE = {"packages": {"torch": "2.14"}, "python": {"version": "3.11"}}


def cell_id(name: str) -> str:
    return name.encode().hex().ljust(16, "0")[:16]


def make(folder, cells, created, environment=HERE, wires=1, loss=1.0, status="ok", write=True):
    """A run of `[(scenario, variant)]`."""
    scenarios = dict.fromkeys(s for s, _ in cells)
    blocks = [
        {
            "scenario": {"name": s, "wires": wires},
            "cells": [{"id": cell_id(s + v), "variant": v} for x, v in cells if x == s],
        }
        for s in scenarios
    ]
    run = Run.create(folder, {"blocks": blocks, "sources": ["a.toml"]}, environment, ["qparity", "run"])
    run.update(created=created, workers={"torch@cpu-1t": {"versions": environment["packages"]}})
    for s, v in cells if write else ():
        outcome = {
            "id": cell_id(s + v),
            "variant": v,
            "status": status,
            "scenario": {"name": s, "wires": wires},
            "worker": "torch@cpu-1t",
            "reason": None if status == "ok" else "why",
        }
        run.write_outcome(Outcome(outcome), {"loss": np.array([loss])} if status == "ok" else None)
        run.write_timing(s, Timing(TIMING | {"scenario": s, "run": run.id}))
        run.log_path(cell_id(s + v)).write_text(f"log of {run.id}")
    run.finish()
    return run


def test_runs_of_different_sources_are_said_to_be_so(tmp_path):
    runs = [make(tmp_path, [("a", v)], f"2026-01-0{k}") for k, v in enumerate(("tf", "jax", "torch"), start=1)]
    for run, digest in zip(runs, ("1" * 64, "2" * 64, ""), strict=True):
        run.plan = replace(run.plan, blocks=tuple(replace(b, source_sha256=digest) for b in run.plan.blocks))
        run.update()
    merged = merge([Run.load(run.path) for run in runs], tmp_path / "out")
    notes = [note for note in merged.record.merged.notes if "another source" in note]
    assert [note.startswith(f"a: {runs[1].id} ") for note in notes] == [True]


def test_a_time_stands_only_beside_the_outcome_of_its_own_run(tmp_path):
    """A later run that judged a cell without timing it: its verdict must not make the earlier time a plain one."""
    timed = make(tmp_path, [("a", "tf"), ("a", "jax")], "2026-01-01")
    lanes = {"tf": LANE, "jax": LANE | {"id": cell_id("ajax")}}
    each = {"child": 0, "kept": True, "more": 1}
    rounds = [each | {"samples": {"tf": SAMPLE, "jax": SAMPLE}}]
    timed.write_timing("a", Timing(TIMING | {"lanes": lanes, "rounds": rounds}))
    later = make(tmp_path, [("a", "tf")], "2026-01-02", loss=2.0)
    (later.path / "timings" / "a.json").unlink()
    merged = Run.load(merge([timed, Run.load(later.path)], tmp_path / "out").path)
    found = merged.timing("a")
    assert found.lanes.keys() == {"jax"}
    assert re.search(rf"{timed.id}.*{later.id}", found.left_out["tf"])
    assert found.raw["rounds"] == [each | {"samples": {"jax": SAMPLE}}]
    assert found.run == timed.id


def test_an_audit_that_gave_the_same_bits_keeps_the_time_and_a_second_merge_its_run(tmp_path):
    timed = make(tmp_path, [("a", "tf")], "2026-01-01", environment=THERE)
    lanes = {"tf": LANE | {"id": cell_id("atf")}}
    timed.write_timing("a", Timing(TIMING | {"lanes": lanes}))
    again = make(tmp_path, [("a", "tf")], "2026-01-02")
    (again.path / "timings" / "a.json").unlink()
    once = merge([timed, Run.load(again.path)], tmp_path / "once")
    assert Run.load(once.path).timing("a").lanes.keys() == {"tf"}
    twice = Run.load(merge([once, make(tmp_path, [("b", "tf")], "2026-01-03")], tmp_path / "twice").path)
    assert twice.timing("a").run == timed.id
    told = {each.id: each.environment for each in twice.record.merged.runs}
    assert told[timed.id] == read(Environment, THERE)


def test_shards_become_one_run(tmp_path):
    parts = [make(tmp_path, [("a", "tf"), ("a", "jax")], "2026-01-01"), make(tmp_path, [("b", "tf")], "2026-01-02")]
    merged = Run.load(merge(parts, tmp_path / "out").path)
    assert [(b.scenario.name, v) for b, _, v in merged.planned()] == [("a", "tf"), ("a", "jax"), ("b", "tf")]
    assert merged.record.state == "finished"
    assert merged.record.merged.notes == ()
    assert [r.id for r in merged.record.merged.runs] == [p.id for p in parts]
    assert merged.outcome(cell_id("btf")).run == parts[1].id
    np.testing.assert_array_equal(merged.trace(cell_id("btf"))["loss"], [1.0])
    assert merged.log_path(cell_id("atf")).read_text() == f"log of {parts[0].id}"
    assert [merged.timing(s).run for s in "ab"] == [p.id for p in parts]
    assert merged.damaged == []


def test_variants_of_one_scenario_from_two_environments_keep_theirs(tmp_path):
    parts = [make(tmp_path, [("a", "tf")], "2026-01-01"), make(tmp_path, [("a", "jax")], "2026-01-02", THERE)]
    merged = merge(parts, tmp_path / "out")
    assert len(merged.plan.blocks) == 1
    versions = [merged.record.workers[merged.outcome(i).worker].versions for _, i, _ in merged.planned()]
    assert versions == [HERE["packages"], THERE["packages"]]
    environment, timing = merged.record.merged.notes
    assert environment.startswith(parts[1].id)
    assert environment.endswith("packages.torch: 2.13 -> 2.14")
    assert re.search(rf"^a: .*{parts[0].id}.*{parts[1].id}", timing)


@pytest.mark.parametrize("order", [1, -1])
def test_the_later_wins_with_a_note_and_the_same_needs_none(tmp_path, order):
    same = [make(tmp_path, [("a", "tf")], f"2026-01-0{d}") for d in (1, 2)]
    (timed,) = merge(same[::order], tmp_path / "out").record.merged.notes
    assert re.search(rf"^a: .*{same[0].id}.*{same[1].id}", timed)
    later = make(tmp_path, [("a", "tf")], "2026-01-03", loss=2.0)
    merged = merge([same[0], later][::order], tmp_path / "out")
    assert merged.trace(cell_id("atf"))["loss"] == [2.0]
    note, _ = merged.record.merged.notes
    assert re.search(rf"^a/tf: {same[0].id} and {later.id} .*\bloss\b", note)
    failed = make(tmp_path, [("a", "tf")], "2026-01-04", status="failed")
    merged = merge([same[0], failed], tmp_path / "out")
    assert merged.outcome(cell_id("atf")).status == "failed"
    assert "ok and failed" in merged.record.merged.notes[0]


def test_a_cell_that_one_run_lacks_comes_from_the_other(tmp_path):
    whole = make(tmp_path, [("a", "tf")], "2026-01-01")
    empty = make(tmp_path, [("a", "tf")], "2026-01-02", write=False)
    merged = merge([whole, empty], tmp_path / "out")
    assert merged.outcome(cell_id("atf")).run == whole.id
    assert merge([empty], tmp_path / "out").record.state == "interrupted"


def test_a_name_that_means_two_scenarios_is_refused(tmp_path):
    parts = [make(tmp_path, [("a", "tf")], "2026-01-01"), make(tmp_path, [("a", "jax")], "2026-01-02", wires=2)]
    with pytest.raises(StoreError, match=r"scenario a of .* is another one"):
        merge(parts, tmp_path / "out")
    with pytest.raises(StoreError, match="no run given"):
        merge([], tmp_path / "out")
    assert not (tmp_path / "out").exists()
