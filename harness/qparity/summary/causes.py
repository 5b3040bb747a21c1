"""How many different things are wrong: red cells put together by what they have in common.

Cells that disagree with the same verdict at the same stage (a setup fault: in the same entry) are alike. Alike cells of
one backend, whatever its mode, are one cause on each device; one cause on all devices where every device that the
backend was judged on shows it; and a cause of the device where all of several backends show it there. Cells that did
not finish are put together by their reason. What is in common need not be why: a cause is a count of what to look at.
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
    ended = [
        Cause(_who(group.cells, judged), f"{group.status}: {group.reason}", "", group.status, group.cells)
        for group in groups
        if any(cell.mark == "error" for cell in group.cells)
    ]
    return tuple(sorted(found, key=lambda cause: -len(cause.cells)) + ended)


def device_of(cell: CellView) -> str:
    """The device that a cell ran on, else the one that it was to run on."""
    return cell.resolved.device or (cell.settings.device if cell.settings else "")


def _apart(verdict: str, what: str, alike: list[CellView], judged: Sequence[CellView]) -> list[Cause]:
    """The causes among cells that are alike."""
    tried: dict[Place, int] = {}
    for cell in judged:
        tried[_place(cell)] = tried.get(_place(cell), 0) + 1
    left = {place: [cell for cell in alike if _place(cell) == place] for place in map(_place, alike)}
    found = []

    def take(places: list[Place], where: str) -> None:
        cells = sorted((cell for place in places for cell in left.pop(place)), key=lambda cell: cell.step or 0)
        found.append(Cause(_who(cells, judged, where), what, where or "every device", verdict, tuple(cells)))

    for device in dict.fromkeys(device for _, device in left):
        shown, asked = ([place for place in places if place[1] == device] for places in (left, tried))
        if len(shown) > 1 and len(shown) == len(asked):
            take(shown, device)
    for backend in dict.fromkeys(backend for backend, _ in left):
        shown, asked = ([place for place in places if place[0] == backend] for places in (left, tried))
        if len(shown) > 1 and len(shown) == len(asked):
            take(shown, "")
    for place in list(left):
        take([place], place[1])
    return found


def _who(cells: Sequence[CellView], judged: Sequence[CellView], device: str = "") -> str:
    """The variants of these cells; where that is all that were judged there, every variant."""
    names = list(dict.fromkeys(cell.variant for cell in cells))
    there = {cell.variant for cell in judged if not device or device_of(cell) == device}
    return "every variant" if len(names) > 1 and there == set(names) else " and ".join(names)


def _what(cell: CellView) -> str:
    """The stage; of a fault in what was set up, the entry: another entry is another cause."""
    if cell.stage != "setup":
        return cell.stage or "no stage"
    return f"setup of {cell.tensor}" if cell.tensor else "setup"


def _place(cell: CellView) -> Place:
    name = cell.variant.partition("@")[0]
    return (MODES[name][0] if name in MODES else name), device_of(cell)
