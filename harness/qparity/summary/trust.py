"""Can I trust this? What was judged and by whom, and how quiet the machine was that the times come from."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from qparity.summary.view import PEERS_AGREE, RunView
from qparity.timing import ONE
from qparity.timing.power import found, smallest

WHO = {
    "oracle": "a simulator of higher precision that shares nothing with them (the oracle)",
    "reference": "Keras and PennyLane on NumPy in float64 (the reference)",
}


def judged_by(view: RunView) -> tuple[str, ...]:
    """Sentences on what the verdicts rest on; one that says so where nothing was judged."""
    ran = [cell for cell in view.cells if cell.status == "ok"]
    judged, judgeable = sum(cell.judged for cell in ran), sum(cell.judgeable for cell in ran)
    said = []
    if judgeable:
        share = "All" if judged == judgeable else f"{_percent(judged, judgeable)} of all"
        judges = [WHO[name] for name in WHO if any(name in cell.judges for cell in ran)]
        by = " or ".join(judges) or "something independent"
        said.append(f"{share} predictions, losses, gradients and updates were judged, apart from the backends, by {by}")
    else:
        said.append("nothing was judged by anything independent")
    if peers := sum(cell.verdict == PEERS_AGREE for cell in view.cells):
        rest = "rests" if peers == 1 else "rest"
        said.append(f"{_cells(peers)} {rest} in part on other backends alone ({PEERS_AGREE})")
    if sampled := sum(bool(cell.settings and cell.settings.shots) for cell in ran):
        said.append(f"{_cells(sampled)} drew samples: judged within chance")
    if injected := sum(cell.injected for cell in view.cells):
        said.append(f"{_cells(injected)} had a fault injected on purpose")
    return tuple(said)


def quiet(view: RunView) -> tuple[str, ...]:
    """Sentences on how far its times can be relied on; one that says so where nothing was timed."""
    timed = [(cell, cell.timing) for cell in view.cells if cell.timing]
    if not timed:
        return ("no times to compare: nothing was timed in turn",)
    kept, lost = sum(t.rounds for _, t in timed), sum(t.dropped for _, t in timed)
    said = [
        f"{kept} measurements of {len(timed)} step times" + (f", {lost} more disturbed and not counted" if lost else "")
    ]
    if odd := [(cell, t) for cell, t in timed if t.unstable]:
        why = Counter(note for _, t in odd for note in t.notes[:1]).most_common(1)[0][0]
        said.append(f"{len(odd)} of these {len(timed)} are not to be relied on ({why})")
    widths = [(t.ratio.half_width / t.ratio.estimate, cell) for cell, t in timed if t.ratio and t.ratio.estimate > 0]
    if widths:
        width, cell = max(widths, key=lambda each: each[0])
        said.append(f"the least certain ratio is known to ±{_width(width)} ({cell.name})")
    if seen := power(view):
        said.append(_slowdowns(seen))
    return tuple(said)


SLOWDOWNS = (1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)


@dataclass(frozen=True, slots=True)
class Power:
    """What slowdowns the timed rounds can show: `curve` is (factor, mean share of pairs in which it would be found)."""

    curve: tuple[tuple[float, float], ...]
    typical: float
    """The smallest slowdown that is found 9 times in 10, of the median pair; infinite where it has no interval."""
    worst: float
    worst_name: str


def power(view: RunView) -> Power | None:
    """Over all variants that were timed against a reference; None where none was."""
    timed = [(cell.name, t.ratio, t.noise) for cell in view.cells if (t := cell.timing) and t.ratio not in (None, ONE)]
    pairs = [(name, ratio, noise) for name, ratio, noise in timed if ratio]
    if not pairs:
        return None
    sizes = sorted((smallest(ratio, noise), name) for name, ratio, noise in pairs)
    curve = [(factor, sum(found(factor, r, noise) for _, r, noise in pairs) / len(pairs)) for factor in SLOWDOWNS]
    return Power(tuple(curve), sizes[len(sizes) // 2][0], *sizes[-1])


def _slowdowns(seen: Power) -> str:
    """Of the typical measurement."""
    if seen.typical == math.inf:
        return "there are too few of them to be sure of seeing any slowdown"
    where = "" if seen.worst == seen.typical else " (in the median measurement)"
    return f"a step that became {_slower(seen.typical)} would be called slower at least 9 times in 10{where}"


def _slower(factor: float) -> str:
    return f"{_width(factor - 1)} slower" if factor < 2 else f"{factor:.2g}x slower"


def _width(width: float) -> str:
    return f"{width:.0%}" if width >= 0.1 else f"{width:.1%}"


def _percent(part: int, whole: int) -> str:
    """Never rounded to all, nor to nothing."""
    return f"{min(max(100 * part / whole, 0.1 if part else 0.0), 99.9):.3g}%"


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"
