"""The charts, as Vega-Lite specifications made by Altair.

Their data comes from one shared set in the page: the script there hands each chart its rows as the named data `rows`,
and the chosen variant and scenario, the page's colours and the range of a logarithmic axis as parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from qparity.reporting import palette


@dataclass(frozen=True, slots=True)
class Chart:
    """A place in the page: what the chart is called, and what one sees in it."""

    name: str
    title: str
    note: str


OF_CELL = (
    Chart("loss", "Loss", "|loss − oracle|; dashed: tolerance"),
    Chart("gradient", "Gradient", "largest |gradient − oracle|"),
    Chart("forward", "Prediction", "largest |prediction − oracle|"),
    Chart("update", "Update", "largest |new weight − oracle|"),
    Chart("bits", "Right bits", "leading bits that are right, step by step"),
    Chart("curve", "Loss itself", "agreeing variants draw as one"),
    Chart("fit", "Learned function", "last epoch; dots: target"),
)
OF_SCENARIO = (
    Chart(
        "total",
        "Total time against steps",
        "start (imports not counted) and steps; diamonds: break-even with the reference",
    ),
    Chart("phases", "Time to the first step", "what a fresh process spends before steady training; pale: no pass"),
    Chart("memory", "Peak memory", "grey: the process with its imports, before the model; pale: no pass"),
    Chart("limit", "Distance to the machine's limit", "step time over what its arithmetic and memory traffic need"),
)
OF_RUN = (
    Chart("ratios", "Step time over the reference's", "with 95% intervals; left of 1 is faster; faint: no pass"),
    Chart("pareto", "Error against time", "fewest right bits of prediction, loss and gradient; faint: other scenarios"),
)
STAGES = ("forward", "loss", "gradient", "update")
STARTUP = ("import", "spawn", "build", "first step")
OKABE_ITO = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")
HEIGHTS = {"total": 230, "pareto": 230, "growth": 260}  # pixels; the page makes `ratios` as high as it has rows
SIGNALS = ("chosen", "scenario", "alarm", "ink", "faint", "lo", "hi")


def growth(axis: str) -> Chart:
    """The chart of step times over one axis of size."""
    law = "time ∝ (2^wires)^exponent" if axis == "wires" else "time ∝ size^exponent"
    return Chart(f"growth-{axis.replace(' ', '-')}", f"Step time over {axis}", f"dots: measured; lines: {law}, fitted")


def specifications(variants: Sequence[str], axes: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Chart name -> Vega-Lite specification, without data and without colours of the page (the theme's).

    `axes` are those over which step times were fitted.
    """
    return _specifications(tuple(variants), tuple(axes))


@cache
def _specifications(variants: tuple[str, ...], axes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    with alt.utils.schemapi.debug_mode(False):  # no validation for every report, it takes seconds
        return _drawn(variants, axes)


def _drawn(variants: Sequence[str], axes: Sequence[str]) -> dict[str, dict[str, Any]]:
    built = {name: _difference(variants) for name in STAGES}
    built |= {"bits": _bits(), "curve": _curve(variants), "fit": _fit(variants)}
    built |= {"total": _total(variants), "phases": _phases(), "memory": _memory(), "limit": _limit(variants)}
    built |= {"ratios": _ratios(variants), "pareto": _pareto(variants)}
    built |= {growth(axis).name: _growth(axis, variants) for axis in axes}
    return {name: _plain(chart, name) for name, chart in built.items()}


def _difference(variants: Sequence[str]) -> alt.LayerChart:
    """Residuals come as log10, so the axis is linear in decades: a logarithmic one draws grid lines between."""
    base = _base()
    whole = "sequence(lo, hi + 1, max(1, ceil((hi - lo) / 4)))"
    axis = alt.Axis(values=alt.expr(whole), tickCount=8, labelExpr="format(pow(10, datum.value), '.0e')")
    scale = alt.Scale(domainMin=alt.expr("lo"), domainMax=alt.expr("hi"), nice=False, zero=False)
    y = alt.Y("shown:Q", title=None, scale=scale, axis=axis)
    rule = base.transform_filter("datum.ruler")
    first = base.transform_filter("datum.first")
    note = first.mark_text(fontWeight="bold", color=alt.expr("alarm"), align=alt.expr(_ALIGN))
    return alt.layer(
        rule.mark_line(strokeDash=[5, 4], strokeWidth=1.5, color=alt.expr("alarm"), clip=True).encode(
            _step(), alt.Y("tolerance:Q")
        ),
        *_lines(base, y, variants),
        first.mark_point(size=150, strokeWidth=2.5, color=alt.expr("alarm")).encode(_step(), y),
        note.encode(_step(), y=alt.value(-7), text=alt.Text("label:N")),
    )


# A label beside the first step over tolerance grows towards the middle of the chart.
_ALIGN = "datum.late ? 'right' : 'left'"


def _lines(base: alt.Chart, y: alt.Y, variants: Sequence[str]) -> tuple[alt.Chart, alt.Chart]:
    """A line a variant, dashed its own way, the chosen one thick; and some markers, shaped its own way."""
    width = alt.condition("datum.variant == chosen", alt.value(3), alt.value(1.3))
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("step:Q"), alt.Tooltip("exact:N", title="value")]
    line = base.mark_line(clip=True).encode(
        _step(), y, _colour(variants), strokeDash=_dash(variants), strokeWidth=width
    )
    points = base.transform_filter("datum.marked").mark_point(filled=True, size=34)
    return line, points.encode(_step(), y, _colour(variants), shape=_shape(variants), tooltip=tooltip)


