"""What happens during a sweep, as the terminal and other listeners hear it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qparity.records import Outcome
from qparity.records.document import Table
from qparity.runner.plan import Block, Cell


@dataclass(frozen=True, slots=True)
class SweepStarted:
    """The plan is known; `done` cells were found finished in the run folder."""

    blocks: tuple[Block, ...]
    done: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A server is `starting`, `ready` (`about`: what it says of itself), or `unavailable` for a `reason`."""

    key: str
    state: str
    about: Table = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CellProgress:
    """A cell is at `step` of `steps` in a phase.

    Phases are `starting`, `building`, `compiling`, `audit`, `fit`, `reference`, `jury`, `timing`.
    """

    cell: Cell
    phase: str
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class CellFinished:
    """A cell's outcome has been stored."""

    cell: Cell
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class BlockFinished:
    """All cells of a block have outcomes."""

    block: Block


@dataclass(frozen=True, slots=True)
class BlockTimed:
    """The rounds of a block have been stored."""

    block: Block


Event = SweepStarted | WorkerStarted | CellProgress | CellFinished | BlockFinished | BlockTimed
Listener = Callable[[Event], None]
