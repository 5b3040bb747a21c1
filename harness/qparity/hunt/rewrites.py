"""Equivalent rewrites: the same function of weights and features, by other gates.

A circuit is a list of segments, each with the gates before and after it was rewritten; what was not is the same on both
sides. So a find that shows in the difference alone can be cut down without losing what was rewritten into what. Every
rewrite is exact, but for a global phase, which nothing that is measured here sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np

from qparity.scenario.written import Angle, Gate, Measurement, Written

Rng = np.random.Generator
Rule = Callable[[Gate], tuple[Gate, ...]]


@dataclass(frozen=True, slots=True)
class Segment:
    """Gates, and what stands in their place; `rule` names why that is the same, empty where it is as it was."""

    before: tuple[Gate, ...]
    after: tuple[Gate, ...]
    rule: str = ""

    @property
    def undone(self) -> Segment:
        """Without its rewrite."""
        return Segment(self.before, self.before)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A circuit in segments."""

    segments: tuple[Segment, ...]
    measured: tuple[Measurement, ...]

    @property
    def before(self) -> Written:
        """The circuit as it was."""
        return Written(tuple(gate for each in self.segments for gate in each.before), self.measured)

    @property
    def after(self) -> Written:
        """The circuit as it was rewritten."""
        return Written(tuple(gate for each in self.segments for gate in each.after), self.measured)

    @property
    def rules(self) -> tuple[str, ...]:
        """What was done."""
        return tuple(dict.fromkeys(each.rule for each in self.segments if each.rule))


def rewrite(circuit: Written, rng: Rng, count: int) -> Rewritten:
    """The circuit with up to `count` rewrites, at different gates; with at least one, if it has a gate."""
    segments = [Segment((gate,), (gate,)) for gate in circuit.gates]
    for _ in range(count):
        plain = [n for n, each in enumerate(segments) if not each.rule]
        if not plain:
            break
        n = int(rng.choice(plain))
        gate = segments[n].before[0]
        if n + 1 in plain and commute(gate, following := segments[n + 1].before[0]) and rng.random() < 0.4:
            segments[n : n + 2] = [Segment((gate, following), (following, gate), "commuting gates exchanged")]
            continue
        fitting = [(name, rule(gate)) for name, rule in RULES.items()]
        fitting = [(name, found) for name, found in fitting if found]
        if fitting and rng.random() < 0.8:
            name, found = fitting[int(rng.integers(len(fitting)))]
            segments[n] = Segment((gate,), found, name)
            continue
        segments.insert(n + 1, Segment((), _pair(circuit, rng), "an inverse pair inserted"))
    return Rewritten(tuple(segments), circuit.measured)


def commute(one: Gate, other: Gate) -> bool:
    """Whether two gates certainly commute: on different wires, or diagonal both."""
    if not set(one.axes) & set(other.axes):
        return True
    return one.gate in DIAGONAL and other.gate in DIAGONAL


DIAGONAL = (
    "PauliZ", "S", "T", "CZ", "CCZ", "RZ", "PhaseShift", "U1", "CRZ", "ControlledPhaseShift", "CPhaseShift00",
    "CPhaseShift01", "CPhaseShift10", "IsingZZ", "MultiRZ", "DiagonalQubitUnitary",
)  # fmt: skip
ADDITIVE = (
    "RX", "RY", "RZ", "PhaseShift", "U1", "CRX", "CRY", "CRZ", "ControlledPhaseShift", "IsingXX", "IsingXY", "IsingYY",
    "IsingZZ", "SingleExcitation", "DoubleExcitation", "MultiRZ", "PauliRot", "OrbitalRotation",
)  # fmt: skip
"""Gates `exp(i angle G)`: two of half the angle are one."""
DECOMPOSED = (
    "Rot", "U2", "U3", "CRX", "CRY", "CRZ", "CRot", "ControlledPhaseShift", "IsingXX", "IsingYY", "IsingZZ", "IsingXY",
    "SWAP", "CSWAP", "Toffoli", "CY", "CZ", "CH", "ISWAP", "SISWAP", "ECR", "SingleExcitation", "DoubleExcitation",
    "OrbitalRotation", "FermionicSWAP", "PSWAP", "MultiRZ", "PauliRot", "QFT", "GroverOperator",
    "SingleExcitationMinus", "SingleExcitationPlus",
    "CPhaseShift00", "CPhaseShift01", "CPhaseShift10", "BasicEntanglerLayers", "StronglyEntanglingLayers",
)  # fmt: skip
"""Gates of which PennyLane has a decomposition."""


