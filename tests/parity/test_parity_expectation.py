"""The expectations file: what it says of a cell, how it fails the gate, and one line for anything wrong in it."""

import datetime
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qparity.cli.problems import UsageProblem
from qparity.cli.values import gate
from qparity.parity import Judgement, Stage, Verdict
from qparity.parity.expectation import load_expectations
from qparity.parity.types import StageSeries
from qparity.reporting import html
from qparity.scenario.errors import ScenarioError
from qparity.store import Run
from qparity.summary import annotations, junit, markdown, summarise
from qparity.summary import json as json_view
from qparity.summary.gate import Floor, Gate
from tests.reporting.run_builder import build_run

TODAY = datetime.date(2026, 6, 1)
VERSIONS = {"keras": "3.15.1", "tensorflow_cpu": "2.21.0"}
GOOD = """
[[expectations]]
scenario = "leaks-*"
variant = "torch"
verdict = "PRECISION-LEAK"
stage = "forward"
largest_r = 1e8
versions = ["keras<3.17", "tensorflow-cpu>=2.19,<3"]
reason = "a Python float becomes float32"
link = "https://example.org/1"
expires = 2027-06-30
"""
SHORT = '[[expectations]]\nscenario = "{}"\nvariant = "{}"\nverdict = "{}"\nreason = "known"\nexpires = {}\n'


def load(tmp_path, text):
    path = tmp_path / "expectations.toml"
    path.write_text(text)
    return load_expectations(path)


def leak(**changes):
    fields = {"stage": Stage.FORWARD, "r": 1e7} | changes
    return Judgement(fields.pop("verdict", Verdict.PRECISION_LEAK), "reason", **fields)


def said(e, judgement):
    return e.objection("ok", None, judgement)


def test_an_entry_is_read_whole(tmp_path):
    (e,) = load(tmp_path, GOOD)
    assert (e.verdict, e.stage, e.largest_r, e.expires) == (
        "PRECISION-LEAK",
        "forward",
        1e8,
        datetime.date(2027, 6, 30),
    )
    assert e.selects("leaks-a", "torch")
    assert not e.selects("leaks-a", "jax")
    assert not e.selects("other", "torch")


def test_versions_are_those_of_the_worker(tmp_path):
    (e,) = load(tmp_path, GOOD)
    assert e.holds_for(VERSIONS)
    assert not e.holds_for(VERSIONS | {"keras": "3.17.0"})
    assert not e.holds_for({"keras": "3.15.1"})
    assert not e.recorded({"keras": "3.15.1"})
    assert e.holds_for(VERSIONS | {"keras": "3.16.0rc1"})


def test_objections(tmp_path):
    (e,) = load(tmp_path, GOOD)
    assert said(e, leak()) is None
    assert "gone" in said(e, leak(verdict=Verdict.ROUNDING))
    assert said(e, leak(verdict=Verdict.LOCAL_FAULT)) == "expected PRECISION-LEAK"
    assert str(Stage.FORWARD) in said(e, leak(stage=Stage.LOSS))
    for r in (1.1e8, float("inf"), float("nan"), None):
        assert "1e+08" in said(e, leak(r=r))


def test_the_largest_r_is_that_of_all_steps(tmp_path):
    """A leak that gets worse later has exceeded what was allowed, though its first step has not."""
    (e,) = load(tmp_path, GOOD)
    ones = np.ones(3)
    worse = StageSeries(ones, ones, np.array([2.0, 1.1e8, np.nan]), ones, 1)
    assert said(e, leak(stages={Stage.GRADIENT: worse})) is None
    assert "1e+08" in said(e, leak(stages={Stage.FORWARD: worse}))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('verdict = "PASS"', 'expectations.0.verdict = "PASS": expected one of LOCAL-FAULT, PRECISION-LEAK'),
        ('verdict = "ROUNDING"', "expected one of LOCAL-FAULT"),
        ('verdict = "crashed"', "how a cell ends that does not finish is its status"),
        ('status = "dead"', "expected one of failed, timeout, crashed, unsupported, diverged"),
        ('status = "ok"', "expected one of failed"),
        ('status = "failed"', "expected the key verdict, or status and message"),
        ('message = "boom"', "expected both status and message, or neither"),
        ('stage = "backward"', "expected one of setup, forward, loss, gradient, hessian, update"),
        ("largest_r = -1", "expected a finite number > 0"),
        ("largest_r = true", "expected a finite number > 0"),
        ('versions = "keras 3"', "expected a version range"),
        ('versions = ["keras"]', "expected a version range"),
        ("versions = 3", "expected a version range"),
        ('expires = "soon"', "expected a date such as 2027-06-30"),
        ("expires = 2027-06-30T10:00:00", "expected a date such as 2027-06-30"),
        ('reason = " "', "expected a reason in words"),
        ('scenarios = "x"', "did you mean scenario?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, line, said):
    key = line.partition(" ")[0]
    kept = [row for row in GOOD.splitlines() if not row.startswith(f"{key} =")]
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path, "\n".join([*kept, line]))
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "expectations.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["scenario", "verdict", "reason", "expires"])
def test_what_an_entry_must_have(tmp_path, key):
    kept = [row for row in GOOD.splitlines() if not row.startswith(f"{key} =")]
    with pytest.raises(ScenarioError, match=f"expected the key {key}(, or status and message)?$"):
        load(tmp_path, "\n".join(kept))


