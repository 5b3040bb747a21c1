"""Less and less of a training, as long as it shows the same: steps, samples, gates, measurements, wires, angles.

What is left says what a fault needs. To the same end gates are exchanged for the plainest ones: whatever turns a wire
for an RX, what entangles for a CNOT; so two circuits that are wrong for one reason end alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from qparity.hunt.draw import Drawn
from qparity.hunt.kept import PLAIN
from qparity.hunt.rewrites import Rewritten, Segment, undo
from qparity.scenario.written import ANY, Angle, Gate, Measurement

Holds = Callable[["Candidate"], Awaitable[bool]]
MOST_TRIED = 90
ONE: Angle = ((1.0, ("w0",)),)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A circuit, rewritten or not, and its training."""

    drawn: Drawn
    rewritten: Rewritten

    @property
    def trainable(self) -> bool:
        """Whether there is a weight left: without one a training is refused."""
        circuit = self.rewritten.after
        return any(name[0] == "w" for angle in circuit.parameters for _, names in angle for name in names)

    def trained(self, **changes: Any) -> Candidate:
        """With another training; `data` and `training` are merged."""
        table = dict(self.drawn.training)
        for key, value in changes.items():
            table[key] = {**table[key], **value} if isinstance(value, dict) else value
        return replace(self, drawn=replace(self.drawn, training=table))

    def with_segments(self, segments: Iterable[Segment]) -> Candidate:
        """With other gates."""
        return replace(self, rewritten=replace(self.rewritten, segments=tuple(segments)))

    def with_measured(self, *measured: Measurement) -> Candidate:
        """With other measurements."""
        return replace(self, rewritten=replace(self.rewritten, measured=measured))


def plain(gates: Iterable[Gate]) -> tuple[Segment, ...]:
    """Gates as segments that are not rewritten."""
    return tuple(Segment((gate,), (gate,)) for gate in gates)


