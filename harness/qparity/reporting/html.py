"""The HTML report: one file that opens from disk, offline, and can be mailed.

Verdict, matrix and tables are rendered here and read without JavaScript. Charts are Vega-Lite specifications drawn
in the browser by a bundle that the file carries. Nothing can be fetched: the content policy forbids it, and names
the only scripts that may run by their hash.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qparity.diagnose import Evidence
from qparity.records import Environment as RanOn
from qparity.reporting import charts, circuit, data, matrix, palette
from qparity.reporting.why import why
from qparity.scenario.text import printable_lines
from qparity.summary import CellView, RunView, csv
from qparity.summary import json as summary_json
from qparity.summary.causes import causes
from qparity.summary.choice import choices
from qparity.summary.compare import RunChanges, said
from qparity.summary.recommend import recommend
from qparity.summary.speeds import exponent_told, overall, told
from qparity.summary.trust import judged_by, power, quiet
from qparity.summary.verdicts import ABOUT, About
from qparity.summary.view import MOST_CURVES
from qparity.summary.words import digits_apart, joules, label, number, seconds, size
from qparity.timing import NOISE, Interval, decide
from qparity.timing.profile import ORDER

MOST_PAIRS = 100
MOST_CHANGES = 200
MOST_NAME = 90


def render(
    view: RunView, base: RunChanges | None = None, evidence: Mapping[str, Evidence] = MappingProxyType({})
) -> str:
    """The whole report as text, to be written as UTF-8; with what has changed since a base run if there is one.

    `evidence` is what can be shown of red cells beyond their line, by id.
    """
    scripts = {"vega": _vega(), "app": file("rows.js") + file("app.js")}
    axes = tuple(dict.fromkeys(growth.axis for growth in view.growths))
    found, chosen = causes(view.cells, view.groups), choices(view)[: data.MOST_CHOICES]
    return environment().get_template("report.html.j2").render(
        view=view,
        mark={0: "✓ PASS", 1: "✗ FAIL"}.get(view.exit_code, "✗ INCOMPLETE"),
        recommendation=recommend(view),
        choices=chosen,
        choice_data=_embedded(data.choices(chosen)),
        trusted=judged_by(view),
        quiet=quiet(view),
        power=power(view),
        causes=found,
        evidence=evidence,
        about=ABOUT,
        rows=matrix.rows(view, found),
        base=base,
        changed={c.head.id: c.mark for c in base.changes if c.head and c.mark != "~"} if base else {},
        scripts={name: Markup(text) for name, text in scripts.items()},
        style=Markup(file("style.css") + palette.css(view.variants)),
        policy=_policy(scripts.values()),
        run_data=_embedded(data.rounded(summary_json.document(view))),
        series_data=_embedded(data.series(view)),
        spec_data=_embedded(charts.specifications(view.variants, axes)),
        of_cell=charts.OF_CELL, of_scenario=charts.OF_SCENARIO, of_run=charts.OF_RUN,
        of_growth=tuple(map(charts.growth, axes)),
        palette_data=_embedded(palette.for_charts(view.variants)),
        csv="data:text/csv;charset=utf-8;base64," + base64.b64encode(csv.render(view, csv.SHORT).encode()).decode(),
        phases=data.phases(view),
        why=why(view),
        why_order=ORDER,
        circuits=_circuits(view),
        timed=tuple(dict.fromkeys(cell.scenario for cell in view.cells if cell.timing)),
        overall=overall(view.cells),
        machine=_machine(view.ran_on),
        most_pairs=MOST_PAIRS,
        most_changes=MOST_CHANGES,
        most_curves=MOST_CURVES,
    )  # fmt: skip


def _circuits(view: RunView) -> circuit.Circuits:
    found = circuit.circuits(view)
    drawn = tuple(replace(each, svg=Markup(each.svg) if each.svg else None) for each in found.drawn)
    return replace(found, drawn=drawn)


def _than(ratio: Interval, other: str = "", noise: float = NOISE) -> str:
    """A ratio of step times in words, see `told`."""
    return told(ratio, decide(ratio, noise), other, "×")


def _ratio(cell: CellView | None) -> str:
    """A cell's place in the table of paired ratios."""
    if cell is None or cell.timing is None:
        return f"not timed: {cell.untimed}" if cell and cell.untimed else "–"
    star = "*" if cell.timing.unstable else ""
    if cell.timing.ratio is None:
        return f"reference ({seconds(cell.timing.step_s)}){star}"
    return told(cell.timing.ratio, cell.timing.speed, sign="×") + star