def _decomposed(gate: Gate) -> tuple[Gate, ...]:
    """PennyLane's own: of the gate, or of what it is controlled by."""
    plain = gate.gate in DECOMPOSED and not gate.adjoint and gate.power == 1
    return (gate.changed(spelled=True),) if plain and len(gate.control) < 3 else ()


def _in_halves(gate: Gate) -> tuple[Gate, ...]:
    if gate.gate not in ADDITIVE:
        return ()
    half = gate.changed(angles=(scaled(gate.angles[0], 0.5),))
    return half, half


def _flipped(gate: Gate) -> tuple[Gate, ...]:
    """Controlled by 0: flipped before and after, and controlled by 1."""
    flips = tuple(Gate("PauliX", (w,)) for w, value in zip(gate.control, gate.values, strict=True) if not value)
    return (*flips, gate.changed(values=(1,) * len(gate.control)), *flips) if flips else ()


def _repeated(gate: Gate) -> tuple[Gate, ...]:
    """A power: so many times the gate."""
    return (gate.changed(power=1),) * gate.power if gate.power > 1 else ()


def _negated(gate: Gate) -> tuple[Gate, ...]:
    """The adjoint: the gate of the negative angle."""
    if not gate.adjoint or gate.gate not in ADDITIVE:
        return ()
    return (gate.changed(adjoint=False, angles=(scaled(gate.angles[0], -1.0),)),)


def _known(gate: Gate) -> tuple[Gate, ...]:
    """By a textbook identity. Controlled gates have some of their own, since a phase is seen there."""
    if gate.adjoint or gate.power != 1:
        return ()
    at, angles = gate.wires, gate.angles
    if gate.control:
        plain = len(gate.control) == 1 and gate.values == (1,)
        name = WITH_CONTROL.get(gate.gate) if plain else None
        return (Gate(name, gate.axes, angles),) if name else ()
    return IDENTITIES[gate.gate](at, angles) if gate.gate in IDENTITIES else ()


WITH_CONTROL = {
    "PauliX": "CNOT", "PauliY": "CY", "PauliZ": "CZ", "Hadamard": "CH", "SWAP": "CSWAP", "CNOT": "Toffoli",
    "CZ": "CCZ", "RX": "CRX", "RY": "CRY", "RZ": "CRZ", "Rot": "CRot", "PhaseShift": "ControlledPhaseShift",
}  # fmt: skip
"""A gate with one control -> the gate of that name."""


def _named(name: str) -> Callable[..., Gate]:
    return lambda *wires, angle=None: Gate(name, wires, () if angle is None else (angle,))


_h, _cnot, _rx, _ry, _rz = map(_named, ("Hadamard", "CNOT", "RX", "RY", "RZ"))
_Wires = tuple[int, ...]


def _controlled(name: str, gates: int = 1) -> Callable[[_Wires, tuple[Angle, ...]], tuple[Gate, ...]]:
    """The gate of that name with the first wire as its control."""
    return lambda w, a: (Gate(name, w[1:], a, control=w[:1], values=(1,)),)


def scaled(angle: Angle, by: float) -> Angle:
    """A multiple of an angle."""
    return tuple((by * coefficient, factors) for coefficient, factors in angle)


def constant(value: float) -> Angle:
    """An angle without variables."""
    return ((value, ()),)


