"""Circuits drawn from gate programs, figures for papers, and the page over all runs."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from qparity import summary
from qparity.cli.runs import write_figures, write_index
from qparity.oracle.program import Gate, Parameter
from qparity.records import Program, RunRecord, read
from qparity.reporting import circuit, figures, index
from tests.reporting.run_builder import HOSTILE, PROGRAM, build_run, build_view


def texts(svg: str) -> list[str]:
    return [node.text.strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


def gate(name: str, *wires: int, weights=(), inputs=()) -> Gate:
    angles = [Parameter(weights=((w, 1.0),)) for w in weights] + [Parameter(inputs=((i, 1.0),)) for i in inputs]
    return Gate(name, wires, tuple(angles))


DRAWN = read(Program, PROGRAM)


def test_a_drawing_names_gates_angles_wires_and_what_is_measured():
    shown = texts(circuit.svg(DRAWN))
    assert shown.count("RX") == 2
    assert shown.count("x0") == 2
    assert shown.count("Rot") == 2
    assert "⟨Z⟩" in shown
    assert {"0", "1"} <= set(shown)


def test_gates_that_share_no_wire_stand_below_each_other_and_others_side_by_side():
    gates = [gate("RX", 0), gate("RX", 1), gate("CNOT", 0, 2), gate("H", 1), gate("RY", 0)]
    placed = circuit._place(gates, 3)
    assert [column for _, column in placed] == [0, 0, 1, 2, 2]  # the CNOT passes wire 1


@pytest.mark.parametrize(
    ("found", "said"),
    [(gate("RX", 0, inputs=[2]), "x2"), (gate("Rot", 0, weights=[3, 4, 5]), "w3–5"), (gate("RX", 0), ""),
     (gate("U3", 0, weights=[1], inputs=[0]), "x0 w1")],
)  # fmt: skip
def test_angles_are_named_by_what_they_read(found, said):
    assert circuit.angles(found.params) == said


def test_a_deep_circuit_folds_and_is_cut_and_says_so():
    deep = replace(DRAWN, gates=(gate("RX", 0),) * 500)
    svg = circuit.svg(deep)
    assert "340 more gates" in texts(svg)
    assert len(svg) < 100_000
    wide = replace(DRAWN, wires=40, gates=(gate("CNOT", 0, 39), gate("RX", 1)))
    assert "RX" in texts(circuit.svg(wide))


def test_a_drawing_takes_the_pages_colours_and_no_names_as_markup():
    svg = circuit.svg(replace(DRAWN, gates=(gate(HOSTILE, 0), gate("$x_1$", 1))))
    assert "currentColor" in svg
    assert circuit.INK not in svg
    assert "<script" not in svg
    assert "<style" not in svg
    assert "$x_1$" in texts(svg)


def test_equal_circuits_are_drawn_once_and_most_are_left_out(tmp_path):
    view = build_view(tmp_path, scenarios=("a", "b", "c"), variants=("torch",))
    found = circuit.circuits(view)
    assert [each.scenarios for each in found.drawn] == [("a", "b", "c")]
    programs = {str(i): (read(Program, {**PROGRAM, "gates": PROGRAM["gates"][:1] * i}),) for i in range(1, 21)}
    many = circuit.circuits(replace(view, programs=programs, drawings={}), most=3)
    assert (len(many.drawn), many.left_out) == (3, 17)


def test_a_program_that_is_not_covered_shows_its_text_drawing(tmp_path):
    view = build_view(tmp_path, scenarios=("a",), variants=("torch",))
    found = circuit.circuits(replace(view, programs={"a": (read(Program, {**PROGRAM, "not_covered": "QFT"}),)}))
    assert found.drawn[0].svg is None
    assert "RX(x)" in found.drawn[0].text


def test_figures_come_as_svg_png_and_pdf(tmp_path, monkeypatch):
    sizes = {f"w{n}": {"wires": n} for n in (1, 2, 3)}
    options = {"scenarios": tuple(sizes), "settings": sizes, "variants": ("torch", "jax-jit")}
    view = build_view(
        tmp_path / "run", speeds={"torch": 1.0, "jax-jit": 0.1}, faults={(0, "jax-jit"): "fault"}, **options
    )
    for path in write_figures(replace(view, cells=view.cells[-2:], programs={}, growths=()), tmp_path / "all"):
        assert path.read_bytes().startswith({".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix])
    assert len({path.suffix for path in (tmp_path / "all").iterdir()}) == 3
    monkeypatch.setattr(figures, "FORMATS", ("svg",))
    kinds = {"differences-w1", "fit-w1", "ratios", "scaling-wires", "circuit-w1"}
    assert kinds <= {path.stem for path in write_figures(view, tmp_path / "figures")}
    svg = (tmp_path / "figures" / "ratios.svg").read_text(encoding="utf-8")
    assert "jax-jit" in svg


def test_figures_of_a_run_with_nothing_to_draw_are_none(tmp_path):
    view = build_view(tmp_path, scenarios=("s",), variants=("torch",), faults={(0, "torch"): "failed"})
    assert write_figures(replace(view, programs={}), tmp_path / "figures") == []


def test_the_index_lists_runs_newest_first_and_judges_each_once(tmp_path, monkeypatch):
    results, reports = tmp_path / "results", tmp_path / "reports"
    options = {"scenarios": ("s",), "variants": ("torch", "jax"), "speeds": {"torch": 1.0, "jax": 3.0}}
    old, _ = build_run(results, **options)
    new, _ = build_run(results, faults={(0, "jax"): "failed"}, **options)
    page = write_index(results, reports).read_text(encoding="utf-8")
    assert re.findall(r'<a href="([\w-]+)\.html">\d{8}-', page) == [new.id, old.id]
    assert 'class="error"' in page
    assert {path.name for path in reports.iterdir()} == {"index.html", f"{old.id}.html", f"{new.id}.html"}

    def judge(_):
        raise AssertionError("judged again")

    monkeypatch.setattr(summary, "summarise", judge)
    assert write_index(results, reports).read_text(encoding="utf-8") == page
    (reports / f"{old.id}.html").write_text("not a report", encoding="utf-8")
    with pytest.raises(AssertionError, match="judged again"):
        write_index(results, reports)


def test_the_index_of_hostile_and_missing_runs_stays_text(tmp_path):
    assert "There is no run yet" in write_index(tmp_path / "none", tmp_path / "reports").read_text(encoding="utf-8")
    cell = {"scenario": HOSTILE, "variant": HOSTILE, "mark": "pass", "line": HOSTILE, "timing": {"ratio": 2.0}}
    document = {"run": HOSTILE, "created": HOSTILE, "sentence": HOSTILE, "exit_code": 0, "cells": [cell]}
    report = read(index.Report, document)
    entries = [index.Entry("a.html", RunRecord({"environment": {"git": {"commit": HOSTILE}}}), report)] * 2
    page = index.render(entries)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("<polyline") == 1
    assert "\u202e" not in page
    assert json.dumps(HOSTILE)  # the builder's own string, so that this cannot pass by being empty


@pytest.mark.parametrize(
    "cells",
    [
        5, {"a": 1}, [5], [{}], [{"scenario": "a", "variant": "b", "line": "c", "mark": "great"}],
        [{"scenario": "a", "variant": "b", "line": "c", "mark": ["pass"]}],
        [{"scenario": "a", "variant": "b", "line": "c", "mark": "pass", "timing": []}],
        [{"scenario": "a", "variant": "b", "line": "c", "mark": "pass", "timing": {"ratio": "fast"}}],
        [{"scenario": "a", "variant": "b", "line": "c", "mark": "pass", "timing": {"ratio": -1}}],
    ],
)  # fmt: skip
def test_a_report_that_is_not_ours_is_not_believed(cells):
    data = json.dumps({"cells": cells})
    assert index.read(f'<script type="application/json" id="run-data">{data}</script>') is None
