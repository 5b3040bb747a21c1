"""GitHub workflow annotations: one line for each cell that is against expectation."""

from collections.abc import Callable

from qparity.scenario.text import printable_lines
from qparity.summary.view import CellView, RunView

KINDS = {"fail": "error", "error": "error", "uncompared": "warning"}


def lines(view: RunView, line_of: Callable[[str, str], int | None] = lambda file, scenario: None) -> list[str]:
    """`::error file=...,line=...,title=...::message` lines, `::warning` for cells that were not compared.

    `line_of` finds the line of a scenario in its file.
    """
    gate = [f"::error title=qparity check::{_message(problem)}" for problem in view.problems]
    return gate + [
        f"::{KINDS[cell.mark]} {_place(cell, line_of)}title={_property(cell.name)}::{_message(cell.line)}"
        for cell in view.cells
        if cell.mark in KINDS
    ]


def _place(cell: CellView, line_of: Callable[[str, str], int | None]) -> str:
    if not cell.source:
        return ""
    line = line_of(cell.source, cell.scenario)
    return f"file={_property(cell.source)}," + (f"line={line}," if line else "")


def _message(text: str) -> str:
    return printable_lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
