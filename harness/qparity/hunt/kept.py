"""What a hunt knows of itself, in its run folder: `hunt.json` (docs/architecture.md, "Hunt")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qparity.records import Unreadable, read
from qparity.records.kinds import Count, Number, Text
from qparity.store import StoreError, atomic, trust

FILE = "hunt.json"
SCHEMA = 1
PLAIN = ("RX", "Hadamard", "CNOT")
"""What stands for any gate in what is left of a circuit."""
SORTS = ("passed", "refused", "not compared", "unfinished", "faulty")
"""What may become of a cell."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a cell: its status and, where it ran, verdict and stage; `what` tells faults of these apart.

    `what` is the entry of a setup fault, and why a cell ended that did not run.
    """

    status: Text
    verdict: Text | None = None
    stage: Text | None = None
    what: Text = ""

    @property
    def words(self) -> str:
        """In a few."""
        said = " ".join(filter(None, (self.verdict, self.stage))) if self.status == "ok" else self.status
        return f"{said}: {self.what}" if self.what else said


@dataclass(frozen=True, slots=True)
class Find:
    """A fault, cut down. `cells` are scenario/variant of those that showed it, the first is the one it was cut from.

    `gates` and `measured` are the labels of what is left, `rules` how it was rewritten, of a difference between a
    circuit and its rewrite; `small` is the scenario that is left, `where` the variants on which it shows, `script` a
    file, or None for the reason `no_script`. `recurred` is False of what was right when it was trained again.
    """

    fault: Fault
    device: Text
    diff_method: Text
    variant: Text
    cells: tuple[Text, ...]
    reason: Text
    gates: tuple[Text, ...] = ()
    measured: tuple[Text, ...] = ()
    rules: tuple[Text, ...] = ()
    steps: Count = 1
    """Of what is left: more than one where the fault does not show in the first."""
    small: Text = ""
    where: tuple[Text, ...] = ()
    script: Text | None = None
    no_script: Text = ""
    recurred: bool = True
    tried: Count = 0

    @property
    def key(self) -> tuple[object, ...]:
        """Finds that have this in common are one: where there are other gates, plain ones do not count."""
        gates = tuple(sorted(set(self.gates) - set(PLAIN) or set(self.gates)))
        return self.fault, self.device, self.diff_method, gates, self.measured, self.rules, self.steps > 1

    @property
    def words(self) -> str:
        """What is left of the circuit: `OrbitalRotation, expval`."""
        return ", ".join([*dict.fromkeys(self.gates), *dict.fromkeys(self.measured)])


@dataclass(frozen=True, slots=True)
class State:
    """What was asked for, and how far it is: `done` are the numbers of circuits, `counts` cells by what became of them.

    No circuit is begun after `seconds`, or once so many `cells` were drawn; None: no limit. `counts` has `passed`,
    `refused`, `not compared`, `unfinished`, `faulty`; and `circuits`, `passed over`.
    """

    seed: Count
    variants: tuple[Text, ...]
    seconds: Number | None = None
    cells: Count | None = None
    spent_s: Number = 0.0
    done: tuple[Count, ...] = ()
    counts: Mapping[Text, Count] = field(default_factory=dict)
    finds: tuple[Find, ...] = ()

    @property
    def drawn(self) -> int:
        """The cells of the circuits that are done."""
        return sum(self.counts.get(name, 0) for name in SORTS)


def write(folder: Path, state: State) -> None:
    """Keep it."""
    atomic.write_json(folder / FILE, {"schema": SCHEMA, **asdict(state)})


def load(folder: Path) -> State:
    """What is kept.

    Raises:
        StoreError: there is no hunt in that folder.
    """
    try:
        return read(State, trust.read_json(folder, FILE))
    except FileNotFoundError:
        raise StoreError(f"{folder.name}: no run of qparity hunt (it has no {FILE})") from None
    except Unreadable as error:
        raise StoreError(f"{folder / FILE}: {error.said}") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / FILE}: {trust.one_line(error)}") from None
