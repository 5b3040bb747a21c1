"""What the charts and tables show, taken from the view: short numbers, as few of them as the eye can use."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qparity.summary import CellView, RunView, Series
from qparity.summary.choice import Choice
from qparity.summary.view import MOST_CURVES

MOST_STEPS = 150  # a chart is some 500 pixels wide
MOST_SAMPLES = 200
RARE = ("known", "link", "gpu_peak_bytes")  # left out of the page where they are null
MOST_CHOICES = 300  # scenarios of which one may ask which variant to take
MOST_ROWS = 1000  # of a table that lists every cell
PHASES = {
    "import_s": "import of the frameworks, once a worker",
    "spawn_s": "start of the child process",
    "build_s": "building the model",
    "first_step_s": "first step, with tracing and compiling",
    "repeat_s": "the recorded training again, to see whether it gives the same bits",
    "transfer_s": "a batch to the GPU, its predictions back",
    "step_s": "one steady step of the recorded training, unpaired: for speed see the ratios",
    "audit_s": "the recorded training",
    "fit_s": "a fresh model, and model.fit over the steps it repeats",
    "fit_first_epoch_s": "first epoch of model.fit",
    "fit_epoch_s": "one later epoch of model.fit",
    "waiting_s": "waiting for the parent",
    "close_s": "end of the child process",
    "wall_s": "all of it: start, build, recorded training, fit, waiting, end",
}


@dataclass(frozen=True, slots=True)
class PhaseTable:
    """Which phases were measured, and their seconds: medians over `shared` scenarios, and the first cells of all."""

    names: tuple[str, ...]
    shared: tuple[str, ...]
    medians: tuple[tuple[str, tuple[float | None, ...]], ...]
    cells: tuple[CellView, ...]
    all_cells: int

    @property
    def meanings(self) -> dict[str, str]:
        """Phase -> what it is."""
        return {name: PHASES.get(name, name) for name in self.names}


def series(view: RunView) -> dict[str, dict[str, Any]]:
    """Cell id -> {steps, stages: {stage: {d, t, more, b, over}}, loss, fit: {x, y, p} or {of: cell id, p}}.

    d and t are residual and tolerance in hundredths of a decade (`_decades`), b whole effective bits, over the place in
    these lists of the first step over tolerance (or -1). A tolerance is t, and `more` than that where it is not the
    same at all steps; the data of a fit stand with the first cell that has them (`of`). Where there are too many
    cells, the scenarios in which nothing is unexpected go without.
    """
    odd = {cell.scenario for cell in view.cells if cell.mark != "pass"}
    first = sorted(view.cells, key=lambda cell: cell.scenario not in odd)[:MOST_CURVES]
    found = {cell.id: entry for cell in first if (entry := _cell(cell))}
    holders: dict[str, str] = {}
    for cell_id, entry in found.items():
        if fit := entry.get("fit"):
            holder = holders.setdefault(f"{fit['x']} {fit['y']}", cell_id)
            entry["fit"] = fit if holder == cell_id else {"of": holder, "p": fit["p"]}
    return found


def phases(view: RunView) -> PhaseTable:
    """The timings of all cells; medians are over the scenarios that all variants with times passed."""
    names = tuple(name for name in PHASES if any(name in cell.phases for cell in view.cells))
    plain = {(c.scenario, c.variant): c.phases for c in view.cells if c.speed == "plain" and c.phases}
    variants = [variant for variant in view.variants if any(place[1] == variant for place in plain)]
    shared = tuple(s for s in view.scenarios if variants and all((s, v) in plain for v in variants))
    medians = tuple((v, tuple(_median(plain[s, v].get(name) for s in shared) for name in names)) for v in variants)
    timed = tuple(cell for cell in view.cells if cell.phases)
    return PhaseTable(names, shared, medians if shared else (), timed[:MOST_ROWS], len(timed))


def choices(found: Sequence[Choice]) -> list[dict[str, Any]]:
    """Of each set of scenarios its names, and [start, what is said, the one variant or null] by rising steps."""
    return [
        {
            "scenarios": list(choice.scenarios),
            "answers": [[a.start, a.said, a.best[0] if len(a.best) == 1 else None] for a in choice.answers],
            "ranges": list(choice.ranges),
        }
        for choice in found
    ]


def rounded(document: Any, digits: int = 6) -> Any:
    """A JSON document with few digits, and without entries that are null in almost all cells: a quarter of its size."""
    if isinstance(document, float):
        return float(f"{document:.{digits}g}")
    if isinstance(document, dict):
        kept = {key: value for key, value in document.items() if value is not None or key not in RARE}
        return {key: rounded(value, digits) for key, value in kept.items()}
    return [rounded(value, digits) for value in document] if isinstance(document, list) else document


def thin(worst: np.ndarray, most: int = MOST_STEPS) -> np.ndarray:
    """Indices (at most `most`, rising) that keep the largest value of each stretch: a spike is never lost."""
    if len(worst) <= most:
        return np.arange(len(worst))
    safe = np.where(np.isnan(worst), -1.0, worst)
    return np.array([part[np.argmax(safe[part])] for part in np.array_split(np.arange(len(worst)), most)])


def _cell(cell: CellView) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    count = max((len(stage.residual) for stage in cell.series), default=0)
    stages = [stage for stage in cell.series if len(stage.residual) == count]
    if stages:
        worst = np.fmax.reduce([stage.r for stage in stages])
        audited = np.flatnonzero(np.any([~np.isnan(stage.residual) for stage in stages], axis=0))
        kept = audited[thin(worst[audited])]
        entry |= {"steps": kept.tolist(), "stages": {stage.stage: _stage(stage, kept) for stage in stages}}
        if cell.loss is not None and len(cell.loss) == count:
            entry |= {"loss": _short(cell.loss[kept], 5)}
    if cell.fit is not None:
        kept = np.unique(np.linspace(0, len(cell.fit.x) - 1, min(len(cell.fit.x), MOST_SAMPLES)).astype(int))
        columns = {"x": cell.fit.x, "y": cell.fit.target, "p": cell.fit.prediction}
        entry |= {"fit": {name: _short(values[kept], 4) for name, values in columns.items()}}
    return entry


def _stage(stage: Series, kept: np.ndarray) -> dict[str, Any]:
    over = np.flatnonzero(stage.r[kept] > 1)
    tolerance = _decades(stage.tolerance[kept])
    base = next((value for value in tolerance if isinstance(value, int)), 0)
    same = len(set(tolerance)) == 1
    more = [value - base if isinstance(value, int) else value for value in tolerance]
    return {
        "d": _decades(stage.residual[kept]),
        **({"t": tolerance[0]} if same else {"t": base, "more": more}),
        "b": _short(np.rint(stage.effective_bits[kept])),
        "over": int(over[0]) if len(over) else -1,
    }


def _decades(values: np.ndarray) -> list[int | str | None]:
    """100 log10 of each value, rounded: exact to 1.2%; "0" and "inf" for those two, null for no number."""
    found: list[int | str | None] = []
    for value in map(float, values):
        if value > 0 and math.isfinite(value):
            found.append(round(100 * math.log10(value)))
        else:
            found.append("0" if value == 0 else "inf" if value > 0 else None)
    return found


def _short(values: Iterable[Any], digits: int = 3) -> list[float | str | None]:
    """Numbers with few digits; null where there is none, "inf" where it is infinite."""
    found: list[float | str | None] = []
    for value in map(float, values):
        short = float(f"{value:.{digits}g}")
        found.append(None if math.isnan(value) else "inf" if math.isinf(value) else _whole(short))
    return found


def _whole(value: float) -> float:
    return int(value) if value == int(value) and abs(value) < 1e6 else value


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
