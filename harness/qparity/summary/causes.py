"""How many different things are wrong: red cells put together by what they have in common.

Cells that disagree with the same verdict at the same stage (a setup fault: in the same entry) are alike. Alike cells of
one backend, whatever its mode, are one cause on each device; one cause on all devices where every device that the
backend was judged on shows it. Those of the scenarios in which all of several backends show it are one cause of the
device. Cells that did not finish are put together by their reason. What is in common need not be why: a cause is a
count of what to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qparity.scenario.variant import MODES
from qparity.summary.view import CellView, Group

Place = tuple[str, str]
"""A backend and a device."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What some red cells have in common; `cells` begin with the one in which it shows earliest."""

    who: str
    what: str
    where: str
    verdict: str
    cells: tuple[CellView, ...]

    @property
    def name(self) -> str:
        """Such as `torch, gradient, lightning.qubit`."""
        return ", ".join(part for part in (self.who, self.what, self.where) if part)

    @property
    def count(self) -> str:
        """Such as `14 cells`."""
        return f"{len(self.cells)} cell{'' if len(self.cells) == 1 else 's'}"

    @property
    def first(self) -> CellView:
        """Where to look."""
        return self.cells[0]


def causes(cells: Sequence[CellView], groups: Sequence[Group]) -> tuple[Cause, ...]:
    """Of all cells that disagree, then of those that did not finish; those with most cells first."""
    judged = [cell for cell in cells if cell.mark in ("pass", "expected", "fail")]
    alike: dict[tuple[str, str], list[CellView]] = {}
    for cell in cells:
        if cell.mark == "fail":
            alike.setdefault((cell.verdict or "", _what(cell)), []).append(cell)
    found = [cause for (verdict, what), group in alike.items() for cause in _apart(verdict, what, group, judged)]
    able = [cell for cell in cells if cell.mark != "unsupported"]
    ended = [
        Cause(_who(group.cells, able), f"{group.status}: {group.reason}", "", group.status, group.cells)
        for group in groups
        if any(cell.mark == "error" for cell in group.cells)
    ]
    return tuple(sorted(found, key=lambda cause: -len(cause.cells)) + ended)


def device_of(cell: CellView) -> str:
    """The device that a cell ran on, else the one that it was to run on."""
    return cell.resolved.device or (cell.settings.device if cell.settings else "")


def _apart(verdict: str, what: str, alike: list[CellView], judged: Sequence[CellView]) -> list[Cause]:
    """The causes among cells that are alike."""
    found = []

    def add(cells: list[CellView], where: str) -> None:
        cells = sorted(cells, key=lambda cell: cell.step or 0)
        found.append(Cause(_who(cells, judged, where), what, where or "every device", verdict, tuple(cells)))

    everywhere = _on_every_backend(alike, judged)
    shared = [cell for cell in alike if (cell.scenario, device_of(cell)) in everywhere]
    for device in dict.fromkeys(map(device_of, shared)):
        add([cell for cell in shared if device_of(cell) == device], device)
    alone = [cell for cell in alike if (cell.scenario, device_of(cell)) not in everywhere]
    tried = set(map(_place, judged))
    left = {place: [cell for cell in alone if _place(cell) == place] for place in map(_place, alone)}
    for backend in dict.fromkeys(backend for backend, _ in left):
        shown, asked = ([place for place in places if place[0] == backend] for places in (left, tried))
        if len(shown) > 1 and len(shown) == len(asked):
            add([cell for place in shown for cell in left.pop(place)], "")
    for place, cells in left.items():
        add(cells, place[1])
    return found


def _on_every_backend(alike: Sequence[CellView], judged: Sequence[CellView]) -> set[tuple[str, str]]:
    """The (scenario, device) that several backends were judged at, all of which show it."""
    shown: dict[tuple[str, str], set[str]] = {}
    asked: dict[tuple[str, str], set[str]] = {}
    for cells, backends in ((alike, shown), (judged, asked)):
        for cell in cells:
            backends.setdefault((cell.scenario, device_of(cell)), set()).add(_place(cell)[0])
    return {at for at, backends in shown.items() if len(backends) > 1 and backends == asked[at]}


def _who(cells: Sequence[CellView], judged: Sequence[CellView], device: str = "") -> str:
    """The variants of these cells; where they are all that were judged in each of these scenarios, every variant."""
    names = list(dict.fromkeys(cell.variant for cell in cells))
    places = {(cell.scenario, cell.variant) for cell in cells}
    scenarios = {cell.scenario for cell in cells}
    there = [cell for cell in judged if cell.scenario in scenarios and (not device or device_of(cell) == device)]
    everyone = len(names) > 1 and all((cell.scenario, cell.variant) in places for cell in there)
    return "every variant" if everyone else " and ".join(names)


def _what(cell: CellView) -> str:
    """The stage; of a fault in what was set up, the entry: another entry is another cause."""
    if cell.stage != "setup":
        return cell.stage or "no stage"
    return f"setup of {cell.tensor}" if cell.tensor else "setup"


def _place(cell: CellView) -> Place:
    name = cell.variant.partition("@")[0]
    return (MODES[name][0] if name in MODES else name), device_of(cell)
