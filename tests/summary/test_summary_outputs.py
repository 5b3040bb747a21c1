"""JSON, Markdown, JUnit, annotations and terminal say the same of the same view."""

import io
import json as stdlib_json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from qparity.scenario.text import printable_lines
from qparity.scenario.variant import MODES
from qparity.summary import annotations, csv, json, junit, markdown, terminal, words
from qparity.summary.words import command
from tests.reporting.run_builder import REASONS, VARIANTS, build_view, renamed

HOSTILE = "a|b `c` <script>alert(1)</script>\n::error::x %0A \x1b[31m \x00 \u202e"
FAULTS = {(0, "tf"): "fault", (0, "jax"): "unsupported", (1, "tf"): "failed", (2, "jax"): "uncompared",
          (1, "jax"): "setup", (2, "torch"): "leak"}  # fmt: skip


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    expect = {"fourier-l4": {"torch": "PRECISION-LEAK"}}
    return build_view(tmp_path_factory.mktemp("run"), faults=FAULTS, expect=expect)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    view = build_view(
        tmp_path_factory.mktemp("hostile"),
        variants=("torch", "jax"),
        faults={(0, "torch"): "failed", (1, "torch"): "unsupported", (2, "torch"): "fault"},
        reasons=dict.fromkeys(REASONS, HOSTILE),
        command=("qparity", HOSTILE),
    )
    return renamed(view, "jax", HOSTILE)


def test_the_json_object_has_its_documented_keys_and_strict_numbers(view):
    text = stdlib_json.dumps(json.document(view), allow_nan=False)
    found = stdlib_json.loads(text)
    assert found["exit_code"] == 1
    assert len(found["cells"]) == 18
    first = found["cells"][0]
    keys = "scenario variant status verdict stage step tensor r effective_bits reason as_expected"
    assert set(keys.split()) <= first.keys()
    assert (first["verdict"], first["step"], first["index"]) == ("LOCAL-FAULT", 15, [2, 5, 2])
    assert [cell["as_expected"] for cell in found["cells"]].count(False) == 4


def test_the_markdown_table_has_the_same_width_on_every_row(view, hostile):
    for shown in (view, hostile):
        rows = [line for line in markdown.render(shown).splitlines() if line.startswith("|")]
        assert len(rows) == 2 + 3
        widths = {line.replace("\\|", "").count("|") for line in rows}
        assert widths == {len(shown.variants) + 2}


def test_markdown_shows_a_failing_speed_struck_through(view):
    row = next(line for line in markdown.render(view).splitlines() if line.startswith("| fourier-l1"))
    assert "✗ gradient 20/53 ~~12 ms~~" in row
    assert "– n/a" in row


def test_markdown_lets_no_html_through(hostile):
    assert "<script" not in markdown.render(hostile)


def test_markdown_stays_under_the_limit_and_counts_what_it_leaves_out(view):
    whole, cut = markdown.render(view), markdown.render(view, limit=1500)
    assert len(cut.encode()) <= 1500 < len(whole.encode())
    assert "more scenarios are left out" in cut
    assert "more scenarios" not in whole


@given(st.text())
def test_escaped_text_is_one_line_without_bare_pipes_or_tags(text):
    escaped = markdown.escape(text)
    assert "<" not in escaped
    assert "|" not in escaped.replace("\\\\", "").replace("\\|", "")
    assert len(escaped.splitlines()) <= 1


def test_junit_has_a_test_case_for_every_cell(view, hostile):
    root = ElementTree.fromstring(junit.render(view).split("?>", 1)[1])
    assert len(root.findall(".//testcase")) == 18
    counts = [len(root.findall(f".//{kind}")) for kind in ("failure", "error", "skipped")]
    assert counts == [2, 1, 2]
    assert counts == [int(root.get(key)) for key in ("failures", "errors", "skipped")]
    skipped = root.find(".//testcase[@name='jax']/skipped")
    assert "not installed" in skipped.get("message")
    odd = ElementTree.fromstring(junit.render(hostile).split("?>", 1)[1])
    assert len(odd.findall(".//testcase")) == 6


@given(st.text())
def test_no_text_breaks_the_xml(text):
    ElementTree.fromstring(f"<a>{junit._legal(text).replace('&', '').replace('<', '')}</a>")


def test_annotations_name_the_file_and_stay_on_one_line(view, hostile):
    lines = annotations.lines(view)
    assert len(lines) == 4
    assert lines[0].startswith("::error file=scenarios/fourier.toml,title=fourier-l1 · tf::LOCAL-FAULT step 15")
    assert [line.split()[0] for line in lines].count("::warning") == 1
    assert all(len(line.splitlines()) == 1 or "\x1b" in line for line in annotations.lines(hostile))
    assert all("\n" not in line and "\r" not in line for line in annotations.lines(hostile))


def test_annotations_name_the_line_of_the_scenario(view):
    lines = annotations.lines(view, lambda file, scenario: 7)
    assert lines[0].startswith("::error file=scenarios/fourier.toml,line=7,title=fourier-l1 · tf::LOCAL-FAULT step 15")


def test_without_a_terminal_there_is_one_plain_line_a_cell(view, hostile):
    for shown, count in ((view, 18), (hostile, 6)):
        out = io.StringIO()
        terminal.show(shown, Console(file=out, width=80))
        lines = out.getvalue().split("\n")
        assert len(lines) == count + 3  # that nothing was timed, the verdict, and the last line break
        assert "\x1b" not in out.getvalue()
    out = io.StringIO()
    terminal.show(view, Console(file=out, width=80))
    assert "✗ fourier-l1 tf: LOCAL-FAULT" in out.getvalue()
    assert "[12 ms a step]" not in out.getvalue().splitlines()[0]


