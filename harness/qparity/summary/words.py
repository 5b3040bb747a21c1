"""The sentences: what is said of a cell and of a run, in plain words."""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from qparity.summary.view import PASSES, PEERS_AGREE, CellView, Mark

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
NO_REASON = "no reason recorded"
MARKS: tuple[Mark, ...] = ("pass", "expected", "fail", "error", "uncompared", "unsupported")


def agreement(counts: Mapping[Mark, int], among_variants: int = 0) -> str:
    """How many of the compared cells agree; `among_variants` of them with other backends alone (PEERS-AGREE)."""
    good, expected, bad = counts["pass"], counts["expected"], counts["fail"]
    compared = good + expected + bad
    cells = f"{compared} compared {_plural(compared, 'cell')}"
    peers = f" ({among_variants} of them with other backends alone: {PEERS_AGREE})" if among_variants else ""
    aside = f"; {expected} {_plural(expected, 'shows', 'show')} the fault that is expected" if expected else ""
    if not compared:
        return "Nothing was compared."
    if bad:
        return f"{bad} of {cells} {_plural(bad, 'disagrees', 'disagree')}{aside}."
    if good < compared:
        return f"{good} of {cells} {_plural(good, 'agrees', 'agree')} within rounding{peers}{aside}."
    return f"{'All' if good > 1 else 'The'} {cells} {_plural(good, 'agrees', 'agree')} within rounding{peers}."


def peers(among_variants: int, cells: int) -> str:
    """A line on the passes that nobody independent judged; empty where there are none."""
    if not among_variants:
        return ""
    are = "is" if among_variants == 1 else "are"
    said = "in part nothing independent judged them, and other backends agree there"
    return f"{among_variants} of {cells} {_plural(cells, 'cell')} {are} {PEERS_AGREE}: {said}."


def rest(counts: Mapping[Mark, int]) -> str:
    """How many cells have no verdict, and why not."""
    names: dict[Mark, str] = {
        "error": "did not finish",
        "uncompared": "not compared",
        "unsupported": "unsupported",
    }
    parts = [f"{counts[mark]} {name}" for mark, name in names.items() if counts[mark]]
    return ", ".join(parts) + "." if parts else ""


def ended(cell: CellView) -> str:
    """How a cell ended that did not finish."""
    return f"{cell.status}: {cell.reason or NO_REASON}"


def cell_line(cell: CellView, objection: str | None) -> str:
    """One line on a cell that finished, without its name."""
    reason = cell.reason or NO_REASON
    if objection:
        return f"{reason} ({objection})"
    if cell.mark == "expected" or (cell.mark == "uncompared" and cell.expected == "NOT-COMPARED"):
        return f"{reason} (as expected)"
    return reason if cell.expected in PASSES else f"{reason} (expected {cell.expected})"


def label(cell: CellView) -> str:
    """What stands in a matrix beside a cell's symbol: the leading bits that are right, or why there are none."""
    words = {"unsupported": "n/a", "uncompared": "none", "error": cell.status}
    if cell.status != "ok":
        words["expected"] = cell.status
    if cell.mark in words:
        return words[cell.mark]
    if cell.judged_by == "variants":
        return "peers"
    if cell.mark == "pass":
        return str(cell.bits or ("sampled" if cell.settings and cell.settings.shots else "agrees"))
    return f"{cell.stage} {cell.fault_bits}" if cell.fault_bits else cell.stage or ""


def digits_apart(value: Any, beside: Any = None) -> str:
    """A number with as many digits as it takes to tell it from the one beside it."""
    if not isinstance(value, float) or not isinstance(beside, float):
        return "–" if value is None else str(value)
    for digits in (6, 9, 12, 15, 17):
        text, other = f"{value:.{digits}g}", f"{beside:.{digits}g}"
        if text[:-1] != other[:-1]:
            break
    return text


def command(words: Any) -> str:
    """A recorded command as one would type it: by its name, wherever it was installed."""
    if not isinstance(words, (list, tuple)) or not words:
        return str(words or "")
    path = PurePath(str(words[0]))
    program = path.parent.name if path.name == "__main__.py" else path.name
    return shlex.join(["qparity" if program == "cli" else program, *map(str, words[1:])])


def without_option(words: Sequence[str], option: str) -> list[str]:
    """A command line without an option that takes a value."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == option:
            kept.pop()
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def resumed(words: Sequence[str], run_id: str, timed: Sequence[str] | None = None) -> list[str]:
    """The command line that goes on with a run: its options stand before what a training script is given after `--`.

    `timed` are options in place of `--no-timing` and an earlier budget; None: it is timed, or not, as it was.
    """
    at = words.index("--") if "--" in words else len(words)
    own = without_option(words[:at], "--resume")
    if timed is not None:
        own = [word for word in without_option(own, "--budget") if word != "--no-timing"]
    return [*own, "--resume", run_id, *(timed or ()), *words[at:]]


def plain(text: str) -> str:
    """Text without the escape sequences that colour it on a terminal."""
    return _ESCAPES.sub("", text)


def number(value: float | None, digits: int = 2) -> str:
    """A short number: `.23` style is avoided, exponents are kept short (`4.4e-2`)."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == 0 or 0.01 <= abs(value) < 10_000:
        return f"{value:#.{digits}g}".removesuffix(".") if 0 < abs(value) < 10**digits else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def seconds(value: float | None) -> str:
    """A duration with its SI unit, three digits."""
    return _with_unit(value, ("s", "ms", "µs"))


def joules(value: float | None) -> str:
    """An energy with its SI unit, three digits."""
    return _with_unit(value, ("J", "mJ", "µJ"))


def _with_unit(value: float | None, units: tuple[str, ...]) -> str:
    """With the first unit of which it is one at least, each a thousandth of the one before; else with the last."""
    if value is None or not math.isfinite(value):
        return "–"
    place = next((k for k in range(len(units)) if abs(value) * 1e3**k >= 1), len(units) - 1)
    return f"{_three(value * 1e3**place)} {units[place]}"


def size(value: float | None) -> str:
    """Bytes with a decimal SI unit."""
    if value is None:
        return "–"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{_three(value / factor)} {unit}"
    return f"{value:.0f} B"


def _three(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plural(n: int, one: str, many: str | None = None) -> str:
    return one if n == 1 else (many or one + "s")