class Tries:
    """Asks whether a candidate still shows it, at most so many times, none twice."""

    def __init__(self, holds: Holds, until: Callable[[], bool]) -> None:
        self.holds, self.until, self.tried = holds, until, 0
        self._known: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether no more are to be tried."""
        return self.tried >= MOST_TRIED or self.until()

    async def __call__(self, candidate: Candidate) -> bool:
        """Whether it shows; False of what was tried before, of what has no weight, and once enough were tried."""
        key = repr(candidate)
        if key in self._known or self.over or not candidate.trainable:
            return False
        self._known.add(key)
        self.tried += 1
        return await self.holds(candidate)


async def shrink(candidate: Candidate, tries: Tries) -> Candidate:
    """The smallest one found that shows what the candidate shows."""
    for passes in ((_steps,), (_measurements, _undone, _bare, _angles, _plainer, _fewer_wires, _read_only)):
        while True:
            before = candidate
            candidate = await _without_gates(candidate, tries)
            for each in passes:
                candidate = await _greedy(candidate, each, tries)
            if candidate == before or tries.over:
                break
    return candidate


async def _greedy(candidate: Candidate, smaller: Callable[[Candidate], Iterator[Candidate]], tries: Tries) -> Candidate:
    """Take what holds, and begin again from there."""
    while True:
        for each in smaller(candidate):
            if each != candidate and await tries(each):
                candidate = each
                break
        else:
            return candidate


async def _without_gates(candidate: Candidate, tries: Tries) -> Candidate:
    """Drop gates, many at a time first."""
    size = max(1, len(candidate.rewritten.segments) // 2)
    while True:
        at = 0
        while at < len(candidate.rewritten.segments):
            segments = candidate.rewritten.segments
            cut = candidate.with_segments((*segments[:at], *segments[at + size :]))
            if await tries(cut):
                candidate = cut
            else:
                at += size
        if size == 1:
            return candidate
        size //= 2


def _steps(candidate: Candidate) -> Iterator[Candidate]:
    samples = candidate.drawn.training["data"]["samples"]
    yield candidate.trained(data={"samples": 1}, training={"batch_size": 1, "epochs": 1})
    yield candidate.trained(training={"batch_size": samples, "epochs": 1})
    yield candidate.trained(training={"epochs": 1})
    yield candidate.trained(training={"optimizer": {"name": "sgd", "learning_rate": 0.03}})


def _measurements(candidate: Candidate) -> Iterator[Candidate]:
    measured = candidate.rewritten.measured
    if len(measured) > 1:
        for each in measured:
            yield candidate.with_measured(each)
        return
    (m,) = measured
    axes = candidate.rewritten.after.axes
    if not (m.kind == "expval" and m.terms and len(m.terms) == 1 and not m.coefficients and len(m.terms[0][1]) == 1):
        for wire in axes:
            yield candidate.with_measured(Measurement("expval", ((1.0, "Z", (wire,)),)))
    if m.coefficients:
        yield candidate.with_measured(m.changed(coefficients=()))
    for n, (_, word, wires) in enumerate(m.terms):
        if len(m.terms) > 1:
            kept = m.coefficients[n : n + 1]
            yield candidate.with_measured(m.changed(terms=((1.0, word, wires),), coefficients=kept))
        elif len(word) > 1:
            yield from (
                candidate.with_measured(m.changed(terms=((1.0, letter, (wire,)),)))
                for letter, wire in zip(word, wires, strict=True)
            )
        elif word != "Z":
            yield candidate.with_measured(m.changed(terms=((1.0, "Z", wires),)))
    if len(m.wires) > 1 and m.observable == "word":
        yield from (candidate.with_measured(m.changed(wires=(wire,))) for wire in m.wires)


def _undone(candidate: Candidate) -> Iterator[Candidate]:
    """One rewrite less."""
    segments = candidate.rewritten.segments
    yield from (candidate.with_segments(undo(segments, n)) for n, each in enumerate(segments) if each.rule)


def _each_gate(candidate: Candidate, change: Callable[[Gate], Iterator[Gate]]) -> Iterator[Candidate]:
    """The candidate with one gate that was not rewritten changed."""
    segments = candidate.rewritten.segments
    for n, segment in enumerate(segments):
        if segment.rule:
            continue
        for gate in change(segment.before[0]):
            yield candidate.with_segments((*segments[:n], *plain([gate]), *segments[n + 1 :]))


def _bare(candidate: Candidate) -> Iterator[Candidate]:
    def change(gate: Gate) -> Iterator[Gate]:
        yield gate.changed(power=1, adjoint=False, spelled=False, control=(), values=())
        yield gate.changed(power=1)
        yield gate.changed(adjoint=False)
        yield gate.changed(spelled=False)
        yield gate.changed(control=(), values=())
        yield gate.changed(control=gate.control[:1], values=gate.values[:1])
        yield gate.changed(values=(1,) * len(gate.values))

    return _each_gate(candidate, change)


def _angles(candidate: Candidate) -> Iterator[Candidate]:
    def change(gate: Gate) -> Iterator[Gate]:
        for n, angle in enumerate(gate.angles):
            simpler: list[Angle] = []
            if gate.kind.group == "channel":
                simpler += [] if len(angle) == 1 else [((0.15, ()),)]
            else:
                simpler += [] if is_plain(angle) else [((1.0, (name,)),) for _, names in angle for name in names]
                # stacked with tensors, Python's numbers are what the framework makes of them: no fault of the circuit
                stacked = gate.kind.group in ("preparation", "template")
                simpler += [((0.4, ()),)] if any(names for _, names in angle) and not stacked else []
            for other in simpler:
                yield gate.changed(angles=(*gate.angles[:n], other, *gate.angles[n + 1 :]))

    return _each_gate(candidate, change)


def is_plain(angle: Angle) -> bool:
    """Whether it is a single weight or feature, or a constant."""
    return len(angle) == 1 and ((angle[0][0] == 1.0 and len(angle[0][1]) == 1) or not angle[0][1])


def _plainer(candidate: Candidate) -> Iterator[Candidate]:
    def change(gate: Gate) -> Iterator[Gate]:
        if gate.kind.group in ("preparation", "channel") or gate.label in PLAIN:
            return
        trained = [angle for angle in gate.angles if any(names for _, names in angle)]
        if gate.angles:
            yield Gate("RX", gate.wires[:1], (*trained, *gate.angles)[:1])
        elif len(gate.axes) == 1:
            yield Gate("Hadamard", gate.axes)
        if len(gate.axes) > 1:
            yield Gate("CNOT", gate.axes[:2])
            if gate.kind.wires == ANY and len(gate.wires) > 1 and gate.kind.group == "word":
                yield gate.changed(wires=gate.wires[:1], word=gate.word[:1])

    return _each_gate(candidate, change)


def _fewer_wires(candidate: Candidate) -> Iterator[Candidate]:
    """The wires that are used, numbered from 0."""
    axes = candidate.rewritten.after.axes
    count = max(1, len(axes))
    if candidate.drawn.training["wires"] <= count:
        return
    places = {wire: n for n, wire in enumerate(axes)}

    def moved(gate: Gate) -> Gate:
        return gate.changed(wires=tuple(places[w] for w in gate.wires), control=tuple(places[w] for w in gate.control))

    if not all(set(gate.axes) <= places.keys() for gate in candidate.rewritten.before.gates):
        return
    segments = [
        replace(s, before=tuple(map(moved, s.before)), after=tuple(map(moved, s.after)))
        for s in candidate.rewritten.segments
    ]
    measured = [
        m.changed(
            wires=tuple(places[w] for w in m.wires),
            terms=tuple((c, word, tuple(places[w] for w in wires)) for c, word, wires in m.terms),
        )
        for m in candidate.rewritten.measured
    ]
    yield candidate.with_segments(segments).with_measured(*measured).trained(wires=count)


def _read_only(candidate: Candidate) -> Iterator[Candidate]:
    """The weights and features that are read, numbered from 0."""
    both = (*candidate.rewritten.before.parameters, *candidate.rewritten.after.parameters)
    names = sorted({name for angle in both for _, factors in angle for name in factors})
    weights, features = ([name for name in names if name[0] == letter] for letter in "wx")
    places = {name: f"{name[0]}{n}" for group in (weights, features) for n, name in enumerate(group)}
    counts = max(1, len(weights)), max(1, len(features))
    if counts == (candidate.drawn.weights, candidate.drawn.training["data"]["features"]):
        return

    def renamed(angles: tuple[Angle, ...]) -> tuple[Angle, ...]:
        return tuple(tuple((c, tuple(places[name] for name in factors)) for c, factors in angle) for angle in angles)

    def moved(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        return tuple(gate.changed(angles=renamed(gate.angles)) for gate in gates)

    segments = [replace(s, before=moved(s.before), after=moved(s.after)) for s in candidate.rewritten.segments]
    measured = [m.changed(coefficients=renamed(m.coefficients)) for m in candidate.rewritten.measured]
    found = candidate.with_segments(segments).with_measured(*measured).trained(data={"features": counts[1]})
    yield replace(found, drawn=replace(found.drawn, weights=counts[0]))
