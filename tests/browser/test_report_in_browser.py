"""The report as its readers meet it."""

import json
import re
import time

import pytest

from qparity.cli.runs import write_index
from qparity.reporting.html import render
from qparity.summary.compare import compare
from tests.reporting.run_builder import build_run, build_view, hostile_view, many

CHARTS = ("loss", "forward", "gradient", "update", "bits", "curve", "fit", "phases", "memory", "pareto", "total")
CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const back = (node) => {
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(channels(getComputedStyle(at).backgroundColor));
    return chain.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const low = [];
  for (const node of document.querySelectorAll("body *:not(script):not(style):not(svg *)")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest("svg, .vega-embed")) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color)), light(back(node))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.push([ratio.toFixed(2), node.textContent.trim().slice(0, 40)].join(" "));
  }
  return low;
}"""


def test_it_opens_quietly_with_every_chart_drawn(opened):
    page = opened()
    for name in (*CHARTS, "ratios"):
        assert page.locator(f"#chart-{name} svg.marks").count() == 1, name
        assert page.locator(f"#chart-{name} svg path").count() > 0, name
    assert page.title().startswith("✗ qparity")


def test_it_starts_at_the_first_unexpected_cell(opened):
    page = opened()
    assert page.locator("#chosen-name").inner_text() == "fourier-l2 · torch"
    assert "LOCAL-FAULT step 15" in page.locator("#chosen-line").inner_text()
    assert page.locator("#chart-gradient").get_by_text("first over: step 15").count() == 1


def test_a_click_changes_detail_charts_and_address(opened):
    page = opened()
    before = page.locator("#chart-gradient svg.marks").inner_html()
    page.locator("#matrix a[href='#fourier-l1/jax-jit']").click()
    page.locator("#detail[data-cell='fourier-l1/jax-jit']").wait_for()
    page.wait_for_timeout(300)
    assert page.locator("#chart-gradient").get_by_text("first over").count() == 0
    assert page.locator("#chart-gradient svg.marks").inner_html() != before
    assert page.url.endswith("#fourier-l1/jax-jit")
    assert "within rounding" in page.locator("#chosen-line").inner_text()


def test_the_choice_moves_the_charts_of_the_scenario_but_not_those_of_the_run(opened):
    page = opened()
    ratios = page.locator("#chart-ratios svg.marks").inner_html()
    total = page.locator("#chart-total svg.marks").inner_html()
    page.locator("#matrix a[href='#fourier-l4/torch']").click()
    page.wait_for_timeout(300)
    assert page.locator(".chosen-scenario").inner_text() == "fourier-l4"
    assert page.locator("#chart-total svg.marks").inner_html() != total
    assert page.locator("#chart-ratios svg.marks").inner_html() == ratios


def test_the_command_that_runs_a_cell_again_can_be_copied(opened, page):
    opened(fragment="#fourier-l4/torch")
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_role("button", name="Copy the command").get_by_text("copied").wait_for()
    assert page.evaluate("getSelection().toString()") == "qparity run scenarios/fourier.toml -k fourier-l4 -v torch"


def test_above_the_fold_stand_verdict_answers_and_matrix(opened, page):
    page.set_viewport_size({"width": 1400, "height": 900})
    opened()
    for there in (
        ".verdict",
        "#q-wrong",
        "#which",
        "#q-trust",
        "#matrix tbody tr >> nth=0",
        "#chart-gradient svg.marks",
    ):
        box = page.locator(there).bounding_box()
        assert box["y"] + box["height"] <= 900, there


def test_a_deep_link_opens_its_cell_and_later_links_work_too(opened):
    page = opened(fragment="#fourier-l4/jax-jit")
    assert page.locator("#chosen-name").inner_text() == "fourier-l4 · jax-jit"
    page.locator(".verdict a[href*=torch]").click()
    page.locator("#chosen-name", has_text="fourier-l2 · torch").wait_for()


def test_the_keyboard_walks_the_matrix_and_finds_failures(opened):
    page = opened(fragment="#fourier-l1/tf")
    page.keyboard.press("n")
    assert page.locator("#chosen-name").inner_text() == "fourier-l2 · torch"
    page.keyboard.press("n")
    assert page.locator("#chosen-name").inner_text() == "fourier-l4 · tf"
    page.keyboard.press("ArrowRight")
    assert page.locator("#chosen-name").inner_text() == "fourier-l4 · tf-graph"
    page.keyboard.press("ArrowUp")
    assert page.locator("#chosen-name").inner_text() == "fourier-l2 · tf-graph"
    assert page.locator("#matrix a:focus").get_attribute("href") == "#fourier-l2/tf-graph"
    for _ in range(9):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#chosen-name").inner_text() == "fourier-l2 · tf"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(opened, page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert opened().evaluate(CONTRAST) == []


def test_the_theme_follows_the_system_and_can_be_toggled(opened, page):
    page.emulate_media(color_scheme="dark")
    opened()
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(20, 23, 26)"
    page.keyboard.press("d")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.locator("#theme").click()
    assert page.evaluate(paper) == "rgb(20, 23, 26)"
    page.wait_for_timeout(300)


def test_without_javascript_the_verdict_matrix_and_tables_stand(browser, report):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        assert page.get_by_text("✗ FAIL").is_visible()
        assert page.locator("#matrix a").count() == 18
        assert page.locator("#matrix a").first.is_visible()
        assert page.locator("#phases tbody tr").first.is_visible()
        assert page.locator("#detail").is_hidden()
        assert page.get_by_text("The charts need JavaScript").is_visible()


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_no_page_scrolls_sideways(opened, page, width):
    page.set_viewport_size({"width": width, "height": 844})
    opened()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_filter_leaves_only_scenarios_with_something_unexpected(opened):
    page = opened()
    page.locator("#only-odd").check()
    assert page.locator("#matrix tbody th:visible").all_inner_texts() == ["fourier-l2", "fourier-l4"]


def test_the_downloads_parse(opened):
    page = opened()
    with page.expect_download() as waiting:
        page.locator("#json").click()
    assert len(json.loads(waiting.value.path().read_text(encoding="utf-8"))["cells"]) == 18
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    assert waiting.value.path().read_text(encoding="utf-8").startswith("scenario,variant,status")


def test_it_prints_dark_on_white_whatever_the_theme(opened, page, tmp_path):
    page.emulate_media(color_scheme="dark")
    opened()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.marks text')).fill") == "rgb(0, 0, 0)"
    assert page.evaluate(CONTRAST) == []
    assert page.pdf(path=str(tmp_path / "report.pdf"))[:4] == b"%PDF"


def test_hostile_strings_run_nothing(opened, page, tmp_path):
    page.on("dialog", lambda _: pytest.fail("a script of the run's data ran"))
    path = tmp_path / "hostile.html"
    path.write_text(render(hostile_view(tmp_path)), encoding="utf-8")
    opened(path)
    assert "<script>alert(1)" in page.locator("#chosen-name").inner_text()
    page.keyboard.press("n")
    assert page.locator("#chart-gradient svg.marks").count() == 1


def test_with_a_base_run_the_changes_are_marked(opened, tmp_path):
    options = {"scenarios": ("s",), "variants": ("torch", "jax", "tf"), "speeds": {"torch": 1.0, "tf": 3.0}}
    base = build_view(tmp_path / "a", **options)
    head = build_view(tmp_path / "b", faults={(0, "jax"): "fault"}, **options)
    path = tmp_path / "changes.html"
    path.write_text(render(head, compare(base, head)), encoding="utf-8")
    page = opened(path)
    assert page.locator("#matrix a[href='#s/jax'] b").inner_text() == "!"
    assert page.locator("#matrix a[href='#s/torch'] b").count() == 0
    assert "1 worse" in page.locator(".verdict").inner_text()
    assert page.locator("#changes tbody tr").count() == 1
    said = page.locator("#changes").inner_text()
    assert "Speed, tf: cannot tell [" in said
    assert "relative to torch, whose own steps take 1x as long" in said


def test_the_index_has_contrast_and_no_sideways_scroll(page, tmp_path):
    for faults in ({}, {(0, "jax"): "fault", (0, "tf"): "unsupported"}):
        run, _ = build_run(tmp_path / "results", scenarios=("s",), variants=("torch", "jax", "tf"), faults=faults)
        time.sleep(0.01)
    target = write_index(tmp_path / "results", tmp_path / "reports")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(target.as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("a", has_text=run.id).click()
    page.locator("html[data-ready]").wait_for()


@pytest.mark.parametrize("fault", ["failed", "nan", "missing"])
def test_a_run_without_anything_to_draw_is_ready_too(opened, tmp_path, fault):
    path = tmp_path / "empty.html"
    faults = {(0, "torch"): fault, (0, "jax"): fault}
    view = build_view(tmp_path, scenarios=("s",), variants=("torch", "jax"), faults=faults)
    path.write_text(render(view), encoding="utf-8")
    opened(path)


def test_three_hundred_and_sixty_scenarios_are_usable(opened, page, tmp_path):
    path = tmp_path / "huge.html"
    view = many(build_view(tmp_path, scenarios=("a", "b"), steps=5, faults={(1, "jax"): "fault"}), 360)
    path.write_text(render(view), "utf-8")
    opened(path)
    assert page.locator("#chosen-name").inner_text() == "b-359 · jax"
    assert page.locator("#matrix a:visible").count() == 360 * 6
    assert page.locator("#dense").is_checked()
    assert page.locator("#matrix").bounding_box()["height"] <= 720  # on one screen, without scrolling inside
    assert page.evaluate("(m => m.scrollHeight <= m.clientHeight)(document.querySelector('#matrix'))")
    page.locator("#only-odd").check()
    assert page.locator("#matrix tbody tr:visible").count() == 1


def test_paper_has_the_ratios_of_a_small_run_and_not_the_hundreds_of_a_large_one(opened, page, timed, tmp_path):
    path = tmp_path / "large.html"
    view = build_view(tmp_path, scenarios=("s",), variants=("torch", "tf"), speeds={"torch": 1.0, "tf": 3.0})
    path.write_text(render(many(view, 80)), encoding="utf-8")
    for report, there in ((timed / "right.html", True), (path, False)):
        opened(report)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        tables = page.locator("#speed details[open] tbody th").all_inner_texts()
        assert any(name in ("a", "s-0") for name in tables) == there
        assert "seen in" in tables


def test_a_large_run_is_ready_soon(opened, page, tmp_path):
    path = tmp_path / "large.html"
    path.write_text(render(many(build_view(tmp_path, scenarios=("s",)), 36)), encoding="utf-8")
    times = []
    for _ in range(3):
        start = time.perf_counter()
        opened(path)
        times.append(time.perf_counter() - start)
    # 1.5 s on a quiet machine; the bound leaves room for a busy one
    assert min(times) < 4.0


def names(page):
    return page.locator("#matrix tr.scenario:visible > th").all_inner_texts()


def test_scenarios_are_searched_sorted_and_grouped(opened, page, tmp_path):
    path = tmp_path / "grouped.html"
    settings = {"b": {"device": "lightning.qubit", "diff_method": "adjoint"}, "c": {"circuit": "iqp"}}
    faults = {(1, "torch"): "fault", (2, "jax"): "leak", (2, "tf"): "timeout"}
    view = build_view(tmp_path, scenarios=("c", "b", "a"), settings=settings, faults=faults)
    path.write_text(render(view), "utf-8")
    opened(path)
    assert names(page) == ["c", "b", "a"]
    page.locator("#sort").select_option("name")
    assert names(page) == ["a", "b", "c"]
    page.locator("#sort").select_option("lost")
    assert names(page)[-1] == "c"  # the only one in which no bit is lost to a fault
    page.locator("#sort").select_option("rank")
    assert names(page) == ["b", "a", "c"]
    page.locator("#search").fill("LOCAL-FAULT torch")
    assert names(page) == ["b"]
    assert page.locator("#shown").inner_text() == "1 of 3 scenarios"
    page.locator("#search").fill("")
    page.locator("#group").select_option("cause")
    heads = page.locator("#matrix tr.group").all_inner_texts()
    assert heads[0] == "torch, gradient, default.qubit: 1 scenario"
    assert "nothing is wrong: 1 scenario" in heads
    page.locator("#group").select_option("circuit")
    assert page.locator("#matrix tr.group").all_inner_texts() == ["data_reuploading: 2 scenarios", "iqp: 1 scenario"]
    assert names(page) == ["b", "a", "c"]  # circuits as they come, worst first, inside them too


def test_the_keyboard_walks_what_is_shown_as_it_is_sorted(opened, page):
    opened(fragment="#fourier-l1/tf")
    page.locator("#sort").select_option("rank")  # l2 disagrees, l4 failed, l1 agrees
    page.locator("#matrix a[href='#fourier-l2/tf']").click()
    page.locator("#chosen-name", has_text="fourier-l2 · tf").wait_for()
    page.keyboard.press("ArrowDown")
    assert page.locator("#chosen-name").inner_text() == "fourier-l4 · tf"
    page.locator("#search").fill("l1")
    page.locator("#search").press("n")  # a letter, not the key for the next failure
    assert page.locator("#search").input_value() == "l1n"
    assert page.locator("#chosen-name").inner_text() == "fourier-l4 · tf"


def test_failures_are_told_by_cause_and_counted(opened, page):
    opened()
    assert page.locator("#problems .cause h3").all_inner_texts() == [
        "torch, gradient, default.qubit: 1 cell",
        "tf, failed: ValueError: Input to reshape is a tensor with 64 values: 1 cell",
    ]
    assert "2 are different here" in page.locator("#problems").inner_text()
    assert "2 different causes." in page.locator(".verdict").inner_text()


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Two reports of timed runs: all right, and jax-jit, by far the fastest, wrong in one scenario."""
    folder, speeds = tmp_path_factory.mktemp("timed"), {"torch": 1.0, "tf": 3.0, "jax-jit": 0.1}
    for name, faults in (("right", {}), ("wrong", {(1, "jax-jit"): "fault"})):
        options = {"scenarios": ("a", "b"), "variants": tuple(speeds), "speeds": speeds, "faults": faults}
        (folder / f"{name}.html").write_text(render(build_view(folder / name, **options)), encoding="utf-8")
    return folder


