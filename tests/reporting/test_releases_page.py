"""The page over releases: each cell with each release in the report's colours and words, and why it is no pass."""

import html
import re

from qparity.reporting.releases import Entry, reasons, render, table

LEAK = "PRECISION-LEAK step 0 loss: got 0.1, expected 0.2"
HOSTILE = '<script>alert(1)</script>"\u202e\x1b[31m'


def entries(hostile: str = "") -> list[Entry]:
    return [
        Entry("keras", "3.13.0", "stock on torch", "pass", "ROUNDING"),
        Entry("keras", "3.13.0", "stock on jax", "expected", "PRECISION-LEAK loss", LEAK),
        Entry("keras", "3.15.1", "stock on torch", "fail", "LOCAL-FAULT forward", f"it is wrong {hostile}"),
        Entry("keras", "3.15.1", "stock on jax", "expected", "PRECISION-LEAK loss", LEAK),
        Entry("jax", "0.6.2", "stock on jax", "error", "not installed", f"no wheel {hostile}"),
    ]


def test_a_table_has_the_cells_that_run_its_package_and_marks_what_changed():
    keras, jax = (table(entries(), name) for name in ("keras", "jax"))
    assert keras.cells == ("stock on torch", "stock on jax")
    assert jax.cells == ("stock on jax",)
    assert [(row.release, set(row.changed)) for row in keras.rows] == [("3.13.0", set()), ("3.15.1", {0})]


def test_a_reason_stands_once_the_worst_first():
    found = reasons(entries())
    assert [reason.text for reason in found] == ["it is wrong ", "no wheel ", LEAK]
    assert [len(reason.entries) for reason in found] == [1, 1, 2]


def test_links_lead_somewhere():
    page = render(entries(), "qparity versions stock", "2026-11-27 14:00")
    there = set(map(html.unescape, re.findall(r' id="([^"]+)"', page)))
    links = set(map(html.unescape, re.findall(r'href="#([^"]+)"', page)))
    assert links <= there, links - there
    assert "keras/3.15.1/stock%20on%20torch" in there
    assert {"why-1", "why-2", "why-3"} <= links


def test_what_is_said_of_all_is_the_reports_sentence():
    page = render(entries(), "qparity versions stock", "2026-11-27 14:00")
    assert "1 of 4 compared cells disagrees; 2 show the fault that is expected. 1 did not finish." in page
    assert '<p class="verdict bad">' in page
    assert "<title>✗ qparity: releases</title>" in page
    good = render(entries()[:2], "qparity versions stock", "2026-11-27 14:00")
    assert '<p class="verdict good">' in good


def test_nothing_in_it_can_break_out():
    page = render(entries(HOSTILE), HOSTILE, "")
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
