"""The page over releases in a browser: light, dark, narrow, and without JavaScript."""

import pytest

from qparity.reporting.releases import render
from tests.browser.test_report_in_browser import CONTRAST
from tests.reporting.test_releases_page import entries


@pytest.fixture
def page_file(tmp_path):
    path = tmp_path / "releases.html"
    path.write_text(render(entries(), "qparity versions stock", "2026-11-27 14:00"), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_read_in_light_and_dark_and_on_a_phone(page, page_file, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(page_file.as_uri())
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_needs_no_script_and_a_cell_leads_to_its_reason_and_back(browser, page_file):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.get_by_role("link", name="✗ LOCAL-FAULT forward").click()
        assert page.url.endswith("#why-1")
        assert page.locator("#why-1").get_by_text("it is wrong").is_visible()
        page.locator("#why-1").get_by_role("link", name="keras 3.15.1").click()
        assert page.url.endswith("#keras/3.15.1/stock%20on%20torch")
