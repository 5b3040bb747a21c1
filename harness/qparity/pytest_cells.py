"""The cells of scenario files as tests; collected by `pytest_plugin`, not meant to be imported.

The first test runs the sweep, of the selected cells alone. Each test then asks whether its cell is as expected, and
replays the recorded step times of its timed rounds through pytest-benchmark, where that is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest
from rich.console import Console

from qparity.pytest_plugin import asked
from qparity.reporting.live import live
from qparity.runner.begin import begin
from qparity.runner.capture import CaptureError, load_all
from qparity.runner.local import Options
from qparity.runner.plan import Block, make_blocks
from qparity.runner.sweep import sweep
from qparity.scenario.errors import ScenarioError
from qparity.store import Run, StoreError
from qparity.summary import RunView, summarise
from qparity.summary.gate import Gate
from qparity.timing import samples_s

Place = tuple[str, str]


class Replay:
    """A clock that only recorded work moves on."""

    def __init__(self, samples: list[float]) -> None:
        self.samples: Iterator[float] = iter(samples)
        self.time = 0.0

    def clock(self) -> float:
        """The time, in seconds."""
        return self.time

    def work(self) -> None:
        """Take as long as the next sample did."""
        self.time += next(self.samples)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each cell."""
    if metafunc.function is test_cell:
        try:
            blocks = make_blocks(load_all(metafunc.config.getoption("--qparity"), None, None))
        except (CaptureError, ScenarioError, OSError) as error:
            raise pytest.UsageError(str(error)) from None
        places = [(block.scenario.name, str(cell.variant)) for block in blocks for cell in block.cells]
        metafunc.parametrize("place", places, ids=map("-".join, places))


@pytest.fixture(scope="session")
def swept(request: pytest.FixtureRequest) -> tuple[Run, RunView]:
    """The run, judged."""
    config = request.config
    timing, known = asked(config)
    wanted = {item.callspec.params["place"] for item in request.session.items if hasattr(item, "callspec")
              and "place" in item.callspec.params}  # fmt: skip
    loaded = load_all(config.getoption("--qparity"), None, None)
    results, resumed = config.getoption("--qparity-results"), config.getoption("--qparity-run")
    try:
        run, blocks = begin(loaded, results, resumed, None, sys.argv, False)
    except StoreError as error:
        pytest.exit(f"qparity: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    chosen = [left for block in blocks if (left := _only(block, wanted)).cells]
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext(), live(run, Console(stderr=True)) as listen:
        if not sweep(run, chosen, Options(), listen, timing):
            raise KeyboardInterrupt
    return run, summarise(run, gate=Gate(known))


def test_cell(place: Place, swept: tuple[Run, RunView], request: pytest.FixtureRequest) -> None:
    """Its verdict is the expected one."""
    run, view = swept
    cell = view.cell(*place)
    assert cell is not None
    if cell.mark == "unsupported":
        pytest.skip(cell.line)
    if not cell.as_expected:
        pytest.fail(cell.line, pytrace=False)
    samples = samples_s(run.timing(cell.scenario), cell.variant)
    if samples and request.config.pluginmanager.hasplugin("benchmark"):
        replay = Replay(samples)
        request.node.add_marker(pytest.mark.benchmark(group=cell.scenario, timer=replay.clock))
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info |= {"run": run.id, "verdict": cell.verdict}
        benchmark.pedantic(replay.work, rounds=len(samples))


def test_expectations(swept: tuple[Run, RunView]) -> None:
    """What the expectations file says of the run as a whole holds: no entry has expired, or fits no cell."""
    _, view = swept
    if view.problems:
        pytest.fail("\n".join(view.problems), pytrace=False)


def _only(block: Block, wanted: set[Place]) -> Block:
    """The cells of a block that were selected."""
    return replace(block, cells=tuple(c for c in block.cells if (block.scenario.name, str(c.variant)) in wanted))
