"""A person who has only the page can name variant, stage, cause and next step of what was planted.

The cells are trained and judged for real, by plain NumPy (tests/parity/fake.py); the faults act from step 0 on.
"""

import pytest

import qparity
from qparity.diagnose import find, reproduce
from tests.diagnose.test_hostile_run import make

FAULTS = {
    "sign flip": ("gradient", "LOCAL-FAULT", range(7)),
    "float32 forward": ("forward", "PRECISION-LEAK", range(22, 29)),
}
CELL = f"{0:016x}"


@pytest.fixture(scope="module", params=FAULTS)
def planted(request, tmp_path_factory):
    """A run with one faulty cell beside a clean one, what it printed, and its report."""
    folder = tmp_path_factory.mktemp("planted")
    run = make(folder, request.param)
    run.write_log(CELL, b"framework: warming up\nframework: done\n")
    run.write_diagnosis(CELL, {"schema": 1, "cell": CELL, "story": ["so: torch, but not jax"]})
    return request.param, run, qparity.report(run, folder / "report.html")


def test_variant_stage_cause_and_bits_are_on_the_page(opened, planted):
    fault, _, path = planted
    stage, verdict, bits = FAULTS[fault]
    page = opened(path)
    assert page.locator(".cause h3").all_inner_texts() == [f"torch, {stage}, default.qubit: 1 cell"]
    label = page.locator("#matrix a.fail").inner_text()
    assert label.startswith(f"✗ {stage} ")
    assert int(label.split()[-1].partition("/")[0]) in bits
    assert page.locator("#matrix a.pass").inner_text().endswith("/53")
    why = page.locator(f"#why-{CELL}")
    assert verdict in why.inner_text()
    assert "torch, but not jax" in why.inner_text()


def test_got_stands_beside_expected(opened, planted):
    fault, run, path = planted
    judged = find(run, CELL).judgement
    page = opened(path)
    rows = page.locator(".values tbody tr")
    entry, got, expected, *_ = rows.first.locator("td").all_inner_texts()
    assert entry == f"✗ [{','.join(map(str, judged.index))}]"
    assert float(got) == pytest.approx(judged.got, rel=1e-5)
    assert float(expected) == pytest.approx(judged.expected, rel=1e-5)
    assert got != expected
    if fault == "sign flip":
        assert float(got) == -float(expected)


def test_what_to_do_next_is_a_link_away(opened, planted):
    fault, _, path = planted
    page = opened(path)
    assert page.locator("#why a").is_visible()
    page.locator(f"#why-{CELL} > summary").click()
    assert not page.locator(".values").is_visible()
    page.locator("#why a").click()  # from the chosen cell to why: what was folded opens
    page.locator(".values").wait_for()
    page.locator(f"#why-{CELL} a", has_text=FAULTS[fault][1]).click()
    assert page.url.endswith(f"#verdict-{FAULTS[fault][1]}")
    about = page.locator(f"#verdict-{FAULTS[fault][1]} + dd").inner_text()
    assert "Usually:" in about
    assert "Next:" in about
    page.locator("#matrix a.pass").click()
    page.locator("#why a").wait_for(state="hidden")


def test_the_script_can_be_copied_and_is_the_reproducer(opened, planted):
    _, run, path = planted
    page = opened(path)
    page.locator(f"#why-{CELL} details", has=page.locator(".script")).locator("summary").click()
    page.get_by_role("button", name="Copy the script").click()
    page.get_by_role("button", name="Copy the script").get_by_text("copied").wait_for()
    copied = page.evaluate("getSelection().toString()")
    assert copied.strip() == reproduce(run, find(run, CELL)).strip()
    compile(copied, "copied.py", "exec")


def test_the_log_ends_there_and_nothing_needs_javascript(browser, planted):
    _, _, path = planted
    with browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        assert page.locator(".values").is_visible()
        page.locator("summary", has_text="The last lines").click()
        assert page.locator(".log").inner_text().splitlines() == ["framework: warming up", "framework: done"]
        assert page.locator("button[data-copy]:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
