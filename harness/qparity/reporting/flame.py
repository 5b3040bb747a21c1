"""A profile as a picture: a row a call depth, the outermost on top, as wide as its share of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

from qparity.records.timing import Profile
from qparity.scenario.text import printable
from qparity.timing.profile import ORDER, Call, tree

WIDTH, ROW = 1000.0, 17.0
LEAST = 0.006
"""Calls with a smaller share of the samples are not drawn."""
DEEPEST = 56
LETTER = 6.1
"""Width of a letter, about."""


@dataclass(frozen=True, slots=True)
class Box:
    """A call in the picture: its left edge and width in shares, its row."""

    call: Call
    left: float
    share: float
    row: int


def boxes(profile: Profile) -> list[Box]:
    """What is drawn, row by row; single calls that are all of their caller are kept."""
    root = tree(profile)
    return sorted(_below(root, root, 0.0, 0), key=lambda box: (box.row, box.left)) if root.count else []


def flame(profile: Profile, label: str) -> Markup:
    """The picture as SVG."""
    drawn = boxes(profile)
    height = ROW * (1 + max((box.row for box in drawn), default=0))
    parts = [
        f'<svg class="flame" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(printable(label))}">'
    ]
    for box in drawn:
        name = printable(box.call.function)
        x, y, width = WIDTH * box.left, ROW * box.row, WIDTH * box.share
        title = f"{name}: {box.share:.1%}"
        short = _fitting(name, width)
        text = f'<text x="{x + 3:.1f}" y="{y + 12:.1f}">{escape(short)}</text>' if short else ""
        kind = f"g{ORDER.index(box.call.group)}"
        parts.append(
            f'<g><title>{escape(title)}</title><rect class="{kind}" x="{x:.1f}" y="{y:.1f}" '
            f'width="{max(width - 0.6, 0.4):.1f}" height="{ROW - 1:.0f}"/>{text}</g>'
        )
    return Markup("".join([*parts, "</svg>"]))


def _below(root: Call, call: Call, left: float, row: int) -> Iterator[Box]:
    for each in call.largest():
        share = each.count / root.count
        if share < LEAST or row >= DEEPEST:
            return
        yield Box(each, left, share, row)
        yield from _below(root, each, left, row + 1)
        left += share


def _fitting(name: str, width: float) -> str:
    """The function, with its module where there is room; nothing where there is none."""
    most = int((width - 6) / LETTER)
    module, _, function = name.partition(":")
    for text in (f"{module}.{function}", function):
        if len(text) <= most:
            return text
    return f"{function[: most - 1]}…" if most >= 4 else ""