@pytest.mark.parametrize("text", ["x", "[expectations]", "expectations = [1]", "other = 1", "a = 1" + "0" * 5000])
def test_files_that_are_none(tmp_path, text):
    with pytest.raises(ScenarioError):
        load(tmp_path, text)


def test_a_missing_file_and_bytes(tmp_path):
    with pytest.raises(ScenarioError, match="No such file"):
        load_expectations(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match="expected UTF-8 text, got byte 0xff"):
        load_expectations(tmp_path / "bytes.toml")


def test_a_byte_order_mark_is_passed_over_and_utf_16_says_so(tmp_path):
    (tmp_path / "bom.toml").write_bytes(GOOD.encode("utf-8-sig"))
    assert len(load_expectations(tmp_path / "bom.toml")) == 1
    (tmp_path / "bom.toml").write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(ScenarioError, match="expected UTF-8 text, got UTF-16"):
        load_expectations(tmp_path / "bom.toml")


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=list(HealthCheck))  # a busy machine is no fault
@given(st.dictionaries(st.sampled_from(["scenario", "variant", "verdict", "stage", "largest_r", "versions", "reason",
                                        "link", "expires", "more"]), VALUES))  # fmt: skip
def test_no_entry_gives_a_traceback(table):
    from qparity.parity.expectation import _entry

    said = ""
    try:
        _entry(table, "expectations.0", "file.toml")
    except ScenarioError as error:
        said = str(error)
    assert "\n" not in said