def _bits() -> alt.Chart:
    dash = alt.StrokeDash("stage:N", scale=alt.Scale(domain=list(STAGES), range=[[1, 0], [6, 3], [2, 2], [9, 2, 2, 2]]))
    tooltip = [alt.Tooltip("stage:N"), alt.Tooltip("step:Q"), alt.Tooltip("shown:Q", title="bits")]
    y = alt.Y("shown:Q", title=None, scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=4))
    return _base().mark_line(strokeWidth=2).encode(_step(), y, _stages(STAGES), dash, tooltip=tooltip)


def _curve(variants: Sequence[str]) -> alt.LayerChart:
    y = alt.Y("shown:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    return alt.layer(*_lines(_base(), y, variants))


def _fit(variants: Sequence[str]) -> alt.LayerChart:
    base = _base()
    x = alt.X("step:Q", title="x", axis=alt.Axis(grid=False))
    width = alt.condition("datum.variant == chosen", alt.value(3), alt.value(1.3))
    y = alt.Y("shown:Q", title=None, axis=alt.Axis(tickCount=4))
    target = base.transform_filter("datum.ruler").mark_point(filled=True, size=22, color=alt.expr("ink"))
    return alt.layer(
        target.encode(x, alt.Y("tolerance:Q", title=None)),
        base.mark_line().encode(x, y, _colour(variants), strokeDash=_dash(variants), strokeWidth=width),
    )


def _total(variants: Sequence[str]) -> alt.LayerChart:
    base = _base()
    x = alt.X("step:Q", title="training steps", scale=alt.Scale(type="log", nice=False), axis=_decades("s"))
    y = alt.Y("shown:Q", title="seconds", scale=alt.Scale(type="log"), axis=_decades("~g"))
    width = alt.condition("datum.variant == chosen", alt.value(3), alt.value(1.5))
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("exact:N", title="break-even")]
    lines = base.transform_filter("!datum.first").mark_line()
    pays = base.transform_filter("datum.first").mark_point(
        shape="diamond", size=90, strokeWidth=2, color=alt.expr("ink")
    )
    return alt.layer(
        lines.encode(x, y, _colour(variants), strokeDash=_dash(variants), strokeWidth=width),
        pays.encode(x, y, tooltip=tooltip),
    )


def _phases() -> alt.Chart:
    return _bars(_stages(STARTUP), "seconds", "phase")


def _memory() -> alt.Chart:
    parts = ("process", "model and training")
    scale = alt.Scale(domain=list(parts), range=["#9AA3AD", OKABE_ITO[0]])
    colour = alt.Color("stage:N", sort=list(parts), scale=scale, legend=alt.Legend(orient="top", title=None))
    return _bars(colour, "megabytes", "of it")


def _bars(colour: alt.Color, unit: str, part: str) -> alt.Chart:
    """Parts of a whole, a bar a variant; pale where the cell did not earn it."""
    tooltip = [alt.Tooltip("variant:N"), alt.Tooltip("stage:N", title=part), alt.Tooltip("exact:N", title=unit)]
    return (
        _base()
        .mark_bar()
        .encode(
            alt.Y("variant:N", sort=None, title=None),
            alt.X("shown:Q", title=unit, axis=alt.Axis(tickCount=5)),
            colour,
            order=alt.Order("step:Q"),
            opacity=alt.condition("datum.earned", alt.value(1), alt.value(0.35)),
            tooltip=tooltip,
        )
    )


def _limit(variants: Sequence[str]) -> alt.LayerChart:
    """A dot a variant on a logarithmic axis, on a stick from 1: the limit itself."""
    base = _base()
    y = alt.Y("variant:N", sort=None, title=None)
    scale = alt.Scale(type="log", domainMin=1)
    x = alt.X("shown:Q", title="times the limit", scale=scale, axis=_decades("~s"))
    stick = base.mark_rule(color=alt.expr("faint")).encode(y, x=alt.X("tolerance:Q"), x2="shown")
    dots = base.mark_point(filled=True, size=90).encode(
        y, x, _colour(variants), tooltip=[alt.Tooltip("variant:N"), alt.Tooltip("exact:N", title="step, limit")]
    )
    return alt.layer(stick, dots)