IDENTITIES: dict[str, Callable[[_Wires, tuple[Angle, ...]], tuple[Gate, ...]]] = {
    "Hadamard": lambda w, a: (_rz(*w, angle=constant(pi)), _ry(*w, angle=constant(pi / 2))),
    "PauliX": lambda w, a: (_h(*w), Gate("PauliZ", w), _h(*w)),
    "PauliZ": lambda w, a: (Gate("S", w), Gate("S", w)),
    "S": lambda w, a: (Gate("T", w), Gate("T", w)),
    "T": lambda w, a: (Gate("PhaseShift", w, (constant(pi / 4),)),),
    "SX": lambda w, a: (_rx(*w, angle=constant(pi / 2)),),
    "RX": lambda w, a: (_h(*w), _rz(*w, angle=a[0]), _h(*w)),
    "RY": lambda w, a: (Gate("S", w, adjoint=True), _rx(*w, angle=a[0]), Gate("S", w)),
    "RZ": lambda w, a: (Gate("PhaseShift", w, a),),
    "PhaseShift": lambda w, a: (_rz(*w, angle=a[0]),),
    "U1": lambda w, a: (_rz(*w, angle=a[0]),),
    "Rot": lambda w, a: (_rz(*w, angle=a[0]), _ry(*w, angle=a[1]), _rz(*w, angle=a[2])),
    "U2": lambda w, a: (_rz(*w, angle=a[1]), _ry(*w, angle=constant(pi / 2)), _rz(*w, angle=a[0])),
    "U3": lambda w, a: (Gate("Rot", w, (a[2], a[0], a[1])),),
    "CNOT": lambda w, a: (_h(w[1]), Gate("CZ", w), _h(w[1])),
    "CZ": lambda w, a: (_h(w[1]), _cnot(*w), _h(w[1])),
    "CY": _controlled("PauliY"),
    "CH": _controlled("Hadamard"),
    "Toffoli": _controlled("CNOT"),
    "CCZ": _controlled("CZ"),
    "CSWAP": _controlled("SWAP"),
    "CRX": _controlled("RX"),
    "CRY": _controlled("RY"),
    "CRZ": _controlled("RZ"),
    "CRot": _controlled("Rot"),
    "ControlledPhaseShift": _controlled("PhaseShift"),
    "SWAP": lambda w, a: (_cnot(*w), _cnot(*w[::-1]), _cnot(*w)),
    "IsingXX": lambda w, a: (_cnot(*w), _rx(w[0], angle=a[0]), _cnot(*w)),
    "IsingZZ": lambda w, a: (_cnot(*w), _rz(w[1], angle=a[0]), _cnot(*w)),
    "IsingYY": lambda w, a: (Gate("PauliRot", w, a, word="YY"),),
    "MultiRZ": lambda w, a: (Gate("PauliRot", w, a, word="Z" * len(w)),),
}
RULES: dict[str, Rule] = {
    "another decomposition": _known,
    "PennyLane's decomposition": _decomposed,
    "in halves": _in_halves,
    "controlled by 1": _flipped,
    "a power multiplied out": _repeated,
    "the negative angle": _negated,
}


def _pair(circuit: Written, rng: Rng) -> tuple[Gate, Gate]:
    """A gate and its inverse, with an angle that the circuit has."""
    wires = [int(wire) for wire in rng.permutation(circuit.axes)]
    angles = [angle for angle in circuit.parameters if angle] or [constant(0.3)]
    angle = angles[int(rng.integers(len(angles)))]
    name = str(rng.choice(["RX", "RY", "RZ", "CRX", "IsingXY", "CNOT", "SX"] if len(wires) > 1 else ["RX", "RZ", "SX"]))
    on = tuple(wires[: 2 if name in ("CRX", "IsingXY", "CNOT") else 1])
    gate = Gate(name, on, () if name in ("CNOT", "SX") else (angle,))
    if gate.angles and rng.random() < 0.5:
        return gate, gate.changed(angles=(scaled(angle, -1.0),))
    return gate, gate.changed(adjoint=True)


def undo(segments: Sequence[Segment], n: int) -> tuple[Segment, ...]:
    """The segments with number `n` as it was."""
    return (*segments[:n], segments[n].undone, *segments[n + 1 :])
