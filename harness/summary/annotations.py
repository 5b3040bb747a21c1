"""GitHub workflow annotations: one line for each cell that is against expectation."""

from harness.summary.view import RunView


def lines(view: RunView) -> list[str]:
    """`::error file=...,title=...::message` lines, `::warning` for cells that were not compared.

    The file is named where the run has only one: the plan does not say which scenario came from which.
    """
    file = f"file={_property(view.sources[0])}," if len(view.sources) == 1 else ""
    kinds = {"fail": "error", "error": "error", "uncompared": "warning"}
    gate = [f"::error title=qparity check::{_message(problem)}" for problem in view.problems]
    return gate + [
        f"::{kinds[cell.mark]} {file}title={_property(cell.name)}::{_message(cell.line)}"
        for cell in view.cells
        if cell.mark in kinds
    ]


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
