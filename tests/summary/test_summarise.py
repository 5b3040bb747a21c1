"""A run and its judgements become what is said of it."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from qparity.parity import Judgement, Verdict
from qparity.scenario.schema import CAPTURED, SCRIPTED, DataSpec, Scenario, ScriptSpec, Training
from qparity.store import Run, atomic
from qparity.summary import summarise, words
from qparity.summary.gate import Gate
from qparity.summary.summarise import _reproduce, exit_code
from tests.reporting.run_builder import VARIANTS, build_run, build_view

EVERYTHING = {
    (0, "tf"): "fault", (0, "jax"): "unsupported", (1, "jax"): "unsupported", (1, "tf"): "failed",
    (2, "tf"): "diverged", (2, "torch"): "leak", (2, "jax"): "uncompared", (1, "torch"): "missing",
}  # fmt: skip


def test_a_pass_among_variants_is_not_said_to_be_one_with_the_oracle(tmp_path):
    run, judgements = build_run(tmp_path, scenarios=("a",))
    peers = Judgement(Verdict.PEERS_AGREE, "predictions agree with jax at step 0 alone")
    view = summarise(run, {cell: peers if k < 2 else judged for k, (cell, judged) in enumerate(judgements.items())})
    assert re.search(r"\b2 of .*PEERS-AGREE", view.sentence)
    assert view.peers.startswith("2 of 6 ")
    assert Counter(cell.judged_by for cell in view.cells) == {"variants": 2, "oracle": 4}
    assert view.exit_code == 0
    some = {cell: peers if k < 2 else judged for k, (cell, judged) in enumerate(judgements.items())}
    strict = summarise(run, some, Gate(require_judge=True))
    assert (strict.exit_code, strict.counts["uncompared"], strict.counts["pass"]) == (3, 2, 4)


def test_a_floor_of_what_was_judged_of_each_cell(tmp_path):
    run, judgements = build_run(tmp_path, scenarios=("a",))
    counted = {cell: replace(judged, judged=k, judgeable=5) for k, (cell, judged) in enumerate(judgements.items())}
    view = summarise(run, counted, Gate(least_judged=0.6))
    assert view.exit_code == 3
    assert len(view.problems) == 3
    assert "0 of 5" in view.problems[0]


def test_what_cannot_be_compared_by_design_does_not_fail_a_run(tmp_path):
    run, judgements = build_run(tmp_path, scenarios=("a",))
    first = next(iter(judgements))
    draws = Judgement(Verdict.NOT_COMPARED, "not compared: the model draws random numbers", by_design=True)
    assert summarise(run, judgements | {first: draws}).exit_code == 0
    assert summarise(run, judgements | {first: replace(draws, by_design=False)}).exit_code == 3
    assert summarise(run, dict.fromkeys(judgements, draws)).exit_code == 3  # nothing at all was compared


def test_a_clean_run_is_good_and_says_so(tmp_path):
    view = build_view(tmp_path)
    assert (view.exit_code, view.good, view.compared) == (0, True, 18)
    assert re.findall(r"\d+", view.sentence) == ["18"]
    assert view.first is None
    assert view.groups == ()
    assert view.variants == VARIANTS
    cell = view.cell("fourier-l2", "torch")
    assert cell.mark == "pass"
    assert cell.as_expected
    assert re.search(r"\br = 0\.\d", cell.line)
    assert cell.reproduce == "qparity run scenarios/fourier.toml -k fourier-l2 -v torch"


def test_the_command_of_a_scripts_cell_trains_as_far_as_the_cell_did():
    script = ScriptSpec(file="train.py", arguments=["--lr", "0.1"], fit=2)
    training = Training(batch_size=32, epochs=2)
    data = DataSpec(name=CAPTURED, samples=70)
    scenario = Scenario(name="train", model=SCRIPTED, script=script, training=training, data=data)
    assert _reproduce(("my/train.py", "other.toml"), scenario, "torch") == (
        "qparity run my/train.py -v torch --fit 2 --steps 6 --batch-size 32 -- --lr 0.1"
    )


def test_every_kind_of_cell_is_counted_and_explained(tmp_path):
    view = build_view(tmp_path, faults=EVERYTHING)
    assert view.counts == {
        "pass": 10,
        "expected": 0,
        "fail": 2,
        "error": 3,
        "uncompared": 1,
        "unsupported": 2,
    }
    assert view.exit_code == 1
    assert "2 of 12 " in view.sentence
    assert "fourier-l1 · tf, step 15, gradient, weights[2,5,2] (LOCAL-FAULT)" in view.sentence
    assert re.findall(r"\d+", view.sentence.partition("(LOCAL-FAULT)")[2]) == ["3", "1", "2"]
    assert [(group.status, len(group.cells)) for group in view.groups] == [
        ("failed", 1), ("diverged", 1), ("missing", 1), ("not compared", 1), ("unsupported", 2),
    ]  # fmt: skip
    assert view.cell("fourier-l4", "tf").where == "step 4"
    against = {cell.name for cell in view.cells if not cell.as_expected}
    assert len(against) == 2 + 3 + 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [("fault", 1), ("leak", 1), ("setup", 1), ("failed", 3), ("timeout", 3), ("diverged", 3), ("missing", 3),
     ("uncompared", 3), ("unsupported", 0), ("nan", 0)],
)  # fmt: skip
def test_the_exit_code_of_one_odd_cell(tmp_path, fault, code):
    assert build_view(tmp_path, faults={(1, "jax"): fault}).exit_code == code


@pytest.mark.parametrize("fault", ["unsupported", "uncompared"])
def test_a_run_that_compared_nothing_is_never_good(tmp_path, fault):
    view = build_view(tmp_path, faults={(i, v): fault for i in range(3) for v in VARIANTS})
    assert view.exit_code == 3
    assert view.sentence.startswith("Nothing was compared.")


def test_not_compared_may_be_expected_but_is_never_a_pass(tmp_path):
    view = build_view(tmp_path, faults={(1, v): "uncompared" for v in VARIANTS}, expect={"fourier-l2": "NOT-COMPARED"})
    assert view.exit_code == 0
    assert view.counts["uncompared"] == len(VARIANTS)
    assert view.cell("fourier-l2", "torch").line.endswith("(as expected)")
    alone = build_view(
        tmp_path, scenarios=("s",), faults={(0, v): "uncompared" for v in VARIANTS}, expect={"s": "NOT-COMPARED"}
    )
    assert (alone.exit_code, alone.sentence.partition(".")[0]) == (3, "Nothing was compared")


def test_an_empty_plan_is_not_good(tmp_path):
    assert build_view(tmp_path, scenarios=()).exit_code == 3


def test_disagreement_outranks_failure():
    marks = Counter({"fail": 1, "error": 5, "pass": 1})
    assert exit_code(marks, 0) == 1


def test_an_expected_leak_is_good_but_an_expected_leak_that_is_gone_is_not(tmp_path):
    expect = {"fourier-l1": {"tf": "PRECISION-LEAK"}}
    kept = build_view(tmp_path / "a", faults={(0, "tf"): "leak"}, expect=expect)
    assert kept.exit_code == 0
    assert kept.cell("fourier-l1", "tf").mark == "expected"
    assert re.findall(r"\d+", kept.sentence) == ["17", "18", "1"]
    gone = build_view(tmp_path / "b", expect=expect)
    assert gone.exit_code == 1
    assert gone.cell("fourier-l1", "tf").line.endswith("(expected PRECISION-LEAK)")


def test_a_plan_of_which_something_cannot_be_used_never_passes(tmp_path):
    run, judgements = build_run(tmp_path)
    record = json.loads((run.path / "run.json").read_text())
    record["plan"]["blocks"][0]["scenario"]["expect"] = "FINE"
    record["plan"]["blocks"][1]["cells"][0]["variant"] = "../tf"
    atomic.write_json(run.path / "run.json", record)
    view = summarise(Run.load(run.path), judgements)
    assert {cell.mark for cell in view.cells} == {"pass"}
    assert len(view.cells) == 5 + 6
    assert view.exit_code == 3
    assert [problem.split(":")[:2] for problem in view.problems] == [
        ["Plan", " scenario 'fourier-l1'"],
        ["Plan", " scenario fourier-l2"],
    ]


def test_the_first_divergence_is_the_earliest_not_the_first_listed(tmp_path):
    run, judgements = build_run(tmp_path, faults={(0, "tf"): "fault", (2, "jax"): "fault", (1, "tf"): "setup"})
    view = summarise(run, judgements)
    assert view.first.name == "fourier-l2 · tf"
    judgements.pop(view.first.id)
    late, early = (view.cell(*place) for place in (("fourier-l1", "tf"), ("fourier-l4", "jax")))
    judgements |= {cell.id: replace(judgements[cell.id], step=step) for cell, step in ((late, 9), (early, 8))}
    assert summarise(run, judgements).first.name == early.name


def test_a_time_of_a_wrong_result_is_struck_and_its_variant_known(tmp_path):
    view = build_view(tmp_path / "a", faults={(0, "jax-jit"): "fault"})
    assert view.cell("fourier-l1", "jax-jit").speed == "struck"
    assert {variant: [cell.scenario for cell in cells] for variant, cells in view.wrong.items()} == {
        "jax-jit": ["fourier-l1"]
    }


def test_a_damaged_trace_is_a_missing_cell_with_its_reason(tmp_path):
    run, judgements = build_run(tmp_path)
    cell_id = run.planned()[0][1]
    (run.path / "traces" / f"{cell_id}.npz").write_bytes(b"PK")
    view = summarise(Run.load(run.path), judgements)
    assert view.cells[0].status == "missing"
    assert "truncated" in view.cells[0].line
    assert view.exit_code == 3


def test_series_and_fit_come_from_judgement_and_trace(tmp_path):
    view = build_view(tmp_path, steps=7)
    cell = view.cells[0]
    assert [series.stage for series in cell.series] == ["forward", "loss", "gradient", "update"]
    assert cell.series[0].residual.shape == (7,)
    assert np.all(np.diff(cell.fit.x) >= 0)
    np.testing.assert_allclose(cell.fit.target, np.sin(cell.fit.x))
    np.testing.assert_allclose(cell.fit.prediction, 0.95 * cell.fit.target)


def test_a_stage_of_only_nan_is_left_out(tmp_path):
    cell = build_view(tmp_path, faults={(0, "tf"): "nan"}).cells[0]
    assert [series.stage for series in cell.series] == ["loss", "gradient", "update"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (0.234, "0.23"), (4.4e4, "4.4e4"), (2e-11, "2.0e-11"), (123.4, "123"),
     (float("nan"), "NaN"), (float("inf"), "∞")],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.14159, "3.14 s"), (0.0386, "38.6 ms"), (2.5e-6, "2.5 µs"), (134.2, "134 s"), (None, "–")],
)
def test_times_have_si_units(value, text):
    assert words.seconds(value) == text


def test_a_pair_is_listed_once(tmp_path):
    view = build_view(tmp_path, variants=("torch", "jax", "tf"), scenarios=("s",))
    assert [(pair.a, pair.b) for pair in view.pairs] == [("jax", "tf"), ("jax", "torch"), ("tf", "torch")]
