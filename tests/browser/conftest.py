"""Reports in a real browser: Debian's Chromium, because no browser is ever downloaded."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qparity.reporting.html import render
from tests.reporting.run_builder import build_view


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: apt-get install chromium"
    return {"executable_path": path, "args": ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]}


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The file of a report with a fault, an unsupported and a failed cell."""
    folder = tmp_path_factory.mktemp("report")
    faults = {(1, "torch"): "fault", (0, "jax"): "unsupported", (2, "tf"): "failed", (2, "jax"): "uncompared"}
    path = folder / "report.html"
    speeds = {"tf": 9.0, "torch": 1.0, "jax-jit": 0.05}
    path.write_text(render(build_view(folder, faults=faults, speeds=speeds)), encoding="utf-8")
    return path


@pytest.fixture
def opened(page, report) -> Iterator[Callable]:
    """Open a report and wait until its charts are drawn; no console error and no request is ever allowed."""
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url) if not request.url.startswith("file:") else None)

    def open_(path: Path = report, fragment: str = ""):
        page.goto(path.as_uri() + fragment)
        page.locator("html[data-ready]").wait_for(timeout=20_000)
        return page

    yield open_
    assert noise == []