def right_beside(view: RunView, cell: CellView) -> list[str]:
    """The variants that are right in the scenario of a cell that is not."""
    others = (view.cell(cell.scenario, variant) for variant in view.variants)
    return [other.variant for other in others if other and other.mark == "pass"]


def next_of(about: About, run: str, cell: CellView, told: Evidence) -> str:
    """What to do next about a cell, with its names in the commands; without what the page has done already."""
    done = ["qparity diagnose", "other variants"] if told.found else []
    done += ["qparity reproduce"] if told.script else []
    sentences = re.split(r"(?<=\.) (?=[A-Z`])", about.next)
    left = [said for said in sentences if not any(words in said for words in done)]
    left += ["The script below runs that step without qparity."] if told.script else []
    return " ".join(left).replace("RUN CELL", f"{run} {cell.scenario}/{cell.variant}")


def anchor(cell: CellView) -> str:
    """The deep link to a cell, such as `#fourier-l2/jax-jit`."""
    return f"#{quote(cell.scenario, safe='')}/{quote(cell.variant, safe='')}"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates, with the filters they use."""
    found = Environment(
        loader=PackageLoader("qparity.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,  # markup is no plain text
    )
    found.filters |= {
        "number": number,
        "seconds": seconds,
        "size": size,
        "joules": joules,
        "anchor": anchor,
        "plain": _plain,
    }
    found.filters |= {"depth": _depth, "label": label, "dashes": _dashes, "phase": _phase}
    found.filters |= {"marked": _marked, "exact": digits_apart, "index": lambda index: ",".join(map(str, index))}
    found.filters |= {"right_beside": right_beside, "next_of": next_of}
    found.filters["shortened"] = lambda text: text if len(text) <= MOST_NAME else text[: MOST_NAME - 1] + "…"
    found.filters["sentence"] = lambda text: text[:1].upper() + text[1:] + "."
    found.filters["web"] = lambda link: link.startswith(("https://", "http://"))
    found.filters |= {
        "ratio": _ratio,
        "than": _than,
        "exponent": exponent_told,
        "said": lambda cell: said(cell) if cell else "–",
    }
    return found


@lru_cache(maxsize=1)
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; wrapped, because the bundle's top level leaks its names."""
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return _unclosable(f"(() => {{{bundle}}})();")


@lru_cache(maxsize=8)
def file(name: str) -> str:
    """A file beside the templates, as it is."""
    return resources.files("qparity.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(scripts: Any) -> str:
    """Only our own scripts, no connection of any kind; Vega compiles its expressions, hence `unsafe-eval`."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _embedded(document: Any) -> Markup:
    """JSON for a `<script type="application/json">`, of printable text.

    No `<` is left that could close or open an element.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    if printable_lines(text) != text:  # an escape of an escape: the page is to show it
        text = "".join(each if each == (shown := printable_lines(each)) else f"\\{shown}" for each in text)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _unclosable(script: str) -> str:
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _machine(environment: RanOn) -> list[str]:
    """The processor, the graphics cards, and the versions that matter most, a line each."""
    packages = environment.packages
    lines = [environment.cpu.model if environment.cpu else None, *(gpu.get("name") for gpu in environment.gpu)]
    lines.append(" · ".join(f"{name} {packages[name]}" for name in ("keras", "pennylane") if name in packages))
    return [printable_lines(str(line)) for line in lines if line] or ["not recorded"]


def _depth(cell: CellView) -> str:
    """How strong a pass's colour is: the fewer leading bits are lost, the stronger."""
    return f"d{sum(cell.bits.lost <= most for most in (3, 6, 12))}" if cell.bits else "d0"


def _dashes(variant: str) -> str:
    return " ".join(map(str, palette.style(variant)[2]))


def _phase(name: str) -> str:
    return "audit step" if name == "step_s" else name.removesuffix("_s").replace("_", " ")


def _marked(text: str) -> Markup:
    """Text in which `this` is code."""
    parts = printable_lines(text).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _plain(value: Any) -> str:
    """A value of the environment as one would write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "none"
    return str(value)