def test_nothing_that_steers_a_terminal_or_turns_a_line_is_in_any_output(hostile):
    """Not even where a view was not read from a folder, which is where such text is first made printable."""
    cells = tuple(replace(cell, line=HOSTILE, reason=HOSTILE, untimed=HOSTILE) for cell in hostile.cells)
    view = replace(
        hostile, id=HOSTILE, command=HOSTILE, agreement=HOSTILE, problems=(HOSTILE,), cells=cells, untimed=HOSTILE
    )
    plain, matrix = io.StringIO(), io.StringIO()
    terminal.show(view, Console(file=plain, width=80))
    terminal.show(view, Console(file=matrix, width=80, force_terminal=True, color_system=None))
    texts = [plain.getvalue(), matrix.getvalue(), markdown.render(view), junit.render(view), csv.render(view)]
    texts += [*annotations.lines(view, lambda file, scenario: 1), stdlib_json.dumps(json.document(view))]
    for text in texts:
        assert printable_lines(text) == text
    assert "\\u202e" in plain.getvalue()


def test_on_a_terminal_there_is_a_matrix_and_struck_speeds(view):
    out = io.StringIO()
    terminal.show(view, Console(file=out, width=200, force_terminal=True, color_system="standard"))
    text = out.getvalue()
    assert all(variant in text for variant in VARIANTS)
    assert re.search(r"\x1b\[[0-9;]*9[0-9;]*m12 ms", text)  # 9 is strike-through
    assert view.agreement.split(".")[0] in text


def test_the_matrices_speak_in_right_bits_as_the_report_does(view):
    out = io.StringIO()
    terminal.show(view, Console(file=out, width=200, force_terminal=True, color_system=None))
    row = next(line for line in out.getvalue().splitlines() if line.startswith("fourier-l1"))
    wrong = next(cell for cell in view.cells if cell.mark == "fail")
    right = view.cell(wrong.scenario, "torch")
    for shown in (row, next(line for line in markdown.render(view).splitlines() if line.startswith("| fourier-l1"))):
        assert f"✗ gradient {wrong.fault_bits}" in shown
        assert f"✓ {right.bits}" in shown
        assert words.number(wrong.r) not in shown


def test_a_wide_terminal_has_names_whole_and_a_narrow_one_breaks_them_between_their_parts(tmp_path):
    names = ("smoke-float64-lightning.qubit-adjoint-wires2", "smoke-float32-default.qubit-backprop-wires1")
    speeds = dict.fromkeys(MODES, 2.0) | {"torch": 1.0, "jax-jit": 0.01}
    view = build_view(tmp_path, scenarios=names, variants=tuple(MODES), speeds=speeds)

    def shown(width):
        out = io.StringIO()
        terminal.show(view, Console(file=out, width=width, force_terminal=True, color_system=None))
        return out.getvalue().splitlines()

    assert all(any(line.startswith(name) for line in shown(200)) for name in names)
    narrow = shown(80)
    assert max(map(cell_len, narrow)) <= 80
    starts = {line.split()[0] for line in narrow if line.startswith("smoke-f")} - set(names)
    assert starts
    assert {start[-1] for start in starts} <= set("-._"), "between its parts"
    assert sum(line.startswith("scenario ") for line in narrow) > 1, "more variants than fit stand in a table below"
    for variant in MODES:
        assert any(f" {variant} " in f"{line} " for line in narrow if line.startswith("scenario "))
    assert not any("…" in line for line in narrow)


def test_the_terminal_matrix_takes_no_control_characters_from_names(hostile):
    out = io.StringIO()
    terminal.show(hostile, Console(file=out, width=200, force_terminal=True, color_system=None))
    assert "\x1b[31m" not in out.getvalue()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/env/bin/qparity", "run", "a b.toml"], "qparity run 'a b.toml'"),
        (["/src/harness/qparity/cli/__main__.py", "run"], "qparity run"),
        (["/env/pytest/__main__.py", "--qparity", "a.toml"], "pytest --qparity a.toml"),
    ],
)
def test_a_recorded_command_is_said_as_it_is_typed(words, said):
    assert command(words) == said


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_keeps_the_names_of_the_scenarios(tmp_path, width):
    speeds = {"tf": 5.0, "torch": 1.0, "jax": 9.0, "jax-jit": 0.1}
    view = build_view(tmp_path, scenarios=("fourier-l1", "fourier-l2"), variants=tuple(speeds), speeds=speeds)
    out = io.StringIO()
    terminal.show(view, Console(file=out, width=width, force_terminal=True, color_system=None))
    rows = [line for line in out.getvalue().splitlines() if line.startswith("fourier-l")]
    assert list(dict.fromkeys(row.split()[0] for row in rows)) == ["fourier-l1", "fourier-l2"]


def test_energy_is_told_where_the_machine_has_counters_and_nowhere_else(tmp_path):
    view = build_view(tmp_path, variants=("torch", "jax-jit"), speeds={"torch": 1.0, "jax-jit": 0.1})

    def used(cell):
        joules = {"torch": 0.5, "jax-jit": 0.02}.get(cell.variant)
        return replace(cell, timing=replace(cell.timing, energy_j=joules)) if cell.timing else cell

    there = replace(view, cells=tuple(map(used, view.cells)))
    assert there.energies == pytest.approx({"torch": 0.5, "jax-jit": 0.02})
    (line,) = (line for line in terminal.speed_lines(there) if line.startswith("energy"))
    assert "torch 500 mJ, jax-jit 20 mJ" in line
    told = {cell["variant"]: cell["timing"] for cell in json.document(there)["cells"] if cell["timing"]}
    assert told["torch"]["energy_j"] == 0.5
    assert not any(line.startswith("energy") for line in terminal.speed_lines(view))
    assert view.energies == {}
