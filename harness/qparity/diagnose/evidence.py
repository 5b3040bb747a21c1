"""What a page can show of a red cell without running anything: numbers, a script, the log's end, what diagnose said.

The script is the one of `qparity reproduce`, made from the recordings alone: not made smaller, and none where the
faulty layer would first have to be found by running the step again. Nothing is imported that the run names. So is the
rest bounded: so many cells, those of other causes first, so many bytes, so many seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qparity.diagnose.likeness import likeness
from qparity.diagnose.reproduce import from_recordings
from qparity.diagnose.subject import DiagnosisError, Subject, find
from qparity.oracle import NotCovered
from qparity.parity.comparison import Comparison, effective_bits
from qparity.parity.verdict import UNREADABLE
from qparity.scenario.text import printable_lines
from qparity.store import Run, StoreError
from qparity.summary.causes import Cause
from qparity.summary.view import CellView
from qparity.summary.words import plain

MOST_CELLS = 12
MOST_VALUES = 12
MOST_SCRIPT = 48_000
MOST_SCRIPTS = 300_000
"""Characters of all scripts together."""
WITHIN_S = 20.0
"""Seconds that the judge may take again, for all cells together."""
LOG_LINES = 20
LOG_WIDTH = 300
STORY_LINES = 60
SO = "so: "
CONCLUSIONS = (SO, "layers: ", "gates of ")
"""How the lines of a story begin that say what it comes to."""


@dataclass(frozen=True, slots=True)
class Value:
    """One entry of the faulty tensor beside its expected value; `bits` are the leading ones that are right."""

    index: tuple[int, ...]
    got: float
    expected: float
    tolerance: float
    bits: float

    @property
    def wrong(self) -> bool:
        """Whether rounding does not explain it."""
        return not abs(self.got - self.expected) <= self.tolerance


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one red cell. `values` are entries of one tensor at the first faulty step, the worst first, of `entries`.

    `by` says whose values are expected, `likeness` which known mistake gives them all. `script` is the text of the
    reproducer; where it is None, `no_script` says why. `log` are the last lines that the cell printed, `story` those of
    `qparity diagnose`, where it was asked.
    """

    cell: str
    tensor: str = ""
    by: str = ""
    values: tuple[Value, ...] = ()
    entries: int = 0
    likeness: str = ""
    script: str | None = None
    no_script: str | None = None
    log: str = ""
    story: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """What the story comes to: who is wrong, which layer, which gate."""
        return tuple(line.removeprefix(SO) for line in self.story if line.startswith(CONCLUSIONS))


def gather(run: Run, causes: Sequence[Cause]) -> dict[str, Evidence]:
    """By cell id; the first cell of every cause before the second of any."""
    found: dict[str, Evidence] = {}
    until, left = time.monotonic() + WITHIN_S, MOST_SCRIPTS
    for cell in _in_turn(causes):
        if len(found) == MOST_CELLS:
            break
        seen = _of_cell(run, cell, until - time.monotonic(), left)
        left -= len(seen.script or "")
        found[cell.id] = seen
    return found


def _in_turn(causes: Sequence[Cause]) -> Iterator[CellView]:
    deepest = max((len(cause.cells) for cause in causes), default=0)
    for depth in range(deepest):
        yield from (cause.cells[depth] for cause in causes if len(cause.cells) > depth)


def _of_cell(run: Run, cell: CellView, seconds: float, most: int) -> Evidence:
    diagnosed = run.diagnosis(cell.id)
    story = tuple(line[:LOG_WIDTH] for line in diagnosed.story[:STORY_LINES]) if diagnosed else ()
    told = Evidence(cell.id, log=_tail(run.log(cell.id)), story=story)
    command = f"`qparity reproduce {run.id} {cell.scenario}/{cell.variant}`"
    if cell.status != "ok":
        return replace(told, no_script="it did not finish, so nothing of it was judged")
    if seconds <= 0:
        return replace(told, no_script=f"{command} makes it: a page does not wait for more of them")
    try:
        subject = find(run, cell.id, within_s=seconds)
        told = _with_values(told, subject)
        script = from_recordings(run, subject)
    except (DiagnosisError, StoreError, NotCovered) as error:
        return replace(told, no_script=str(error))
    except UNREADABLE as error:  # recordings may come from anywhere
        why = f"what was recorded cannot be written as a script ({type(error).__name__}: {error})"
        return replace(told, no_script=why)
    if len(script) > min(MOST_SCRIPT, most):
        return replace(told, no_script=f"{len(script)} characters, too long for a page: {command} makes a smaller one")
    return replace(told, script=script)


def _with_values(told: Evidence, subject: Subject) -> Evidence:
    comparison = subject.comparison()
    if comparison is None:
        return told
    at = int(np.flatnonzero(comparison.steps == subject.step)[0])
    said = ""
    with contextlib.suppress(DiagnosisError, NotCovered, *UNREADABLE):  # recordings may come from anywhere
        said = likeness(subject)
    rows = slice(int(comparison.offsets[at]), int(comparison.offsets[at + 1]))
    r = comparison.r[rows].reshape(-1)
    first, worst = rows.start * comparison.got.shape[1], np.argsort(-r, kind="stable")[:MOST_VALUES]
    values = tuple(_value(comparison, first + int(k)) for k in worst)
    return replace(told, tensor=comparison.tensor, by=comparison.by, values=values, entries=len(r), likeness=said)


def _value(comparison: Comparison, position: int) -> Value:
    def at(array: np.ndarray) -> float:
        return float(array.reshape(-1)[position])

    bits = effective_bits(np.array(at(comparison.residual)), np.array(at(comparison.scale)))
    numbers = (at(comparison.got), at(comparison.expected), at(comparison.tolerance), float(bits))
    return Value(comparison.index(position), *numbers)


def _tail(log: bytes | None) -> str:
    """The last lines of a log, as text that can be shown."""
    lines = printable_lines(plain((log or b"")[-LOG_LINES * 4000 :].decode("utf-8", "replace"))).rstrip().splitlines()
    return "\n".join(line[:LOG_WIDTH] for line in lines[-LOG_LINES:])
