"""`pytest --qparity scenarios/smoke.toml`: every cell of the scenario files is a test. Idle without that option."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("qparity")
    group.addoption("--qparity", action="append", type=Path, metavar="FILE", help="a test for each cell of this file")
    group.addoption("--qparity-run", metavar="RUN", help="take what this run has, and run only what it lacks")
    group.addoption("--qparity-results", type=Path, default=Path("results"), metavar="DIR", help="where runs are kept")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the cells: beside the tests that are named on the command line, else alone."""
    if config.getoption("--qparity"):
        if getattr(config.option, "numprocesses", None):
            raise pytest.UsageError("--qparity: its cells are one sweep, measured against each other: leave out -n")
        named = config.args if config.args_source is config.ArgsSource.ARGS else []
        config.args[:] = [*named, str(Path(__file__).with_name("pytest_cells.py"))]