def test_the_first_screen_answers_for_the_readers_number_of_steps(opened, page, timed):
    opened(timed / "right.html")
    assert page.locator("#answer b").inner_text() == "jax-jit"  # of 1000 steps
    page.locator("#steps").fill("100")
    assert page.locator("#answer b").inner_text() == "torch"
    last = json.loads(page.locator("#choice-data").text_content())[0]["answers"][-1]
    assert last[1:] == ["jax-jit", "jax-jit"]
    page.locator("#steps").fill(str(last[0]))
    assert page.locator("#answer b").inner_text() == "jax-jit"
    page.locator("#steps").fill(str(last[0] - 1))
    assert page.locator("#answer b").inner_text() == "cannot tell between torch and jax-jit"
    page.locator("#which-scenario").select_option("2")
    page.locator("#steps").fill("100000")
    assert re.match(r"jax-jit is the fastest of those that are right; about jax-jit \S+ (s|min), torch ", answer(page))
    assert re.match(
        r"b: for 1 step: cannot tell .*; from \d+ steps on: jax-jit\.$", page.locator("#ranges").inner_text()
    )
    page.locator("#steps").fill("")
    assert answer(page) == "Give a number of steps, 1 or more."


def answer(page):
    return page.locator("#answer").inner_text()


def test_a_variant_that_is_wrong_is_never_the_answer_and_is_named(opened, page, timed):
    opened(timed / "wrong.html")
    for steps in ("1", "1000", "1000000"):
        page.locator("#steps").fill(steps)
        assert "jax-jit" not in answer(page)
    assert page.locator(".wrong-variant").all_inner_texts() == ["✗ Not jax-jit, however fast: it is wrong in 1 cell."]
    assert "jax-jit, gradient, default.qubit: 1 cell" in page.locator("header").inner_text()
    assert "jax-jit is wrong in 1 cell of this run" in page.locator("#speed").inner_text()


def test_no_word_of_ours_stands_on_the_first_screen(opened, page, timed):
    for name in ("right", "wrong"):
        opened(timed / f"{name}.html")
        said = re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN", page.locator("header").inner_text())  # an id may look like 5e0
        for word in (r"\br\b", "paired", "unstable", "not earned", r"\de[+-]?\d"):
            assert not re.search(word, said), (word, said)
