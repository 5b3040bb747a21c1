"""A circuit drawn from its gate program, with matplotlib.

From the program and not by PennyLane's drawer: the parent never imports PennyLane, and the program is what the
oracle judged, so the picture shows the circuit under test even where the drawing code and the circuit part ways.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from qparity.oracle.program import Gate, Parameter
from qparity.records import Program
from qparity.records.program import Measurement
from qparity.summary import RunView

COLUMNS = 18
"""Gates side by side before the drawing goes on below."""
MOST_GATES = 160
MOST_WIRES = 16
MOST_CIRCUITS = 12
# Stand-ins that become the page's own colours where the drawing is put into HTML.
INK, PAPER = "#010203", "#fdfeff"
UNIT = 0.42  # inches a wire and half a column
CONTROLS = {"CNOT": 1, "CY": 1, "CZ": 1, "CH": 1, "CSWAP": 1, "Toffoli": 2, "CCZ": 2, "CRX": 1, "CRY": 1, "CRZ": 1,
            "CRot": 1, "ControlledPhaseShift": 1, "CPhase": 1}  # fmt: skip
LABELS = {"probs": "p", "purity": "pur", "state": "ψ", "entropy": "S"}
TARGETS = {"CNOT": "X", "Toffoli": "X", "CZ": "Z", "CCZ": "Z", "CSWAP": "SWAP", "PauliX": "X", "PauliY": "Y",
           "PauliZ": "Z", "Hadamard": "H", "PhaseShift": "P", "ControlledPhaseShift": "P", "CPhase": "P"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """One circuit of a run: the scenarios that train it, and it as SVG, or as text where it has no gate program."""

    scenarios: tuple[str, ...]
    svg: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Circuits:
    """The circuits of a run that are shown, and how many are not."""

    drawn: tuple[Drawn, ...]
    left_out: int


def circuits(view: RunView, most: int = MOST_CIRCUITS) -> Circuits:
    """Each different circuit of a run once."""
    found: dict[object, tuple[list[str], Program | None, str | None]] = {}
    for scenario in dict.fromkeys((*view.programs, *view.drawings)):
        programs = view.programs.get(scenario) or (None,)
        for program in programs:
            usable = program if program is not None and not program.not_covered else None
            text = None if usable is not None else view.drawings.get(scenario)
            if usable is not None or text:
                key = (usable.gates, usable.measurements) if usable is not None else text
                found.setdefault(key, ([], usable, text))[0].append(scenario)
    drawn = [
        Drawn(tuple(dict.fromkeys(names)), svg(program) if program is not None else None, text)
        for names, program, text in list(found.values())[:most]
    ]
    return Circuits(tuple(drawn), max(0, len(found) - most))


@lru_cache(maxsize=4 * MOST_CIRCUITS)
def svg(program: Program) -> str:
    """The drawing as an SVG element in the colours of the page around it."""
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "qparity"}):
        draw(program).savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r"\s+", " ", text).replace("> <", "><")
    return text.replace(INK, "currentColor").replace(PAPER, "var(--panel)")


def draw(program: Program, ink: str = INK, paper: str = PAPER) -> Figure:
    """The drawing. Angles are named by what they read: `x0` is feature 0, `w3` the weight of flat index 3."""
    gates = program.gates[:MOST_GATES]
    wires = min(program.wires, MOST_WIRES)
    placed = _place(gates, wires)
    columns = max((column for _, column in placed), default=-1) + 1
    more = f"{len(program.gates) - len(gates)} more gates" if len(program.gates) > len(gates) else ""
    rows = max(1, -(-columns // COLUMNS))
    width = min(columns, COLUMNS) + 1.6
    height = rows * (wires + 0.6)
    figure = Figure(figsize=(1.9 * UNIT * (width + 1.2), UNIT * (height + 0.4)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1.2, width - 0.4), ylim=(-height + 0.9 - 0.5 * bool(more), 0.5))
    axes.axis("off")
    pen = _Pen(axes, wires, ink, paper)
    for row in range(rows):
        last = row == rows - 1
        pen.staves(row, (columns - row * COLUMNS if last else COLUMNS) or 0)
    for gate, column in placed:
        pen.gate(gate, column)
    pen.measurements(program.measurements, rows - 1, columns - (rows - 1) * COLUMNS, more)
    return figure


def angles(params: Sequence[Parameter]) -> str:
    """What the angles of a gate read, such as `x0`, `w3`, `w0–2`; empty for constants."""
    read = {each for p in params for each in p.reads}
    by_kind = [(letter, sorted(index for kind, index in read if kind == which)) for letter, which in ("xi", "ww")]
    said = [_span(letter, found) for letter, found in by_kind if found]
    return " ".join(said)


def _span(letter: str, found: Sequence[int]) -> str:
    return f"{letter}{found[0]}" if len(found) == 1 else f"{letter}{found[0]}–{found[-1]}"


def _place(gates: Sequence[Gate], wires: int) -> list[tuple[Gate, int]]:
    """Each gate in the first column where all wires between its own are free."""
    free = [0] * wires
    placed = []
    for gate in gates:
        mine = gate.wires
        if not mine or max(mine) >= wires:
            continue
        span = range(min(mine), max(mine) + 1)
        column = max(free[w] for w in span)
        for w in span:
            free[w] = column + 1
        placed.append((gate, column))
    return placed


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws in units of a wire (downwards) and a column."""

    axes: Axes
    wires: int
    ink: str
    paper: str

    def staves(self, row: int, columns: int) -> None:
        """The wires of one row, with their numbers."""
        for wire in range(self.wires):
            y = self._y(row, wire)
            self.axes.plot([-0.6, columns + 0.1], [y, y], **self._stroke(0.8, 1))
            self._text(-0.85, y, str(wire), 8)

    def gate(self, gate: Gate, column: int) -> None:
        """A box over its wires, below dots for its controls."""
        row, x = divmod(column, COLUMNS)
        name, wires = gate.name, gate.wires
        count = CONTROLS.get(name, 0) + gate.controls
        controls, targets = wires[:count], wires[count:]
        ys = [self._y(row, wire) for wire in wires]
        if len(wires) > 1:
            self.axes.plot([x, x], [min(ys), max(ys)], **self._stroke(1, 2))
        for wire in controls:
            self.axes.plot([x], [self._y(row, wire)], "o", ms=4.5, **self._stroke(1, 3))
        label = TARGETS.get(name, name[1:] if name in CONTROLS else name)
        for wire in targets:
            y = self._y(row, wire)
            if label == "X" and controls:
                self.axes.plot([x], [y], "o", mfc=self.paper, ms=10, **self._stroke(1, 3))
                self.axes.plot([x], [y], "+", ms=9, **self._stroke(1, 4))
            elif label == "SWAP":
                self.axes.plot([x], [y], "x", ms=7, **self._stroke(1, 3))
            else:
                self._box(x, y, label, angles(gate.params))

    def measurements(self, found: Sequence[Measurement], row: int, column: int, more: str) -> None:
        """What is measured, at the end of the wires it looks at."""
        labels: dict[int, str] = {}
        for each in found:
            if each.kind in LABELS:
                of_parts = None if each.parts is None else [wire for _, wires in each.parts for wire in wires]
                wires = of_parts or each.wires
                labels |= dict.fromkeys(range(self.wires) if wires is None else wires, LABELS[each.kind])
                continue
            for _, word in each.terms or ():
                labels |= {wire: labels.get(wire, letter) for letter, wire in word}
        for wire, label in labels.items():
            if wire < self.wires:
                self._box(
                    column + 0.35,
                    self._y(row, wire),
                    label if label in LABELS.values() else f"⟨{label}⟩",
                    "",
                    dashed=True,
                )
        if more:
            self._text(column + 0.35, self._y(row, self.wires - 1) - 0.75, more, 7)

    def _box(self, x: float, y: float, label: str, note: str, dashed: bool = False) -> None:
        style: dict[str, Any] = dict(
            fc=self.paper, ec=self.ink, lw=1, zorder=3, ls=":" if dashed else "-", clip_on=False
        )
        self.axes.add_patch(Rectangle((x - 0.42, y - 0.38), 0.84, 0.76, **style))
        small = label if len(label) <= 9 else f"{label[:8]}…"
        self._text(x, y + (0.13 if note else 0), small, 8.5 if len(small) <= 4 else 5.5)
        if note:
            self._text(x, y - 0.2, note, 6)

    def _stroke(self, width: float, order: int) -> dict[str, Any]:
        return dict(color=self.ink, mec=self.ink, lw=width, zorder=order, clip_on=False)

    def _y(self, row: int, wire: int) -> float:
        return -row * (self.wires + 0.6) - wire

    def _text(self, x: float, y: float, text: str, size: float) -> None:
        font: dict[str, Any] = dict(ha="center", va="center", fontsize=size, color=self.ink, zorder=5, parse_math=False)
        self.axes.text(x, y, text, **font)
