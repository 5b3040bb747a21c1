"""What a page shows of a red cell: bounded, from the recordings alone, and as true as the judge's word."""

import dataclasses
import json

import numpy as np
import pytest

from qparity.diagnose import evidence as module
from qparity.diagnose import find, gather, reproduce
from qparity.store import Run
from qparity.summary import summarise
from qparity.summary.causes import causes
from tests.diagnose.test_hostile_run import HOSTILE, make, rewrite

TORCH = f"{0:016x}"


def told(run):
    view = summarise(run)
    found = causes(view.cells, view.groups)
    return gather(run, found), view


@pytest.mark.parametrize(
    ("fault", "stage", "verdict"),
    [("sign flip", "gradient", "LOCAL-FAULT"), ("float32 forward", "forward", "PRECISION-LEAK"),
     ("wrong wire", "forward", "LOCAL-FAULT"), ("lr + 1e-4", "update", "LOCAL-FAULT")],
)  # fmt: skip
def test_the_faulty_tensor_stands_beside_what_is_expected_the_worst_entry_first(tmp_path, fault, stage, verdict):
    run = make(tmp_path, fault)
    found, view = told(run)
    (seen,) = found.values()
    subject = find(run, TORCH)
    cell = view.cell("fake", "torch")
    assert (seen.cell, cell.verdict, cell.stage) == (TORCH, verdict, stage)
    assert seen.values[0].got == subject.judgement.got == cell.got
    assert seen.values[0].expected == subject.judgement.expected == cell.should_be
    assert seen.values[0].wrong
    ratios = [abs(v.got - v.expected) / v.tolerance for v in seen.values]
    assert ratios == sorted(ratios, reverse=True)
    if stage == "gradient":  # the whole tensor, from the trace itself
        recorded = subject.trace[f"gradients/{subject.weight_of(seen.tensor)}"][subject.step]
        assert seen.entries == recorded.size
        assert sorted(v.got for v in seen.values) == sorted(map(float, recorded.reshape(-1)))
        assert all(v.got == pytest.approx(-v.expected, abs=1e-12) for v in seen.values)


def test_the_script_is_the_one_of_the_reproducer(tmp_path):
    run = make(tmp_path, "sign flip")
    found, _ = told(run)
    assert found[TORCH].script == reproduce(run, find(run, TORCH))
    assert found[TORCH].no_script is None


def test_log_and_story_are_shown_where_there_are_some_and_nothing_in_them_steers(tmp_path):
    run = make(tmp_path, "sign flip")
    (bare,) = told(run)[0].values()
    assert (bare.log, bare.story) == ("", ())
    long = "\n".join([*(f"line {k}" for k in range(50)), "\x1b[31mred\x1b[0m \x07", "w" * 900])
    run.write_log(TORCH, long.encode())
    run.write_diagnosis(TORCH, {"schema": 1, "cell": TORCH, "story": ["so: torch, but not jax", HOSTILE]})
    (seen,) = told(Run.load(run.path))[0].values()
    lines = seen.log.splitlines()
    assert (len(lines), lines[0], lines[-2]) == (module.LOG_LINES, "line 32", "red \\x07")
    assert len(lines[-1]) == module.LOG_WIDTH
    assert seen.story[0] == "so: torch, but not jax"
    assert "\u202e" not in seen.story[1]


@pytest.mark.parametrize(
    "change",
    [lambda d: d.update(cell="f" * 16), lambda d: d.update(story="x"), lambda d: d.update(story=[1]), dict.clear],
)
def test_a_diagnosis_that_is_none_is_named_and_passed_over(tmp_path, change):
    run = make(tmp_path, "sign flip")
    run.write_diagnosis(TORCH, {"schema": 1, "cell": TORCH, "story": ["fine"]})
    assert run.diagnosis(TORCH).story == ("fine",)
    rewrite(run, f"diagnosis/{TORCH}.json", change)
    again = Run.load(run.path)
    assert again.diagnosis(TORCH) is None
    assert f"diagnosis/{TORCH}.json" in dict(again.damaged)
    assert told(again)[0][TORCH].story == ()


def test_it_is_bounded_in_cells_characters_and_seconds(tmp_path, monkeypatch):
    run = make(tmp_path, "sign flip")
    for bound, value, why in (("MOST_SCRIPT", 100, "too long for a page"), ("MOST_SCRIPTS", 100, "too long for a page"),
                              ("WITHIN_S", 0.0, "does not wait"), ("WITHIN_S", 1e-9, "does not wait")):  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setattr(f"qparity.diagnose.evidence.{bound}", value)
            seen = told(run)[0][TORCH]
            assert seen.script is None
            assert why in seen.no_script
            assert "qparity reproduce" in seen.no_script
    monkeypatch.setattr("qparity.diagnose.evidence.MOST_CELLS", 0)
    assert told(run)[0] == {}


def test_every_cause_has_its_first_cell_before_any_has_its_second(tmp_path):
    view = summarise(make(tmp_path, "sign flip"))
    cell = view.cell("fake", "torch")
    cells = [dataclasses.replace(cell, id=name) for name in "abcde"]
    alike = [c for c in causes(view.cells, view.groups) for _ in range(2)]
    several = [
        dataclasses.replace(alike[0], cells=tuple(cells[:3])),
        dataclasses.replace(alike[1], cells=tuple(cells[3:])),
    ]
    assert [c.id for c in module._in_turn(several)] == ["a", "d", "b", "e", "c"]


def test_a_cell_that_cannot_be_shown_again_says_why_and_runs_nothing(tmp_path):
    """Recordings that are odd beyond what the judge read, and circuits of one's own: no traceback, nothing imported."""
    run = make(tmp_path, "sign flip", circuit="theirs:evil")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "theirs.py").write_text("raise SystemExit('imported')\n")
    (seen,) = told(run)[0].values()
    assert seen.script or seen.no_script
    name = f"cells/{TORCH}.json"
    rewrite(run, name, lambda d: d["resolved"]["quantum_layers"][0].update(weights=[7]))
    odd = Run.load(run.path)
    for seen in told(odd)[0].values():
        assert seen.script or seen.no_script
    assert json.loads((run.path / name).read_bytes())


def test_what_is_expected_is_no_number_of_the_variant(tmp_path):
    (seen,) = told(make(tmp_path, "wrong wire"))[0].values()
    assert {v.got for v in seen.values}.isdisjoint(v.expected for v in seen.values if v.wrong)
    assert np.isfinite([v.expected for v in seen.values]).all()
    assert seen.by == "oracle"
