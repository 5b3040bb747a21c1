"""Bad input: which errors mean it, and the one line that says so."""

from __future__ import annotations

from typing import Any

import typer

# What Typer raises for a wrong option or argument; it has no public name of its own.
USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[1]


class UsageProblem(Exception):
    """Bad input found by a command itself: one line, exit code 2."""


def problem(error: Exception) -> str | None:
    """The line for an error that means bad input; None for any other. Asked only once something has been raised."""
    from qparity.diagnose import DiagnosisError
    from qparity.environments.errors import EnvironmentProblem
    from qparity.runner.capture import CaptureError
    from qparity.scenario.errors import ScenarioError
    from qparity.scenario.text import printable
    from qparity.store import StoreError

    if isinstance(error, USAGE_ERROR):
        return printable(error.format_message())
    if isinstance(error, OSError):
        return printable(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": "))
    ours = (UsageProblem, CaptureError, ScenarioError, StoreError, DiagnosisError, EnvironmentProblem)
    return printable(str(error)) if isinstance(error, ours) else None
