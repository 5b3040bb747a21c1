"""What `qparity show` and the end of a run print: a matrix of verdicts, or one plain line a cell."""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from qparity.scenario.text import printable
from qparity.summary.speeds import exponent_told, overall, phrase, times, told
from qparity.summary.view import CellView, Mark, RunView
from qparity.summary.words import joules, label, number, seconds
from qparity.timing import Interval, Speed, decide

STYLES: dict[Mark, str] = {
    "pass": "cyan", "expected": "yellow", "fail": "bold red", "error": "bold magenta",
    "uncompared": "magenta", "unsupported": "dim",
}  # fmt: skip


NAME_WIDTH, GAP = 28, 2
MEANS = "over the scenarios that all of them passed"
RATIO = re.compile(r" (?=[^ ]*[▲▼≈])")
LEGEND = (
    "50/53: of 53 leading bits that a number could have, 50 are right in the worst prediction, loss or gradient, or in "
    "the stage at fault (peers: in part agreed with other backends alone); time of a step "
    "(* not to be relied on, or of an expected fault; ° unpaired; struck: wrong); times faster ▲ or slower ▼ than the "
    "reference, ≈ cannot tell"
)


def show(view: RunView, console: Console) -> None:
    """Print the run: the matrix on a terminal; one line a cell, and no markup, anywhere else."""
    if console.is_terminal:
        if view.peers:
            console.print(Text(_safe(view.peers), style="yellow"))
        console.print(*matrices(view, console.width), Text(LEGEND), *details(view), sep="\n")
        for line in speed_lines(view):
            console.print(line, markup=False, highlight=False)
        console.print(Text(_safe(view.sentence), style="green" if view.good else "bold red"))
    else:
        for line in lines(view):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def matrices(view: RunView, width: int) -> list[Table]:
    """Scenarios by variants: verdict, leading bits that are right, step time; as many tables as the width asks for.

    A scenario's name has what the entries leave it, and 28 columns at least; then it wraps between its parts. Where all
    variants do not fit beside it, their ratios wrap; where that is not enough, further variants stand below.
    """
    columns = {variant: [entry(view.cell(s, variant)) for s in view.scenarios] for variant in view.variants}
    longest = max([cell_len("scenario"), *(cell_len(_safe(name)) for name in view.scenarios)])
    least = min(longest, NAME_WIDTH)
    widths = {variant: _width(variant, entries) for variant, entries in columns.items()}
    if least + sum(widths.values()) > width:
        widths = {variant: _width(variant, entries, wrapped=True) for variant, entries in columns.items()}
    groups: list[list[str]] = [[]]
    for variant in view.variants:
        if groups[-1] and least + sum(widths[name] for name in (*groups[-1], variant)) > width:
            groups.append([])
        groups[-1].append(variant)
    tables = []
    for group in groups:
        room = min(longest, max(least, width - sum(widths[name] for name in group)))
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("scenario", overflow="fold", width=room)
        for variant in group:
            table.add_column(_safe(variant), width=widths[variant] - GAP)
        for place, scenario in enumerate(view.scenarios):
            table.add_row(Text(wrapped(_safe(scenario), room)), *(columns[variant][place] for variant in group))
        tables.append(table)
    tables[0].title, tables[0].title_justify = _safe(view.id), "left"
    return tables


def _width(variant: str, entries: Sequence[Text], wrapped: bool = False) -> int:
    """Columns of a variant and the gap before it; `wrapped`: with a ratio on a line of its own."""
    lines = [line for text in entries for line in (RATIO.split(text.plain) if wrapped else [text.plain])]
    return GAP + max([cell_len(_safe(variant)), *map(cell_len, lines)])


def wrapped(name: str, width: int) -> str:
    """A name on lines of at most so many columns, broken behind a hyphen, dot or underscore where there is one."""
    lines = [""]
    for part in re.findall(r"[^-._]*[-._]|[^-._]+", name):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def entry(cell: CellView | None) -> Text:
    """One cell of the matrix, such as `✓ 50/53 38.6 ms`; a time that was not earned is struck through."""
    if cell is None:
        return Text("·", style="dim")
    text = Text(cell.symbol, style=STYLES[cell.mark])
    if said := "not compared" if cell.mark == "uncompared" else label(cell):
        text.append(f" {said}")
    if cell.step_s is not None:
        text.append(" ")
        note = ("*" if cell.speed == "noted" else "") + ("" if cell.timing else "°")
        text.append(seconds(cell.step_s) + note, style="strike" if cell.speed == "struck" else "")
        if cell.timing and cell.timing.ratio and cell.speed != "struck":
            text.append(f" {_times(cell.timing.ratio, cell.timing.speed)}{'*' if cell.timing.unstable else ''}")
    return text


