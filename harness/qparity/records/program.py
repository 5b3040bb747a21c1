"""A gate program, as outcomes have it (docs/architecture.md, "Gate program")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from qparity.oracle.maps import is_channel
from qparity.oracle.program import Gate, GateProgram, NotCovered, Parameter, measurement
from qparity.records.kinds import Count, Name, Number, Reader, Text, Unreadable, fields_of, remembered

Word = tuple[tuple[Name, Count], ...]
_NEEDED = frozenset({"wires", "features", "weights", "gates", "measurements"})


@dataclass(frozen=True, slots=True)
class WeightShape:
    """A weight array of a gate program."""

    name: Name
    shape: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: expectation or variance of a sum of Pauli words, probabilities or purity of wires, the state.

    Or a sum of entropies: `parts` are their signs and wires, `base` is that of the logarithm.
    """

    kind: Name
    terms: tuple[tuple[Number, Word], ...] | None = None
    wires: tuple[Count, ...] | None = None
    coefficients: tuple[Parameter, ...] | None = None
    parts: tuple[tuple[Number, tuple[Count, ...]], ...] | None = None
    base: Number | None = None


@dataclass(frozen=True)
class Program:
    """A circuit as its reader saw it. Where `not_covered` says why it is no gate program, the rest may be missing."""

    wires: Count = 0
    features: Count = 0
    weights: tuple[WeightShape, ...] = ()
    gates: tuple[Gate, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    not_covered: Text | None = None
    by_differences: tuple[Name, ...] = ()
    """The weight arrays, and `inputs`, of channels that PennyLane's parameter-shift differentiates by differences."""

    @classmethod
    def reader(cls) -> Reader:
        """How a program is read: one that has just been read is the same again, as with the cells of a scenario."""
        read = fields_of(cls)

        def whole(value: object) -> object:
            found = read(value)
            if isinstance(value, dict) and not value.get("not_covered") and (absent := _NEEDED - value.keys()):
                raise Unreadable("an entry here", min(absent))
            return found

        return remembered(whole)

    @cached_property
    def simulated(self) -> GateProgram:
        """What the oracle simulates.

        Raises:
            NotCovered: the program, or one of its gates, is outside what the oracle simulates.
            ValueError: it is malformed.
        """
        if self.not_covered:
            raise NotCovered(self.not_covered)
        return GateProgram(
            self.wires,
            self.features,
            tuple(w.name for w in self.weights),
            tuple(w.shape for w in self.weights),
            self.gates,
            tuple(measurement(m.kind, m.terms, m.wires, m.coefficients, m.parts, m.base) for m in self.measurements),
        ).checked()

    @property
    def axes(self) -> int:
        """`GateProgram.axes`, of a program that may not be one."""
        return self.wires * (2 if any(is_channel(gate.name) for gate in self.gates) else 1)

    def prefix(self, gates: int | None, words: Sequence[Word] | None) -> Program:
        """The first `gates` gates (None: all), measured in the words in place of its own measurements."""
        measured = tuple(Measurement("expval", ((1.0, word),)) for word in words) if words else self.measurements
        return replace(self, gates=self.gates[:gates], measurements=measured)
