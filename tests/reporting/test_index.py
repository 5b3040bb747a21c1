"""The page over all runs: what changed from one to the next, and what else was different then."""

import math

import numpy as np
import pytest

from qparity.records import RunRecord
from qparity.reporting.index import Cell, Entry, Report, Timing, render

BEFORE = {"packages": {"keras": "3.14.1"}, "cpu": {"model": "one"}, "git": {"commit": "a" * 40}}
AFTER = {"packages": {"keras": "3.15.1"}, "cpu": {"model": "one"}, "git": {"commit": "b" * 40}}


def entry(day, ratio=None, mark="pass", environment=BEFORE, reference="torch", width=0.02):
    """A run of one cell on a day of November."""
    timing = None
    if ratio:
        timing = Timing(ratio, ratio * math.exp(-width), ratio * math.exp(width), reference)
    document = Report((Cell("fourier", "tf", f"said on day {day}", mark, timing),), created=f"2026-11-{day:02d}T10:00")
    return Entry(f"{day}.html", RunRecord({"environment": environment}), document)


def changes(entries):
    """The rows of the table of changes, each as its cells' text."""
    page = render(entries)
    assert ("What changed" in page) == ("different between the two runs" in page)
    body = page.partition("different between the two runs")[2].partition("</table>")[0]
    rows = [row.partition("</tr>")[0] for row in body.split("<tr>")[1:]]
    return [[cell.partition(">")[2].partition("</td>")[0] for cell in row.split("<td")[1:]] for row in rows]


def ratios(count, step_at, factor=1.0):
    rng = np.random.default_rng(4)
    found = np.exp(rng.normal(0, 0.01, count))
    found[step_at:] *= factor
    return found


def test_a_verdict_that_changed_is_told_with_what_was_different():
    days = [entry(1), entry(2), entry(3, mark="fail", environment=AFTER), entry(4, mark="fail", environment=AFTER)]
    ((since, cell, what, between),) = changes(days)
    assert "2026-11-03 10:00" in since
    assert cell == "fourier · tf"
    assert what == "✓ agrees → ✗ disagrees: said on day 3"
    assert between == f"packages.keras: 3.14.1 -&gt; 3.15.1; commit: {'a' * 9} -&gt; {'b' * 9}"


@pytest.mark.parametrize(("factor", "told", "arrow"), [(1.5, "slower", "▲"), (0.5, "faster", "▼")])
def test_a_step_of_a_ratio_is_told_at_its_run(factor, told, arrow):
    found = ratios(10, 6, factor)
    days = [entry(k + 1, r, environment=AFTER if k >= 6 else BEFORE) for k, r in enumerate(found)]
    ((since, _, what, between),) = changes(days)
    assert "2026-11-07" in since
    size = max(factor, 1 / factor)
    assert float(what.partition("x")[0]) == pytest.approx(size, rel=0.03)
    assert f"{told} against torch than before" in what
    assert "packages.keras" in between
    assert render(days).count(f" {arrow}</a>") == 1


def test_the_same_throughout_is_no_change():
    assert changes([entry(k + 1, r) for k, r in enumerate(ratios(12, 12))]) == []


def test_times_of_another_machine_or_reference_are_no_step():
    found = ratios(12, 6, 2.0)
    other = {**BEFORE, "cpu": {"model": "two"}}
    assert changes([entry(k + 1, r, environment=other if k < 6 else BEFORE) for k, r in enumerate(found)]) == []
    assert changes([entry(k + 1, r, reference="jax" if k < 6 else "torch") for k, r in enumerate(found)]) == []


def test_what_is_the_same_in_all_that_is_recorded_is_said_to_be():
    assert changes([entry(1), entry(2, mark="error")])[0][3] == "nothing that is recorded"
