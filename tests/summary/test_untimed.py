"""What was not timed is said in one line, with the command that times it."""

import shlex

import pytest

from qparity.records import Timing
from qparity.records.timing import OUT_OF_TIME
from qparity.store import Run
from qparity.summary import summarise
from qparity.summary.untimed import as_asked
from tests.reporting.run_builder import build_run, build_view
from tests.timing.test_timing_block import document

NAMES, VARIANTS = ("a", "b", "c"), ("torch", "jax-jit")
COMMAND = ("/env/bin/qparity", "run", "s.py", "--no-timing", "--check", "--", "--resume", "me")


def said(folder, timed=(), budget=None, merged=None, **options):
    run, judgements = build_run(folder, scenarios=NAMES, variants=VARIANTS, **{"command": COMMAND, **options})
    for name in timed:
        run.write_timing(name, Timing(document(**{"torch": 1.0, "jax-jit": 0.1})))
    run.update(budget=budget, merged=merged)
    return summarise(Run.load(run.path), judgements).untimed, run.id


def test_the_remedy_is_the_runs_own_command_with_a_budget(tmp_path):
    line, run = said(tmp_path)
    what, _, remedy = line.partition("; to time it: ")
    assert what == "nothing was timed"
    assert shlex.split(remedy) == [
        "qparity", "run", "s.py", "--check", "--resume", run, "--budget", "2m", "--", "--resume", "me",
    ]  # fmt: skip


def test_what_a_budget_did_not_reach_is_named_and_a_larger_one_asked_for(tmp_path):
    line, run = said(tmp_path, timed=("b",), budget={"given_s": 60.0, "spent_s": 59.0})
    assert line.startswith("2 of 3 scenarios were not timed within the budget of 1m (a, c); to time them: qparity run ")
    assert f"--resume {run} --budget 5m" in line  # 1.5 times what three take, if one took the whole minute


def test_what_only_lacked_the_time_is_not_timed_either(tmp_path):
    run, judgements = build_run(tmp_path, scenarios=("a",), variants=VARIANTS, command=COMMAND)
    for reason, begins in ((OUT_OF_TIME, "nothing was timed; "), ("a step takes 3.0 s: too long to repeat", "")):
        found = {"lanes": {}, "rounds": [], "left_out": dict.fromkeys(VARIANTS, reason)}
        run.write_timing("a", Timing(found))
        view = summarise(Run.load(run.path), judgements)
        assert view.untimed[: len("nothing was timed; ")] == begins
        assert {cell.untimed for cell in view.cells} == {reason}


@pytest.mark.parametrize("given", [0, -5, 1e300, "a", None])
def test_a_budget_that_is_none_is_not_believed(tmp_path, given):
    line, _ = said(tmp_path, timed=("b",), budget={"given_s": given, "spent_s": 0.0})
    assert line.startswith("2 of 3 scenarios were not timed (a, c); to time them: qparity run ")
    assert line.endswith("--budget 2m -- --resume me")


def test_one_that_was_not_timed_is_one(tmp_path):
    line, _ = said(tmp_path, timed=("b", "c"))
    assert line.startswith("1 of 3 scenarios was not timed (a); to time it: qparity run ")


def test_nothing_is_said_where_everything_was_timed_or_cannot_be(tmp_path):
    assert said(tmp_path / "all", timed=NAMES)[0] == ""
    alone = {(i, "torch"): "failed" for i in range(3)}
    assert said(tmp_path / "alone", faults=alone)[0] == ""


def test_what_has_no_command_of_ours_is_told_in_words(tmp_path):
    for command in (("/env/bin/pytest", "--qparity", "s.toml"), ("notebook.py", "run"), "qparity run"):
        assert said(tmp_path, command=command)[0] == "nothing was timed; to have times, run it again with timing"
    merged = {"runs": [{"id": "x"}], "notes": []}
    assert said(tmp_path, merged=merged)[0].endswith("time the runs that it was merged from, and merge them again")
    on_cluster = ("qparity", "run", "s.toml", "--no-timing", "--engine", "dask", "--scheduler", "tcp://h:1")
    assert "--budget" not in said(tmp_path, command=on_cluster)[0]


def test_a_fault_that_was_put_in_is_not_offered_to_be_timed(tmp_path):
    run, judgements = build_run(tmp_path, scenarios=("a",), variants=VARIANTS, command=COMMAND)
    (cell, _) = run.outcomes()
    run.write_outcome(run.outcome(cell).changed(fault={"name": "gradient x2"}), run.trace(cell))
    assert summarise(Run.load(run.path), judgements).untimed == ""


def test_it_stands_beside_the_advice(tmp_path):
    from qparity.summary.recommend import recommend

    view = build_view(tmp_path, scenarios=NAMES, variants=VARIANTS)
    assert recommend(view).silent == (view.untimed,)
    assert view.untimed.startswith("nothing was timed; to time it: qparity run ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90, "90s"), (60, "1m"), (119.99, "120s"), (120, "2m"), (121, "3m"), (3600, "1h"), (5400, "90m"), (0.51, "0.6s")],
)
def test_a_budget_is_written_as_it_is_read(seconds, text):
    from qparity.runner.budget import parse_seconds

    assert as_asked(seconds) == text
    assert parse_seconds(text) >= seconds