def _times(ratio: Interval, speed: Speed | None) -> str:
    """`22x▲` is 22 times faster than the reference, `3.1x▼` slower; `≈`: cannot tell."""
    if speed in (None, Speed.NOT_RESOLVED):
        return "≈"
    return f"{times(ratio, speed).estimate:.3g}x{'▲' if speed is Speed.FASTER else '▼'}"


def details(view: RunView, most: int = 10) -> Iterator[RenderableType]:
    """The disagreements, then the reasons why cells have no verdict."""
    failing = [cell for cell in view.cells if cell.mark in ("fail", "expected")]
    for cell in failing[:most]:
        yield Text(
            f"{cell.symbol} {_safe(cell.name)}: {_safe(cell.line)}",
            STYLES[cell.mark],
        )
        yield from (Text(f"  {note}", "dim") for note in notes(cell))
    if len(failing) > most:
        yield Text(f"and {len(failing) - most} more", "dim")
    for group in view.groups[:most]:
        yield Text(f"{len(group.cells)} {group.status}: {_safe(group.reason)}", STYLES[group.cells[0].mark])


def notes(cell: CellView, most: int = 4) -> list[str]:
    """The annotations of a cell, without the routine ones."""
    found = [_safe(note) for note in cell.annotations if not note.startswith(ROUTINE)]
    return found[:most] + ([f"and {len(found) - most} more notes"] if len(found) > most else [])


ROUTINE = (
    "bitwise equal to",
    "fit ended with bitwise",
    "judged at the quantum",
    "whole model judged by",
    "run twice: bit",
    "metric ",
)
"""Beginnings of annotations that most cells have."""


def lines(view: RunView) -> Iterator[str]:
    """One plain line a cell, speed over all, then the verdict."""
    if view.peers:
        yield _safe(view.peers)
    for cell in view.cells:
        yield cell_line(cell)
        yield from (f"  {note}" for note in notes(cell))
    yield from speed_lines(view)
    yield _safe(view.sentence)


def untimed_line(view: RunView) -> str:
    """What was not timed though it could be, and what to do about it; empty where there is nothing."""
    return _safe(f"Speed: {view.untimed}") if view.untimed else ""


def speed_lines(view: RunView) -> Iterator[str]:
    """Geometric means over the scenarios that all timed variants passed; growth with size, crossings."""
    if found := overall(view.cells):
        for variant, ratio in found.ratios.items():
            if variant != found.reference:
                wrong = (
                    f" (it is wrong in {count} {'cell' if count == 1 else 'cells'} of this run)"
                    if (count := len(view.wrong.get(variant, ())))
                    else ""
                )
                unstable = ", some of them not to be relied on" if found.unstable else ""
                yield _safe(f"{variant}: {told(ratio, decide(ratio), found.reference)}, {found.over}{unstable}{wrong}")
    if view.untimed:
        yield untimed_line(view)
    if view.above_limits:
        above = ", ".join(f"{variant} {number(factor)}x" for variant, factor in view.above_limits.items())
        yield _safe(f"above the machine's limit: {above}, {MEANS}")
    if view.energies:
        used = ", ".join(f"{variant} {joules(energy)}" for variant, energy in view.energies.items())
        yield _safe(f"energy a step of the whole processor, with all that ran on it: {used}, {MEANS}")
    for each in view.growths:
        size = "2^wires" if each.axis == "wires" else each.axis
        law = f"step time ~ ({size})^{exponent_told(each.law)}"
        untold = f"how a step grows with {each.axis}: {exponent_told(each.law)}"
        yield _safe(f"{each.group} {each.variant}: {law if each.law.told else untold}")
    for crossing in view.crossings:
        change = f"{crossing.below} is faster at {crossing.low}, {crossing.above} at {crossing.high}"
        yield _safe(f"{crossing.group}: by {crossing.axis}, {change}")


def cell_line(cell: CellView) -> str:
    """Such as `✓ fourier torch: agrees within rounding ... [38.6 ms a step]`."""
    time = f" [not timed: {_safe(cell.untimed)}]" if cell.untimed else ""
    if not time and cell.step_s is not None and cell.speed != "struck":
        beside = f", {phrase(cell.timing)}" if cell.timing else ", unpaired"
        above = f", {number(cell.above_limit)}x above the machine's limit" if cell.above_limit else ""
        time = f" [{seconds(cell.step_s)} a step{beside}{above}]"
    return f"{cell.symbol} {_safe(cell.scenario)} {_safe(cell.variant)}: {_safe(cell.line)}{time}"


def _safe(text: str) -> str:
    """One line: a reason comes from anywhere and must not move the cursor."""
    return printable(" ".join(text.split()))
