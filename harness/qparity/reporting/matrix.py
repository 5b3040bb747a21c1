"""The rows of the matrix: a scenario's cells, and what the page searches, sorts and groups them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from qparity.scenario.schema import Scenario
from qparity.summary import CellView, RunView
from qparity.summary.causes import Cause, device_of
from qparity.summary.view import Mark

WORST: tuple[Mark, ...] = ("fail", "error", "uncompared", "expected", "pass", "unsupported")
"""Marks from worst to best."""
NAMES: dict[Mark, str] = {
    "pass": "agrees", "expected": "fault as expected", "fail": "disagrees", "error": "did not finish",
    "uncompared": "not compared", "unsupported": "unsupported",
}  # fmt: skip
LOST = 99
"""Where it is not known how many bits were lost."""


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario: its cells in the order of the variants, None where one was not planned.

    `rank` is the place of its worst cell in `WORST`, `lost` the most leading bits that a judged cell has lost; `text`
    is what a search looks at.
    """

    scenario: str
    cells: tuple[CellView | None, ...]
    circuit: str
    device: str
    verdict: str
    cause: str
    odd: bool
    rank: int
    lost: int
    text: str


def rows(view: RunView, causes: Sequence[Cause]) -> tuple[Row, ...]:
    """A row for each scenario of a run."""
    cause_of = {cell.id: cause.name for cause in causes for cell in cause.cells}
    return tuple(_row(view, scenario, cause_of) for scenario in view.scenarios)


def _row(view: RunView, scenario: str, cause_of: dict[str, str]) -> Row:
    cells = tuple(view.cell(scenario, variant) for variant in view.variants)
    there = [cell for cell in cells if cell]
    worst = min(there, key=lambda cell: WORST.index(cell.mark))
    settings = worst.settings
    circuit = _circuit(settings)
    device = device_of(worst) or "no device"
    verdict = (worst.verdict or worst.status) if worst.mark in ("fail", "expected") else NAMES[worst.mark]
    cause = next((cause_of[cell.id] for cell in there if cell.id in cause_of), "nothing is wrong")
    bits = [cell.fault_bits or cell.bits for cell in there if cell.mark in ("pass", "expected", "fail")]
    told = [f"{cell.variant} {NAMES[cell.mark]} {cell.verdict or cell.status} {cell.stage or ''}" for cell in there]
    kinds = [settings.dtype, settings.diff_method] if settings else []
    return Row(
        scenario,
        cells,
        circuit,
        device,
        verdict,
        cause,
        any(not cell.as_expected for cell in there),
        WORST.index(worst.mark),
        max((each.lost if each else LOST for each in bits), default=-1),
        " ".join([scenario, circuit, device, *kinds, *told]).lower(),
    )


def _circuit(settings: Scenario | None) -> str:
    """The circuit, model or script that a scenario trains."""
    if settings is None:
        return "not known"
    return PurePath(settings.script.file).name if settings.script else settings.model or settings.circuit
