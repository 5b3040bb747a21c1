"""The charts, as Vega-Lite specifications made by Altair.

Their data comes from one shared set in the page: the script there hands each chart the rows of the chosen scenario
as the named data `rows`, and the chosen variant as the parameter `chosen`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from harness.report import palette


@dataclass(frozen=True, slots=True)
class Chart:
    """A place in the page: what the chart is called, and what one sees in it."""

    name: str
    title: str
    note: str


CHARTS = (
    Chart("loss", "Loss difference per step", "|loss − oracle|; dashed: tolerance"),
    Chart("forward", "Prediction difference per step", "largest |prediction − oracle|"),
    Chart("gradient", "Gradient difference per step", "largest |gradient − oracle|"),
    Chart("update", "Update difference per step", "largest |new weight − oracle|"),
    Chart("bits", "Effective bits of the chosen cell", "how many leading bits are right, stage by stage"),
    Chart("curve", "Loss", "as the optimizer sees it; agreeing variants draw as one line"),
    Chart("fit", "Learned function", "prediction of the last epoch against the target (dots)"),
    Chart("phases", "Time to the first steps", "pale: the cell did not pass"),
)
STAGES = ("forward", "loss", "gradient", "update")
STARTUP = ("import", "spawn", "build", "first step")


def specifications(variants: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Chart name -> Vega-Lite specification, without data and without colours of the page (the theme's)."""
    built = {name: _difference(variants) for name in STAGES}
    built |= {"bits": _bits(), "curve": _curve(variants), "fit": _fit(variants), "phases": _phases()}
    return {name: _plain(chart) for name, chart in built.items()}


def _difference(variants: Sequence[str]) -> alt.LayerChart:
    """Residuals come as log10, so the axis is linear in decades: a logarithmic one draws grid lines between."""
    base = _base()
    axis = alt.Axis(tickMinStep=1, tickCount=5, labelExpr="format(pow(10, datum.value), '.0e')")
    y = alt.Y("shown:Q", title=None, scale=alt.Scale(zero=False), axis=axis)
    tolerance = base.mark_line(strokeDash=[4, 4], strokeWidth=1.5, color=alt.expr("alarm"))
    first = base.transform_filter("datum.first && datum.variant == chosen")
    return alt.layer(
        tolerance.transform_filter("datum.variant == chosen").encode(_step(), alt.Y("tolerance:Q")),
        *_lines(base, y, variants),
        first.mark_point(size=130, strokeWidth=2, color=alt.expr("alarm")).encode(_step(), y),
        first.mark_text(dy=-14, fontWeight="bold", align="right", color=alt.expr("alarm")).encode(
            _step(), y, text=alt.Text("label:N")
        ),
    )


def _lines(base: alt.Chart, y: alt.Y, variants: Sequence[str]) -> tuple[alt.Chart, alt.Chart]:
    """A line a variant, dashed its own way, the chosen one thick; and some markers, shaped its own way."""
    width = alt.condition("datum.variant == chosen", alt.value(3), alt.value(1.3))
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("step:Q"), alt.Tooltip("exact:N", title="value")]
    line = base.mark_line(clip=True).encode(
        _step(), y, _colour(variants), strokeDash=_dash(variants), strokeWidth=width
    )
    points = base.transform_filter("datum.marked").mark_point(filled=True, size=34)
    shape = alt.Shape("variant:N", scale=alt.Scale(domain=list(variants), range=palette.shapes(variants)), legend=None)
    return line, points.encode(_step(), y, _colour(variants), shape=shape, tooltip=tooltip)


def _bits() -> alt.Chart:
    colour = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=list(STAGES), range=["#0072B2", "#E69F00", "#CC79A7", "#009E73"]),
        legend=alt.Legend(orient="top", title=None),
    )
    dash = alt.StrokeDash("stage:N", scale=alt.Scale(domain=list(STAGES), range=[[1, 0], [6, 3], [2, 2], [9, 2, 2, 2]]))
    tooltip = [alt.Tooltip("stage:N"), alt.Tooltip("step:Q"), alt.Tooltip("shown:Q", title="bits")]
    y = alt.Y("shown:Q", title=None, scale=alt.Scale(domainMin=0))
    return _base().mark_line(strokeWidth=2).encode(_step(), y, colour, dash, tooltip=tooltip)


def _curve(variants: Sequence[str]) -> alt.LayerChart:
    return alt.layer(*_lines(_base(), alt.Y("shown:Q", title=None, scale=alt.Scale(zero=False)), variants))


def _fit(variants: Sequence[str]) -> alt.LayerChart:
    base = _base()
    x = alt.X("step:Q", title="x", axis=alt.Axis(grid=False))
    width = alt.condition("datum.variant == chosen", alt.value(3), alt.value(1.3))
    return alt.layer(
        base.transform_filter("datum.variant == chosen")
        .mark_point(filled=True, size=22, color=alt.expr("ink"))
        .encode(x, alt.Y("tolerance:Q", title=None)),
        base.mark_line().encode(
            x, alt.Y("shown:Q", title=None), _colour(variants), strokeDash=_dash(variants), strokeWidth=width
        ),
    )


def _phases() -> alt.Chart:
    colour = alt.Color(
        "stage:N",
        sort=list(STARTUP),
        scale=alt.Scale(domain=list(STARTUP), range=["#0072B2", "#CC79A7", "#009E73", "#E69F00"]),
        legend=alt.Legend(orient="top", title=None),
    )
    return (
        _base()
        .mark_bar()
        .encode(
            alt.Y("variant:N", sort=None, title=None),
            alt.X("shown:Q", title="seconds"),
            colour,
            order=alt.Order("step:Q"),
            opacity=alt.condition("datum.first", alt.value(1), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("variant:N"),
                alt.Tooltip("stage:N", title="phase"),
                alt.Tooltip("exact:N", title="time"),
            ],
        )
    )


def _base() -> alt.Chart:
    return alt.Chart(alt.NamedData("rows"))


def _step() -> alt.X:
    return alt.X("step:Q", title="step", axis=alt.Axis(grid=False, tickMinStep=1, format="d"))


def _colour(variants: Sequence[str]) -> alt.Color:
    """The range `category` is the palette that the page's theme brings."""
    return alt.Color("variant:N", scale=alt.Scale(domain=list(variants), range="category"), legend=None)


def _dash(variants: Sequence[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(variants), range=palette.dashes(variants))
    return alt.StrokeDash("variant:N", scale=scale, legend=None)


def _plain(chart: alt.Chart | alt.LayerChart) -> dict[str, Any]:
    parameters = [alt.param(name=name, value="") for name in ("chosen", "alarm", "ink")]
    specification = chart.add_params(*parameters).properties(width="container", height=150).to_dict()
    specification.pop("config", None)  # the page's theme brings one
    return {**specification, "autosize": {"type": "fit", "contains": "padding"}}