def _ratios(variants: Sequence[str]) -> alt.LayerChart:
    base = _base().transform_filter("datum.shown > 0")
    y = alt.Y("scenario:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, grid=True, tickBand="extent"))
    offset = alt.YOffset("variant:N", scale=alt.Scale(domain=list(variants)))
    x = alt.X(
        "shown:Q",
        title=None,
        scale=alt.Scale(type="log"),
        axis=_decades("~g", orient="top", grid=True, gridOpacity=0.5),
    )
    faint = alt.condition("datum.earned", alt.value(1), alt.value(0.3))
    tooltip = [alt.Tooltip("scenario:N"), alt.Tooltip("variant:N"), alt.Tooltip("exact:N", title="ratio")]
    one = alt.Chart(alt.Data(values=[{"one": 1}])).mark_rule(strokeDash=[4, 3], color=alt.expr("ink"))
    spans = base.mark_rule(strokeWidth=2).encode(
        y, alt.X("low:Q"), _colour(variants), x2="high:Q", yOffset=offset, opacity=faint
    )
    dots = base.mark_point(filled=True, size=46).encode(
        y, x, _colour(variants), yOffset=offset, shape=_shape(variants), opacity=faint, tooltip=tooltip
    )
    return alt.layer(one.encode(x="one:Q"), spans, dots)


def _pareto(variants: Sequence[str]) -> alt.Chart:
    tooltip = [alt.Tooltip("scenario:N"), alt.Tooltip("variant:N"), alt.Tooltip("exact:N", title="step")]
    here = alt.condition("datum.scenario == scenario", alt.value(1), alt.value(0.25))
    return (
        _base()
        .mark_point(filled=True)
        .encode(
            alt.X("step:Q", title="seconds a step", scale=alt.Scale(type="log"), axis=_decades("~s")),
            alt.Y("shown:Q", title="bits", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, tickMinStep=1)),
            _colour(variants),
            shape=_shape(variants),
            size=alt.condition("datum.scenario == scenario", alt.value(110), alt.value(36)),
            opacity=here,
            tooltip=tooltip,
        )
    )


def _growth(axis: str, variants: Sequence[str]) -> alt.LayerChart:
    base = _base()
    scale = alt.Scale(zero=False, nice=False) if axis == "wires" else alt.Scale(type="log", nice=False)
    x = alt.X("step:Q", title=axis, scale=scale, axis=alt.Axis(grid=False, tickMinStep=1, format="d"))
    y = alt.Y("shown:Q", title="seconds a step", scale=alt.Scale(type="log"), axis=_decades("~s", grid=True))
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("scenario", "variant", "exact")]
    group = alt.Shape("scenario:N", legend=alt.Legend(orient="top", title=None, labelLimit=260))
    lines = base.transform_filter("!datum.first").mark_line(strokeWidth=1.5)
    dots = base.transform_filter("datum.first").mark_point(filled=True, size=70)
    return alt.layer(
        lines.encode(x, y, _colour(variants), strokeDash=_dash(variants), detail="scenario:N"),
        dots.encode(x, y, _colour(variants), shape=group, tooltip=tooltip),
    )


def _base() -> alt.Chart:
    return alt.Chart(alt.NamedData("rows"))


def _step() -> alt.X:
    return alt.X("step:Q", title=None, axis=alt.Axis(grid=False, tickMinStep=1, tickCount=6, format="d"))


def _decades(form: str, **options: Any) -> alt.Axis:
    return alt.Axis(format=form, tickCount=5, labelOverlap=True, **{"grid": False, **options})


def _colour(variants: Sequence[str]) -> alt.Color:
    """The range `category` is the palette that the page's theme brings."""
    return alt.Color("variant:N", scale=alt.Scale(domain=list(variants), range="category"), legend=None)


def _stages(names: Sequence[str]) -> alt.Color:
    legend = alt.Legend(orient="top", title=None)
    return alt.Color(
        "stage:N", sort=list(names), scale=alt.Scale(domain=list(names), range=list(OKABE_ITO)), legend=legend
    )


def _dash(variants: Sequence[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(variants), range=palette.dashes(variants))
    return alt.StrokeDash("variant:N", scale=scale, legend=None)


def _shape(variants: Sequence[str]) -> alt.Shape:
    return alt.Shape("variant:N", scale=alt.Scale(domain=list(variants), range=palette.shapes(variants)), legend=None)


def _plain(chart: alt.Chart | alt.LayerChart, name: str) -> dict[str, Any]:
    parameters = [alt.param(name=signal, value=0 if signal in ("lo", "hi") else "") for signal in SIGNALS]
    sized = chart.add_params(*parameters).properties(width="container")
    specification: dict[str, Any] = sized.properties(height=HEIGHTS.get(name.partition("-")[0], 150)).to_dict(
        validate=False
    )  # the browser tests draw them all
    specification.pop("config", None)  # the page's theme brings one
    return {**specification, "autosize": {"type": "fit", "contains": "padding"}}
