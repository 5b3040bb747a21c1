"""What scenario files ask of their own cells beside a verdict: right bits, and a largest slowdown."""

from __future__ import annotations

from collections.abc import Sequence

from qparity.summary.speeds import ratio_phrase
from qparity.summary.view import CellView

Lines = tuple[str, ...]


def budgets(cells: Sequence[CellView]) -> tuple[Lines, Lines]:
    """A line for each budget that is not kept; a line for each of which nobody can say whether it is.

    Bits are those of the matrix (`CellView.bits`). A slowdown is one where its whole interval lies above what is
    allowed. A cell that did not finish, or was not compared, is counted elsewhere.
    """
    unmet, unknown = list[str](), list[str]()
    for cell in cells:
        if cell.status != "ok" or cell.settings is None:
            continue
        asked = cell.settings.asked_of(cell.settings.min_bits, cell.variant)
        if asked and cell.verdict != "NOT-COMPARED":
            if cell.bits is None:
                unknown.append(f"Bits: {cell.name} has min_bits = {asked}, but not all of it was judged exactly.")
            elif cell.bits.right < asked:
                right = f"{cell.bits.right} right bits in {cell.bits.stage}"
                unmet.append(f"Bits: {cell.name} has {right}, its file asks for {asked}.")
        most = cell.settings.asked_of(cell.settings.max_slowdown, cell.variant)
        if most is None or cell.mark in ("fail", "error") or (cell.timing and cell.timing.reference == cell.variant):
            continue
        if cell.timing is None or cell.timing.ratio is None or cell.speed == "struck":
            why = cell.untimed or "it was not timed"
            unknown.append(f"Speed: {cell.name} has max_slowdown = {most:g}, but cannot be compared: {why}.")
        elif cell.timing.ratio.low > most:
            takes = f"{ratio_phrase(cell.timing.ratio)} the time of {cell.timing.reference}"
            unmet.append(f"Speed: {cell.name} takes {takes}, its file allows {most:g}x.")
    return tuple(unmet), tuple(unknown)
