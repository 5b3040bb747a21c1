"""`pytest --qparity scenarios/smoke.toml`: every cell of the scenario files is a test. Idle without that option."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qparity.parity.expectation import Expectation
    from qparity.runner.rounds import TimingOptions

CELLS = Path(__file__).with_name("pytest_cells.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("qparity")
    group.addoption("--qparity", action="append", type=Path, metavar="FILE", help="a test for each cell of this file")
    group.addoption("--qparity-run", metavar="RUN", help="take what this run has, and run only what it lacks")
    group.addoption("--qparity-results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept")
    group.addoption("--qparity-no-timing", action="store_true", help="no timing rounds")
    group.addoption("--qparity-budget", metavar="TIME", help="time for no longer than this, such as 90s, 2m or 1h")
    group.addoption(
        "--qparity-expectations", type=Path, metavar="FILE", help="known faults with reason and expiry (TOML)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whether expectations hold is a test only where there are some."""
    if not config.getoption("--qparity-expectations"):
        items[:] = [item for item in items if (item.path.name, item.name) != (CELLS.name, "test_expectations")]


def pytest_configure(config: pytest.Config) -> None:
    """Collect the cells: beside the tests that are named on the command line, else alone."""
    if config.getoption("--qparity"):
        if getattr(config.option, "numprocesses", None):
            raise pytest.UsageError("--qparity: its cells are one sweep, measured against each other: leave out -n")
        asked(config)
        named = config.args if config.args_source is config.ArgsSource.ARGS else []
        config.args[:] = [*named, str(CELLS)]


def asked(config: pytest.Config) -> tuple[TimingOptions | None, tuple[Expectation, ...]]:
    """How to time, and what is known. Raises `pytest.UsageError` where an option's value is wrong."""
    from qparity.parity.expectation import load_expectations
    from qparity.runner.budget import parse_seconds
    from qparity.runner.rounds import TimingOptions
    from qparity.scenario.errors import ScenarioError

    budget, expectations = config.getoption("--qparity-budget"), config.getoption("--qparity-expectations")
    timed = not config.getoption("--qparity-no-timing")
    try:
        if budget is not None and not timed:
            raise ScenarioError("no --qparity-no-timing beside it", key="--qparity-budget", value=budget)
        run_s = parse_seconds(budget, "--qparity-budget") if budget is not None else None
        known = load_expectations(expectations) if expectations else ()
    except ScenarioError as error:
        raise pytest.UsageError(str(error)) from None
    return TimingOptions(run_s=run_s) if timed else None, known