CRASH = """
[[expectations]]
scenario = "a"
variant = "torch"
status = "{}"
message = "{}"
reason = "torch has no such gate"
link = "https://example.org/issues/1"
expires = 2026-06-01
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("message =", "expected both status and message, or neither"),
        ("status =", "expected the key verdict, or status and message"),
        ('stage = "loss"', "expectations.0.stage: expected no stage beside status"),
        ("largest_r = 2.0", "expected no largest_r beside status"),
    ],
)
def test_a_status_needs_its_message_and_nothing_of_a_verdict(tmp_path, line, said):
    text = CRASH.format("failed", "reshape")
    kept = [row for row in text.splitlines() if not row.startswith(line)]
    more = [] if len(kept) < len(text.splitlines()) else [line]
    with pytest.raises(ScenarioError, match=said):
        load(tmp_path, "\n".join([*kept, *more]))


# The gate


def view_with(tmp_path, entries, floor=None, faults=None, versions=VERSIONS):
    run, judgements = build_run(tmp_path, scenarios=("a", "b"), variants=("tf", "torch"), faults=faults or {})
    run.update(workers={"server": {"versions": versions}})
    for cell in (tmp_path / run.id / "cells").glob("*.json"):
        cell.write_text(json.dumps(json.loads(cell.read_text()) | {"worker": "server"}))
    gate = Gate(load(tmp_path, "".join(entries)), floor, today=TODAY)
    return summarise(Run.load(run.path), judgements, gate)


def entry(scenario="a", variant="torch", verdict="PRECISION-LEAK", expires="2026-06-01", more=""):
    return SHORT.format(scenario, variant, verdict, expires) + more + "\n"


LEAKING = {(0, "torch"): "leak"}


def test_an_expected_leak_is_as_expected(tmp_path):
    view = view_with(tmp_path, [entry()], faults=LEAKING)
    cell = view.cell("a", "torch")
    assert (view.exit_code, view.problems, cell.mark, cell.expected) == (0, (), "expected", "PRECISION-LEAK")
    assert cell.line.endswith("(as expected)")


@pytest.mark.parametrize(
    ("more", "said"),
    [('stage = "forward"', "(expected at stage forward)"), ("largest_r = 100.0", "(expected r of at most 100)")],
)
def test_an_exceeded_expectation_fails(tmp_path, more, said):
    view = view_with(tmp_path, [entry(more=more)], faults=LEAKING)
    assert (view.exit_code, view.cell("a", "torch").mark) == (1, "fail")
    assert view.cell("a", "torch").line.endswith(said)


def test_a_fault_that_has_gone_fails(tmp_path):
    view = view_with(tmp_path, [entry()])
    cell = view.cell("a", "torch")
    assert (view.exit_code, cell.verdict, cell.mark) == (1, "ROUNDING", "fail")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([entry(expires="2026-05-31")], "expired on 2026-05-31"),
        ([entry(), entry(scenario="c*")], "fits no cell of this run"),
        ([entry(), entry(variant="jax")], "fits no cell of this run"),
        ([entry(more='versions = "kears<4"')], "no worker recorded a version"),
        ([entry(), entry(verdict="LOCAL-FAULT")], "is never reached"),
    ],
)
def test_an_entry_that_rots_fails_with_its_place(tmp_path, entries, problem):
    view = view_with(tmp_path, entries, faults=LEAKING)
    assert view.exit_code == 1
    assert any(problem in line and f"expectations.{len(entries) - 1}" in line for line in view.problems)
    assert problem in view.sentence


def test_an_expired_entry_no_longer_excuses(tmp_path):
    assert view_with(tmp_path, [entry(expires="2026-05-31")], faults=LEAKING).cell("a", "torch").mark == "fail"


def test_an_entry_for_other_versions_is_silent(tmp_path):
    entries = [entry(more='versions = "keras<3.15"')]
    assert view_with(tmp_path, entries).exit_code == 0
    assert view_with(tmp_path, entries, faults=LEAKING).exit_code == 1


def test_a_cell_that_did_not_run_decides_nothing(tmp_path):
    assert view_with(tmp_path, [entry()], faults={(0, "torch"): "unsupported"}).exit_code == 0
    assert view_with(tmp_path, [entry()], faults={(0, "torch"): "failed"}).exit_code == 3


@pytest.mark.parametrize("status", ["failed", "timeout", "diverged"])
def test_an_end_that_is_known_is_as_expected_and_compared_with_nothing(tmp_path, status):
    message = {"failed": "Input to reshape", "timeout": "600 s", "diverged": "NaN"}[status]
    view = view_with(tmp_path, [CRASH.format(status, message)], Floor.parse("4"), faults={(0, "torch"): status})
    cell = view.cell("a", "torch")
    assert (cell.mark, cell.expected, cell.as_expected) == ("expected", status, True)
    assert cell.line.startswith(f"{status}: ")
    assert cell.line.endswith("(as expected)")
    assert view.compared == 3
    assert view.ended_as_expected == 1
    assert re.findall(r"\d+", " ".join(view.problems)) == ["3", "4", "4"]  # compared, of, asked for
    assert view_with(tmp_path, [CRASH.format(status, message)], faults={(0, "torch"): status}).exit_code == 0


def test_another_end_or_another_message_is_not_as_expected(tmp_path):
    for status, message in (("crashed", "reshape"), ("failed", "Reshape")):
        view = view_with(tmp_path, [CRASH.format(status, message)], faults={(0, "torch"): "failed"})
        cell = view.cell("a", "torch")
        assert (view.exit_code, cell.mark) == (3, "error")
        assert cell.line.endswith(f"(expected {status} with '{message}')")


def test_a_crash_that_has_gone_fails(tmp_path):
    view = view_with(tmp_path, [CRASH.format("failed", "reshape")])
    cell = view.cell("a", "torch")
    assert (view.exit_code, cell.mark, cell.expected) == (1, "fail", "failed")


def test_a_crash_whose_excuse_has_expired_is_one(tmp_path):
    text = CRASH.format("failed", "reshape").replace("2026-06-01", "2026-05-31")
    view = view_with(tmp_path, [text], faults={(0, "torch"): "failed"})
    assert (view.exit_code, view.cell("a", "torch").mark) == (1, "error")


def test_what_is_unsupported_stays_so_and_says_when_it_no_longer_is(tmp_path):
    text = CRASH.format("unsupported", "not installed")
    view = view_with(tmp_path, [text], faults={(0, "torch"): "unsupported"})
    assert (view.exit_code, view.cell("a", "torch").mark) == (0, "unsupported")
    assert view.cell("a", "torch").line.endswith("(as expected)")
    assert view_with(tmp_path, [text]).exit_code == 1


def test_a_run_of_known_crashes_alone_has_shown_nothing(tmp_path):
    text = CRASH.format("failed", "reshape").replace('"a"', '"*"').replace('"torch"', '"*"')
    faults = {(i, v): "failed" for i in (0, 1) for v in ("tf", "torch")}
    view = view_with(tmp_path, [text], faults=faults)
    assert (view.exit_code, view.compared, view.ended_as_expected) == (3, 0, 4)


@pytest.mark.parametrize("fault", ["failed", "leak"])
def test_reason_and_link_reach_every_output(tmp_path, fault):
    link = 'link = "https://example.org/issues/1"'
    entries = [CRASH.format("failed", "reshape") if fault == "failed" else entry(more=link)]
    view = view_with(tmp_path, entries, faults={(0, "torch"): fault})
    known = "torch has no such gate" if fault == "failed" else "known"
    cell = view.cell("a", "torch")
    assert (cell.known, cell.link) == (known, "https://example.org/issues/1")
    case = ElementTree.fromstring(junit.render(view).split("?>", 1)[1]).find(".//testcase[@name='torch']")
    assert f"known: {known}\nhttps://example.org/issues/1" in case.find("system-out").text
    assert case.find("failure") is case.find("error") is None
    (line,) = [line for line in markdown.render(view).splitlines() if line.startswith("- ≈")]
    assert line.endswith(f"known: {known} <https://example.org/issues/1>")
    page = html.render(view)
    assert known in page
    assert '<a href="https://example.org/issues/1" rel="noopener noreferrer">' in page
    found = next(c for c in json_view.document(view)["cells"] if c["variant"] == "torch" and c["scenario"] == "a")
    assert (found["known"], found["link"]) == (known, "https://example.org/issues/1")


@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://x/) [a](b", 'https://x/"onclick="y', "see issue 5"])
def test_a_link_that_is_none_stays_text(tmp_path, link):
    view = view_with(tmp_path, [entry(more=f"link = '{link}'")], faults=LEAKING)
    assert f"<{link}>" not in markdown.render(view)
    page = html.render(view)
    assert 'href="javascript' not in page
    assert f'href="{link}"' not in page or '"' not in link


@pytest.mark.parametrize(
    ("floor", "short"), [("4", True), ("3", False), ("0.75", False), ("0.8", True), ("1.0", True), ("0", False)]
)
def test_the_floor_of_coverage(tmp_path, floor, short):
    view = view_with(tmp_path, [], Floor.parse(floor), faults={(0, "torch"): "unsupported"})
    assert view.exit_code == (3 if short else 0)
    assert bool(view.problems) == short
    if short:
        assert "3 of 4" in view.problems[0]


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "-0.5", "nan.", "80%", "1e3"])
def test_floors_that_are_none(text):
    with pytest.raises(UsageProblem, match=f"--min-compared = {re.escape(repr(text))}"):
        gate(None, text)


def test_problems_reach_every_output(tmp_path):
    view = view_with(tmp_path, [entry(scenario="c")])
    (problem,) = view.problems
    assert json_view.document(view)["problems"] == [problem]
    assert f"::error title=qparity check::{problem}" in annotations.lines(view)
    assert 'failures="1"' in junit.render(view)
    assert "fits no cell" in junit.render(view)


def test_the_command_says_what_is_wrong(tmp_path, qparity):
    run, _ = build_run(
        tmp_path / "results", scenarios=("a",), variants=("torch",), faults={(0, "torch"): "unsupported"}
    )
    for arguments, said in (
        (["--min-compared", "some"], "--min-compared = 'some': expected a number of cells or a share"),
        (["--expectations", "none.toml"], "none.toml: expected an expectations file: No such file"),
    ):
        done = qparity("check", run.id, "--results", tmp_path / "results", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    done = qparity("check", run.id, "--results", tmp_path / "results", "--min-compared", "1")
    assert done.returncode == 3
    assert re.search(r"\b0 of 1\b", done.stdout)
    (tmp_path / "known.toml").write_text(CRASH.format("unsupported", "not installed"))
    report = tmp_path / "report.html"
    arguments = ("--results", tmp_path / "results", "--expectations", tmp_path / "known.toml", "-o", report)
    done = qparity("report", run.id, *arguments)
    assert done.returncode == 0, done.stderr
    assert "expired on 2026-06-01" in report.read_text()
