"""The report as text: complete, self-contained, escaped, small."""

import base64
import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from qparity.diagnose.evidence import Evidence, Value
from qparity.reporting import data, palette
from qparity.reporting.html import _embedded, render
from qparity.scenario.text import printable_lines
from qparity.summary import csv as csv_of
from tests.reporting.run_builder import HOSTILE, VARIANTS, build_view, hostile_view

FAULTS = {(0, "tf"): "fault", (0, "jax"): "unsupported", (1, "tf"): "failed", (2, "jax"): "uncompared"}


class Page(HTMLParser):
    """The elements and texts of a page, as a browser's parser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return build_view(tmp_path_factory.mktemp("run"), faults=FAULTS)


@pytest.fixture(scope="module")
def parsed(view):
    return Page(render(view))


def test_the_verdict_is_on_top_with_its_first_divergence_as_a_link(parsed):
    assert next(attrs for tag, attrs in parsed.tags if tag == "html")
    assert "✗ FAIL" in parsed.text
    assert "1 of 15 " in parsed.text
    links = [attrs["href"] for tag, attrs in parsed.tags if tag == "a"]
    assert "#fourier-l1/tf" in links
    assert "step 15, gradient, weights[2,5,2]" in parsed.text


def test_the_title_has_the_mark(view, tmp_path):
    assert "<title>✗ qparity" in render(view)
    assert "<title>✓ qparity" in render(build_view(tmp_path))


@pytest.mark.parametrize(("fault", "word"), [(None, "✓ PASS"), ("fault", "✗ FAIL"), ("failed", "✗ INCOMPLETE")])
def test_the_word_is_that_of_the_exit_code(tmp_path, fault, word):
    faults = {(0, "jax"): fault} if fault else {}
    text = render(build_view(tmp_path, scenarios=("s",), variants=("torch", "jax"), faults=faults))
    assert f"<strong>{word}</strong>" in text


def test_the_recommendation_names_a_variant_only_where_the_data_do(tmp_path):
    options = {"scenarios": ("s",), "variants": ("torch", "jax-jit")}
    said = Page(render(build_view(tmp_path / "a", speeds={"torch": 1.0, "jax-jit": 0.1}, **options)))
    assert "jax-jit wherever it was timed (1 timed scenario): a step at least 9" in said.text
    silent = Page(render(build_view(tmp_path / "b", speeds={"torch": 1.0, "jax-jit": 1.0}, **options)))
    assert "No recommendation: wherever it was timed: " in silent.text
    assert "cannot be told apart" in silent.text
    assert "for any number of steps: cannot tell between torch and jax-jit" in silent.text
    assert "for any number of steps" not in said.text
    assert re.search(r"from \d+ steps on: jax-jit\.", said.text)
    untimed = Page(render(build_view(tmp_path / "c", **options)))
    assert "Not measured: no two variants were timed in turn" in untimed.text


def test_every_cell_is_in_the_matrix_without_javascript(view, parsed):
    cells = [attrs for tag, attrs in parsed.tags if tag == "a" and "data-cell" in attrs]
    assert {attrs["data-cell"] for attrs in cells} == {cell.id for cell in view.cells}
    assert [attrs["class"].split()[0] for attrs in cells].count("pass") == 14


def test_nothing_is_fetched_and_only_our_scripts_may_run(parsed):
    policy = next(attrs["content"] for tag, attrs in parsed.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "connect-src 'none'" in policy
    assert "'unsafe-inline'" not in re.search("script-src ([^;]*)", policy)[1]
    kinds = [attrs.get("type") for tag, attrs in parsed.tags if tag == "script"]
    for kind, text in zip(kinds, parsed.scripts, strict=True):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert (f"'sha256-{digest}'" in policy) == (kind is None)
    assert not [attrs for _, attrs in parsed.tags if "src" in attrs]
    assert all(attrs["href"].startswith(("#", "data:")) for tag, attrs in parsed.tags if "href" in attrs)


def test_hostile_strings_stay_text(tmp_path, parsed):
    view = hostile_view(tmp_path)
    odd = Evidence("", HOSTILE, HOSTILE, (Value((0,), 1.0, 2.0, 0.1, 0.0),), 1, HOSTILE, None, HOSTILE, (HOSTILE,))
    told = {cell.id: replace(odd, cell=cell.id) for cell in view.cells if cell.mark in ("fail", "error")}
    told[max(told)] = replace(told[max(told)], script=None, no_script=HOSTILE)
    hostile = Page(render(view, evidence=told))
    assert len(told) == 2
    assert "img" not in {tag for tag, _ in hostile.tags}
    assert len(hostile.scripts) == len(parsed.scripts)
    assert not [attrs for _, attrs in hostile.tags if any(name.startswith("on") for name in attrs)]
    assert printable_lines(HOSTILE) in hostile.text
    assert "\u202e" not in hostile.text + "".join(map(str, hostile.tags)) + "".join(hostile.scripts)
    assert "{{7*191}}" in hostile.text
    assert "1337" not in hostile.text
    run = json.loads(hostile.scripts[0])
    assert run["run"] == printable_lines(HOSTILE)


def test_embedded_json_cannot_close_its_element():
    text = _embedded({"a": HOSTILE, "b": "\ud800"})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"a": printable_lines(HOSTILE), "b": "\\ud800"}


@pytest.mark.parametrize(
    "options",
    [
        {"scenarios": ()},
        {"scenarios": ("one",), "variants": ("torch",)},
        {"faults": {(i, v): "failed" for i in range(3) for v in VARIANTS}},
        {"faults": {(i, v): "missing" for i in range(3) for v in VARIANTS}},
        {"faults": {(i, v): "nan" for i in range(3) for v in VARIANTS}},
        {"steps": 1},
    ],
    ids=["empty", "one", "all-failed", "all-missing", "nan", "one-step"],
)
def test_degenerate_runs_render(tmp_path, options):
    parsed = Page(render(build_view(tmp_path, **options)))
    assert "Environment" in parsed.text
    for script in parsed.scripts[:4]:
        json.loads(script, parse_constant=pytest.fail)


def test_a_time_that_was_not_earned_is_struck(tmp_path):
    speeds = {"torch": 1.0, "tf": 3.0}
    text = render(build_view(tmp_path, faults={(0, "tf"): "fault"}, speeds=speeds))
    assert text.count('<tr class="struck">') == 1
    assert text.count('<td class="struck">') == 1


def test_memory_is_said_for_host_and_gpu(tmp_path):
    view = build_view(tmp_path, scenarios=("s",), variants=("torch", "torch@gpu"))
    assert re.findall(r"<td>(412 MB.*?)</td>", render(view)) == ["412 MB", "412 MB; 55 MB on the GPU"]


def test_the_budget_of_two_megabytes_holds_at_36_by_6_by_30(tmp_path):
    names = [f"classifier-{i}q-default-parameter-shift" for i in range(36)]
    view = build_view(tmp_path, scenarios=names[:12], steps=30, speeds={name: 1 + i for i, name in enumerate(VARIANTS)})
    cells = [replace(c, scenario=f"{c.scenario}-{i}", id=f"{i}{c.id}") for i in range(3) for c in view.cells]
    names = tuple(dict.fromkeys(cell.scenario for cell in cells))
    assert len(names) * len(VARIANTS) == len(cells) == 216
    assert len(render(replace(view, cells=tuple(cells), scenarios=names)).encode()) <= 2_000_000


def test_long_trainings_are_thinned_but_keep_their_spikes():
    worst = np.zeros(100_000)
    worst[54_321] = 7.0
    kept = data.thin(worst)
    assert len(kept) <= data.MOST_STEPS
    assert 54_321 in kept
    assert np.all(np.diff(kept) > 0)
    assert list(data.thin(np.array([np.nan, 1.0]))) == [0, 1]


def test_series_are_short_and_mark_the_first_step_over_tolerance(view):
    found = data.series(view)
    gradient = found[view.cell("fourier-l1", "tf").id]["stages"]["gradient"]
    assert gradient["over"] == 15
    cell = view.cell("fourier-l2", "jax")
    residual = next(stage for stage in cell.series if stage.stage == "gradient").residual
    decades = np.array(found[cell.id]["stages"]["gradient"]["d"])
    np.testing.assert_allclose(10 ** (decades / 100), residual, rtol=0.012)
    assert found[cell.id]["stages"]["gradient"]["over"] == -1


def test_zero_and_infinity_survive_the_logarithm():
    assert data._decades(np.array([0.0, np.inf, np.nan, 1e-300])) == ["0", "inf", None, -30000]


def test_the_csv_has_a_line_a_cell_and_no_formula(view, tmp_path):
    rows = list(csv.DictReader(io.StringIO(csv_of.render(view, csv_of.SHORT))))
    assert len(rows) == 18
    assert rows[0]["verdict"] == "LOCAL-FAULT"
    assert rows[0]["as_expected"] == "False"
    odd = build_view(tmp_path, faults={(0, "tf"): "failed"}, reasons={"failed": "=cmd()"})
    assert next(csv.DictReader(io.StringIO(csv_of.render(odd))))["reason"] == "'=cmd()"


def test_variants_are_told_apart_without_colour():
    names = ["tf", "tf-graph", "tf-xla", "torch", "torch-compile", "jax", "jax-jit", "jax@gpu", "own"]
    assert len({palette.style(name)[0] for name in names}) == len(names) - 1  # a GPU keeps its backend's colour
    assert palette.style("jax@gpu")[2] != palette.style("jax")[2]
    looks = set(zip(palette.shapes(names[:7]), map(tuple, palette.dashes(names[:7])), strict=True))
    assert len(looks) == 7


def test_the_matrix_says_how_many_leading_bits_are_right(view, parsed):
    cells = {cell.id: cell for cell in view.cells}
    start = parsed.text.index("Parity with the oracle")
    said = parsed.text[start:]
    good = view.cell("fourier-l2", "torch")
    assert str(good.bits) == f"{min(good.right_bits[stage] for stage in ('forward', 'loss', 'gradient'))}/53"
    assert f"✓ {good.bits}" in said
    assert "✗ gradient 20/53" in said
    assert view.cell("fourier-l4", "jax").bits is None  # not compared: nothing is claimed
    assert "? none" in said
    cell, bits = view.fewest_bits
    assert bits == max((c.bits for c in cells.values() if c.mark == "pass"), key=lambda b: b.lost)
    assert cell.bits == bits


def test_bits_of_a_pass_leave_out_the_update_and_stand_only_where_all_was_judged(view):
    cell = view.cell("fourier-l2", "torch")
    worst = replace(cell, right_bits={"forward": 50, "loss": 51, "gradient": 49, "update": 12})
    assert (worst.bits.right, worst.bits.of, worst.bits.stage) == (49, 53, "gradient")
    assert replace(cell, right_bits={"forward": 50, "update": 52}).bits is None
    assert replace(cell, digits=24, right_bits={"forward": 22, "gradient": 23}).bits.lost == 2
    found = view.cell("fourier-l1", "tf")
    assert str(found.fault_bits) == "20/53"
    assert replace(found, effective_bits=None).fault_bits is None  # found by something else than numbers


def test_energy_stands_below_the_speeds_where_the_machine_has_counters(tmp_path):
    view = build_view(tmp_path, variants=("torch", "jax-jit"), speeds={"torch": 1.0, "jax-jit": 0.1})
    used = {"torch": 0.5, "jax-jit": 0.02}
    cells = tuple(replace(cell, timing=replace(cell.timing, energy_j=used[cell.variant])) for cell in view.cells)
    assert "energy a step500 mJ20 mJ" in Page(render(replace(view, cells=cells))).text
    assert "energy a step" not in Page(render(view)).text
