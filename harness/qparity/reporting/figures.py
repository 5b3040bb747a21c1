"""Figures for papers and slides, with matplotlib: each as SVG, PNG and PDF.

They say what the report's charts say, of the whole run and of the scenarios that matter most: those in which
something disagrees, or else the first ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qparity.reporting import circuit, palette
from qparity.summary import CellView, RunView
from qparity.summary.speeds import reference_of

FORMATS = ("svg", "png", "pdf")
MOST_SCENARIOS = 4
STAGES = {"forward": "prediction", "loss": "loss", "gradient": "gradient", "update": "update"}
MARKERS = {"circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "cross": "P", "triangle-down": "v",
           "triangle-right": ">"}  # fmt: skip
STYLE: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "savefig.bbox": "tight", "savefig.dpi": 200, "svg.fonttype": "none", "pdf.fonttype": 42,
    "svg.hashsalt": "qparity",
}  # fmt: skip


def draw(view: RunView) -> dict[str, bytes]:
    """Draw what the run has data for; returns the files by name."""
    with rc_context(STYLE):
        return {
            f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.{kind}": _saved(figure, kind)
            for name, figure in _figures(view)
            for kind in FORMATS
        }


def _saved(figure: Figure, kind: str) -> bytes:
    content = BytesIO()
    figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()


def _figures(view: RunView) -> Iterator[tuple[str, Figure]]:
    for scenario in _first(view):
        cells = [cell for cell in view.cells if cell.scenario == scenario]
        if any(cell.series for cell in cells):
            yield f"differences-{scenario}", _differences(view, scenario, cells)
        if sum(cell.timing is not None and cell.speed != "struck" for cell in cells) > 1:
            yield f"total-time-{scenario}", _total(view, scenario, cells)
        if any(cell.fit for cell in cells):
            yield f"fit-{scenario}", _fit(view, scenario, cells)
    if any(cell.timing and cell.timing.ratio for cell in view.cells):
        yield "ratios", _ratios(view)
    for axis in dict.fromkeys(growth.axis for growth in view.growths):
        yield f"scaling-{axis}", _scaling(view, axis)
    for scenario, programs in list(view.programs.items())[:MOST_SCENARIOS]:
        for i, program in enumerate(programs):
            if not program.not_covered:
                yield f"circuit-{scenario}" + (f"-{i}" if i else ""), circuit.draw(program, "black", "white")


def _first(view: RunView) -> list[str]:
    bad = [cell.scenario for cell in view.cells if cell.mark in ("fail", "expected")]
    return list(dict.fromkeys((*bad, *view.scenarios)))[:MOST_SCENARIOS]


def _differences(view: RunView, scenario: str, cells: Sequence[CellView]) -> Figure:
    figure = Figure(figsize=(6.3, 4.2), layout="constrained")
    figure.suptitle(f"{scenario}: largest difference to the oracle")
    for axes, (stage, name) in zip(figure.subplots(2, 2, sharex=True).flat, STAGES.items(), strict=True):
        axes.set(title=name, yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        limit = None
        for cell in cells:
            for series in cell.series:
                if series.stage == stage:
                    steps = np.flatnonzero(series.residual > 0)
                    axes.plot(steps, series.residual[steps], **_look(view, cell.variant))
                    limit = series.tolerance
        if limit is not None:
            axes.plot(limit, color="black", lw=1, ls="--", label="tolerance")
    for axes in figure.axes[2:]:
        axes.set_xlabel("step")
    _legend(figure)
    return figure


def _total(view: RunView, scenario: str, cells: Sequence[CellView]) -> Figure:
    figure, axes = _single(f"{scenario}: total time")
    timed = [cell for cell in cells if cell.timing and cell.speed != "struck"]
    ends = [cell.timing.break_even.step for cell in timed if cell.timing and cell.timing.break_even]
    steps = np.geomspace(1, max([1000.0, *(10 * end for end in ends if np.isfinite(end))]), 100)
    for cell in timed:
        if cell.timing:
            axes.plot(
                steps, cell.timing.start_s + steps * cell.timing.step_s, **_look(view, cell.variant, markers=False)
            )
    axes.set(xscale="log", yscale="log", xlabel="training steps", ylabel="seconds")
    _legend(figure)
    return figure


def _fit(view: RunView, scenario: str, cells: Sequence[CellView]) -> Figure:
    figure, axes = _single(f"{scenario}: learned function")
    shown = [cell for cell in cells if cell.fit is not None]
    for cell in shown:
        if cell.fit is not None:
            axes.plot(cell.fit.x, cell.fit.prediction, **_look(view, cell.variant, markers=False))
    if shown and shown[0].fit is not None:
        axes.plot(shown[0].fit.x, shown[0].fit.target, "k.", ms=3, label="target")
    axes.set(xlabel="x")
    _legend(figure)
    return figure


def _ratios(view: RunView) -> Figure:
    reference = reference_of(view.cells)
    timed = [c for c in view.cells if c.timing and c.timing.ratio and c.timing.reference == reference]
    scenarios = list(dict.fromkeys(cell.scenario for cell in timed))
    figure = Figure(figsize=(6.3, 0.8 + 0.28 * len(scenarios)), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel=f"step time over {reference}'s, 95% interval")
    axes.axvline(1, color="black", lw=0.8, ls="--")
    for i, variant in enumerate(view.variants):
        mine = [cell for cell in timed if cell.variant == variant]
        rows = np.array([scenarios.index(cell.scenario) for cell in mine]) + 0.12 * (i - len(view.variants) / 2)
        ratios = [cell.timing.ratio for cell in mine if cell.timing and cell.timing.ratio]
        if ratios:
            ends = np.array([[r.estimate - r.low, r.high - r.estimate] for r in ratios]).T
            look = _look(view, variant) | {"ls": "none", "ms": 4}
            axes.errorbar([r.estimate for r in ratios], rows, xerr=ends, elinewidth=1, **look)
        for cell, row in zip(mine, rows, strict=True):
            if cell.timing and cell.timing.ratio and cell.speed == "struck":
                axes.plot(cell.timing.ratio.estimate, row, "x", color="black", ms=7)
    axes.set_yticks(range(len(scenarios)), scenarios)
    axes.set_ylim(len(scenarios) - 0.5, -0.5)
    _legend(figure)
    return figure


def _scaling(view: RunView, axis: str) -> Figure:
    figure, axes = _single(f"step time over {axis}")
    for growth in view.growths:
        if growth.axis == axis:
            sizes = np.array(growth.sizes, dtype=float)
            look = _look(view, growth.variant, markers=False)
            exponent = f"{growth.law.exponent.estimate:.2f}" if growth.law.told else "cannot tell"
            label = f"{growth.variant}, {growth.group}: {exponent}"
            fitted = [growth.law.at(2**size if axis == "wires" else size) for size in sizes]
            axes.plot(sizes, fitted if growth.law.told else growth.times_s, **look | {"label": label})
            axes.plot(sizes, growth.times_s, "o", color=look["color"], ms=4)
    axes.set(yscale="log", xlabel=axis, ylabel="seconds a step", xscale="linear" if axis == "wires" else "log")
    _legend(figure)
    return figure


def _single(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    return figure, figure.add_subplot(title=title)


def _look(view: RunView, variant: str, markers: bool = True) -> dict[str, Any]:
    """The variant's colour, dashes and marker: those of the report's charts."""
    colour, _, dashes = palette.style(variant)
    shape = MARKERS[palette.shapes(view.variants)[view.variants.index(variant)]]
    line = "-" if dashes == (1, 0) else (0, tuple(each / 2 for each in dashes))
    look = {"color": colour, "ls": line, "lw": 1.2, "label": variant}
    return look | ({"marker": shape, "ms": 3, "markevery": 0.1} if markers else {})


def _legend(figure: Figure) -> None:
    """One legend for all panels, below them."""
    found = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(4, max(1, len(found))))
