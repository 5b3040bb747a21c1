"""A Markdown summary for a CI step: under 1 MiB, whatever the run is called and however large it is."""

import re

from qparity.scenario.text import printable
from qparity.summary.recommend import recommend
from qparity.summary.view import CellView, RunView
from qparity.summary.words import label, seconds

LIMIT = 1_000_000  # GitHub refuses a step summary above 1 MiB (1 048 576 bytes)
LEGEND = (
    "✓ agrees within rounding, ≈ shows the fault expected of it, ✗ disagrees, ! did not finish, "
    "? not compared, – unsupported. 50/53: of 53 leading bits that a number could have, 50 are right in the worst "
    "prediction, loss or gradient, or in the stage at fault. The time is that of one training step (* of a fault that "
    "is expected, ~~struck through~~: of a wrong result); where nothing was timed in turn, of the recorded training."
)

_WEB = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+")


def render(view: RunView, limit: int = LIMIT) -> str:
    """Verdict, what is wrong, matrix. Past `limit` bytes, rows of the matrix are dropped and counted."""
    head = [f"## {'✓' if view.good else '✗'} Backend parity: {escape(view.sentence)}", ""]
    head += [f"Run {_code(view.id)} · {_code(view.command)}", "", *_problems(view), *_advice(view)]
    table = [
        f"| scenario | {' | '.join(escape(variant) for variant in view.variants)} |",
        "|---" * (len(view.variants) + 1) + "|",
    ]
    foot = ["", f"<sub>{LEGEND}</sub>", ""]
    room = limit - sum(len(line.encode()) + 1 for line in (*head, *table, *foot)) - 100
    rows = []
    for scenario in view.scenarios:
        cells = (view.cell(scenario, variant) for variant in view.variants)
        row = f"| {escape(scenario)} | {' | '.join(_entry(cell) for cell in cells)} |"
        room -= len(row.encode()) + 1
        if room < 0:
            break
        rows.append(row)
    left_out = len(view.scenarios) - len(rows)
    more = ["", f"{left_out} more scenarios are left out here."] if left_out else []
    return "\n".join([*head, *table, *rows, *more, *foot])


def escape(text: str) -> str:
    """Text that Markdown and HTML leave alone, on one line."""
    plain = printable(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~@])", r"\\\1", plain)


def _problems(view: RunView, most: int = 50) -> list[str]:
    """The cells that are against expectation, those whose fault is known, the reasons why others have no verdict."""
    failing = [cell for cell in view.cells if cell.mark == "fail"]
    lines = [f"- ✗ **{escape(cell.name)}** {escape(_short(cell.line))}" for cell in failing[:most]]
    if len(failing) > most:
        lines.append(f"- and {len(failing) - most} more")
    known = [cell for cell in view.cells if cell.mark == "expected" and cell.known]
    for cell in known[:most]:
        lines.append(f"- ≈ **{escape(cell.name)}** {escape(_short(cell.line))} — known: {_known(cell)}")
    if len(known) > most:
        lines.append(f"- and {len(known) - most} more that are known")
    for group in view.groups[:most]:
        names = ", ".join(f"{cell.scenario}/{cell.variant}" for cell in group.cells[:5])
        more = f" and {len(group.cells) - 5} more" if len(group.cells) > 5 else ""
        lines.append(f"- {group.status} ({len(group.cells)}): {escape(_short(group.reason))} — {escape(names)}{more}")
    return [*lines, ""] if lines else []


def _advice(view: RunView) -> list[str]:
    """Which backend to use, where the data say it."""
    advice = recommend(view).advice
    lines = [
        f"Fastest of those that were run and agree: **{escape(a.variant)}** {escape(a.conditions)}." for a in advice
    ]
    lines += [f"Speed: {escape(view.untimed)}."] if view.untimed else []
    return [*lines, ""] if lines else []


def _entry(cell: CellView | None) -> str:
    if cell is None:
        return " "
    parts = [part for part in (cell.symbol, escape(label(cell))) if part]
    if cell.step_s is not None:
        time = seconds(cell.step_s)
        parts.append({"plain": time, "noted": f"{time}*", "struck": f"~~{time}~~"}[cell.speed])
    return " ".join(parts)


def _known(cell: CellView) -> str:
    """Why an expectation speaks of a cell; its link is one only where it is of the web, and nothing else."""
    link = cell.link or ""
    return escape(_short(cell.known or "")) + (
        f" <{link}>" if _WEB.fullmatch(link) else f" {escape(link)}" if link else ""
    )


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _code(text: str) -> str:
    return f"<code>{escape(_short(text))}</code>"
