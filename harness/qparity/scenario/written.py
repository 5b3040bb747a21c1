"""A circuit written out as data: what `qparity hunt` draws, and what a scenario says with `circuit = WRITTEN`.

    circuit = "qparity.circuit.written:written"
    weight_shapes = { weights = [3] }

    [circuit_options]
    gates = [
        { gate = "RX", wires = [0], angles = [[[0.5, "w2"], [1.0, "x0", "w1"], [0.3]]] },
        { gate = "RY", wires = [2], angles = [[[1.0, "w0"]]], control = [0], values = [0] },
    ]
    measured = [{ kind = "expval", terms = [[1.0, "ZX", [0, 2]]] }]

An angle is a sum of terms, a coefficient times weights (`w2` is number 2 of the one weight array) and features (`x0`).
`circuit/written.py` applies such a circuit, `diagnose/written.py` writes it as PennyLane code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from re import compile as pattern
from typing import Any

from qparity.scenario.errors import ScenarioError

WRITTEN = "qparity.circuit.written:written"
WEIGHTS = "weights"
"""The name of the weight array, (number of weights,)."""

Term = tuple[float, tuple[str, ...]]
"""A coefficient, and what it is multiplied by: `w0`, `x1`, ..."""
Angle = tuple[Term, ...]
ANY = 0
"""The number of wires of a gate that takes any."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A gate by PennyLane's name: how many wires and angles it takes, and the group that it is drawn from.

    `group` is `gate`, `matrix` (it has `numbers`), `word` (it has a Pauli word), `template`, `preparation` or
    `channel`. `per_wire` angles are taken for each wire; one of -1 is 2 to the number of wires of the gate.
    """

    wires: int
    angles: int = 0
    group: str = "gate"
    per_wire: int = 0

    def count(self, wires: int) -> int:
        """The number of angles on so many wires."""
        return self.angles + (2**wires if self.per_wire < 0 else self.per_wire * wires)


def _kinds(group: str, table: Mapping[tuple[int, int], str]) -> dict[str, Kind]:
    return {name: Kind(wires, n, group) for (wires, n), names in table.items() for name in names.split()}


KINDS: dict[str, Kind] = (
    _kinds(
        "gate",
        {
            (1, 0): "Hadamard PauliX PauliY PauliZ S T SX",
            (2, 0): "CNOT CY CZ CH SWAP ISWAP SISWAP ECR",
            (3, 0): "Toffoli CSWAP CCZ",
            (1, 1): "RX RY RZ PhaseShift U1",
            (1, 2): "U2",
            (1, 3): "Rot U3",
            (2, 1): "CRX CRY CRZ ControlledPhaseShift CPhaseShift00 CPhaseShift01 CPhaseShift10 IsingXX IsingXY IsingYY"
            " IsingZZ SingleExcitation SingleExcitationMinus SingleExcitationPlus PSWAP FermionicSWAP",
            (2, 3): "CRot",
            (4, 1): "DoubleExcitation DoubleExcitationMinus DoubleExcitationPlus OrbitalRotation",
            (ANY, 1): "MultiRZ",
        },
    )
    | _kinds("word", {(ANY, 1): "PauliRot"})
    | _kinds("matrix", {(ANY, 0): "QubitUnitary DiagonalQubitUnitary"})
    | _kinds("template", {(ANY, 0): "QFT GroverOperator"})
    | {
        "BasicEntanglerLayers": Kind(ANY, 0, "template", 1),
        "StronglyEntanglingLayers": Kind(ANY, 0, "template", 3),
        "StatePrep": Kind(ANY, 0, "preparation", -1),
        "AmplitudeEmbedding": Kind(ANY, 0, "preparation", -1),
        "BasisState": Kind(ANY, 0, "preparation"),
        "QubitDensityMatrix": Kind(ANY, 0, "preparation"),
    }
    | _kinds(
        "channel",
        {
            (1, 1): "BitFlip PhaseFlip DepolarizingChannel AmplitudeDamping PhaseDamping",
            (1, 2): "GeneralizedAmplitudeDamping ResetError",
            (ANY, 0): "QubitChannel",
        },
    )
)
NUMBERS = ("QubitUnitary", "DiagonalQubitUnitary", "QubitChannel", "QubitDensityMatrix", "BasisState")
"""Gates with constants: real and imaginary parts of matrices in turn; of a BasisState bits."""
MEASURED = ("expval", "var", "probs", "purity")
OBSERVABLES = ("word", "hermitian", "projector")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate, or what is made of it: `control` wires with their `values`, its adjoint, a power, its decomposition."""

    gate: str
    wires: tuple[int, ...]
    angles: tuple[Angle, ...] = ()
    control: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    adjoint: bool = False
    power: int = 1
    spelled: bool = False
    """PennyLane's own decomposition is applied in its place."""
    word: str = ""
    numbers: tuple[float, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """All wires that it acts on."""
        return (*self.control, *self.wires)

    @property
    def kind(self) -> Kind:
        """What is known of its name."""
        return KINDS[self.gate]

    @property
    def label(self) -> str:
        """Such as `ctrl(adjoint(Rot))`."""
        text = self.gate
        for holds, word in (
            (self.power != 1, "pow"), (self.adjoint, "adjoint"), (self.control, "ctrl"), (self.spelled, "decomposed"),
        ):  # fmt: skip
            text = f"{word}({text})" if holds else text
        return text

    def changed(self, **fields: Any) -> Gate:
        """The gate with other fields."""
        return replace(self, **fields)

    def table(self) -> dict[str, Any]:
        """As a scenario has it."""
        found: dict[str, Any] = {"gate": self.gate, "wires": list(self.wires)}
        found |= {"angles": [_angle_table(angle) for angle in self.angles]} if self.angles else {}
        found |= {"control": list(self.control), "values": list(self.values)} if self.control else {}
        found |= {"adjoint": True} if self.adjoint else {}
        found |= {"power": self.power} if self.power != 1 else {}
        found |= {"spelled": True} if self.spelled else {}
        found |= {"word": self.word} if self.word else {}
        return found | ({"numbers": list(self.numbers)} if self.numbers else {})


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: `terms` (coefficient, Pauli word, wires), of an observable of another kind `numbers` on wires.

    `coefficients`, one a term, stand in place of the terms' own.
    """

    kind: str
    terms: tuple[tuple[float, str, tuple[int, ...]], ...] = ()
    coefficients: tuple[Angle, ...] = ()
    wires: tuple[int, ...] = ()
    observable: str = "word"
    numbers: tuple[float, ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """All wires that it looks at."""
        return tuple(dict.fromkeys((*self.wires, *(wire for _, _, wires in self.terms for wire in wires))))

    @property
    def label(self) -> str:
        """Such as `var of a sum`."""
        if self.observable != "word":
            return f"{self.kind} of {self.observable}"
        several = " of a sum" if len(self.terms) > 1 else ""
        return f"{self.kind}{several}{' with coefficients' if self.coefficients else ''}"

    def changed(self, **fields: Any) -> Measurement:
        """The measurement with other fields."""
        return replace(self, **fields)

    def table(self) -> dict[str, Any]:
        """As a scenario has it."""
        found: dict[str, Any] = {"kind": self.kind}
        found |= {"terms": [[c, word, list(wires)] for c, word, wires in self.terms]} if self.terms else {}
        found |= {"coefficients": [_angle_table(each) for each in self.coefficients]} if self.coefficients else {}
        found |= {"wires": list(self.wires)} if self.wires else {}
        found |= {"observable": self.observable} if self.observable != "word" else {}
        return found | ({"numbers": list(self.numbers)} if self.numbers else {})


@dataclass(frozen=True, slots=True)
class Written:
    """A whole circuit."""

    gates: tuple[Gate, ...] = ()
    measured: tuple[Measurement, ...] = ()

    @property
    def parameters(self) -> tuple[Angle, ...]:
        """All angles, those of the gates and then the coefficients of observables."""
        of_gates = [angle for gate in self.gates for angle in gate.angles]
        return (*of_gates, *(each for m in self.measured for each in m.coefficients))

    @property
    def axes(self) -> tuple[int, ...]:
        """The wires that it uses, ascending."""
        used = {wire for gate in self.gates for wire in gate.axes} | {wire for m in self.measured for wire in m.axes}
        return tuple(sorted(used))

    def options(self) -> dict[str, Any]:
        """The `circuit_options` of a scenario."""
        return {"gates": [gate.table() for gate in self.gates], "measured": [each.table() for each in self.measured]}


def read(options: Mapping[str, Any]) -> Written:
    """The circuit in the `circuit_options` of a scenario, of which nothing is believed.

    Raises:
        ScenarioError: it is none.
    """
    gates = tuple(_gate(each, f"gates[{n}]") for n, each in enumerate(_list(options.get("gates", []), "gates")))
    measured = _list(options.get("measured", []), "measured")
    if not measured:
        raise ScenarioError("at least one measurement", key="measured", value=measured)
    return Written(gates, tuple(_measurement(each, f"measured[{n}]") for n, each in enumerate(measured)))


_FACTOR = pattern(r"[wx][0-9]{1,6}")
_WORD = pattern(r"[XYZI]{1,12}")


def _gate(raw: Any, place: str) -> Gate:
    table = _table(raw, place, Gate.__dataclass_fields__)
    name = table.get("gate")
    if not isinstance(name, str) or name not in KINDS:
        raise ScenarioError(f"a gate, one of {', '.join(KINDS)}", key=f"{place}.gate", value=name)
    kind, wires = KINDS[name], _wires(table.get("wires"), f"{place}.wires")
    control = _wires(table.get("control", []), f"{place}.control", 0)
    values = tuple(_bit(each, f"{place}.values") for each in _list(table.get("values", []), f"{place}.values"))
    angles = tuple(
        _angle(each, f"{place}.angles[{n}]") for n, each in enumerate(_list(table.get("angles", []), f"{place}.angles"))
    )
    if kind.wires not in (ANY, len(wires)) or set(control) & set(wires):
        raise ScenarioError(f"{kind.wires or 'other'} wires beside the controls", key=f"{place}.wires", value=wires)
    if len(angles) != kind.count(len(wires)):
        raise ScenarioError(f"{kind.count(len(wires))} angles", key=f"{place}.angles", value=table.get("angles"))
    if len(values) != len(control):
        raise ScenarioError("a value for each control", key=f"{place}.values", value=values)
    word = table.get("word", "")
    if (kind.group == "word") != bool(word) or (word and not (_is_word(word) and len(word) == len(wires))):
        raise ScenarioError("a Pauli letter for each wire", key=f"{place}.word", value=word)
    numbers = tuple(_number(each, f"{place}.numbers") for each in _list(table.get("numbers", []), f"{place}.numbers"))
    if (name in NUMBERS) != bool(numbers) or (numbers and not _fits(name, len(numbers), len(wires))):
        raise ScenarioError("as many numbers as its matrices have", key=f"{place}.numbers", value=len(numbers))
    power = table.get("power", 1)
    if type(power) is not int or not 1 <= power <= 9:
        raise ScenarioError("an integer from 1 to 9", key=f"{place}.power", value=power)
    marks = {key: _bool(table.get(key, False), f"{place}.{key}") for key in ("adjoint", "spelled")}
    return Gate(name, wires, angles, control, values, power=power, word=word, numbers=numbers, **marks)


def _fits(name: str, numbers: int, wires: int) -> bool:
    """Whether a gate on so many wires can have so many constants."""
    size: int = 2**wires
    if name == "BasisState":
        return numbers == wires
    if name == "DiagonalQubitUnitary":
        return numbers == 2 * size
    return numbers % (2 * size**2) == 0 if name == "QubitChannel" else numbers == 2 * size**2


def _measurement(raw: Any, place: str) -> Measurement:
    table = _table(raw, place, Measurement.__dataclass_fields__)
    kind, observable = table.get("kind"), table.get("observable", "word")
    if kind not in MEASURED:
        raise ScenarioError(f"one of {', '.join(MEASURED)}", key=f"{place}.kind", value=kind)
    if observable not in OBSERVABLES:
        raise ScenarioError(f"one of {', '.join(OBSERVABLES)}", key=f"{place}.observable", value=observable)
    terms = tuple(
        _term_measured(each, f"{place}.terms[{n}]") for n, each in enumerate(_list(table.get("terms", []), place))
    )
    coefficients = tuple(
        _angle(each, f"{place}.coefficients[{n}]")
        for n, each in enumerate(_list(table.get("coefficients", []), f"{place}.coefficients"))
    )
    wires = _wires(table.get("wires", []), f"{place}.wires", 0)
    numbers = tuple(_number(each, f"{place}.numbers") for each in _list(table.get("numbers", []), f"{place}.numbers"))
    needed = {"word": 0, "hermitian": 2 * 4 ** len(wires), "projector": len(wires)}[observable]
    if len(numbers) != needed or bool(terms) == bool(wires) or (coefficients and len(coefficients) != len(terms)):
        raise ScenarioError("terms, or wires with what is measured on them", key=place, value=kind)
    if (kind == "purity" and not wires) or (kind in ("expval", "var") and wires and observable == "word"):
        raise ScenarioError("terms to be measured, of a purity wires", key=place, value=kind)
    return Measurement(kind, terms, coefficients, wires, observable, numbers)


def _term_measured(raw: Any, place: str) -> tuple[float, str, tuple[int, ...]]:
    parts = _list(raw, place)
    if len(parts) != 3 or not _is_word(parts[1]):
        raise ScenarioError("a coefficient, a Pauli word and its wires", key=place, value=raw)
    wires = _wires(parts[2], place)
    if len(wires) != len(parts[1]):
        raise ScenarioError("a Pauli letter for each wire", key=place, value=raw)
    return _number(parts[0], place), parts[1], wires


def _angle(raw: Any, place: str) -> Angle:
    terms = []
    for term in _list(raw, place):
        number, *factors = _list(term, place) or [None]
        if not all(isinstance(each, str) and _FACTOR.fullmatch(each) for each in factors):
            raise ScenarioError("a coefficient, then weights (w0) and features (x0)", key=place, value=term)
        terms.append((_number(number, place), tuple(factors)))
    if not terms:
        raise ScenarioError("at least one term", key=place, value=raw)
    return tuple(terms)


def _angle_table(angle: Angle) -> list[list[Any]]:
    return [[coefficient, *factors] for coefficient, factors in angle]


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _table(value: Any, place: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or (unknown := [key for key in value if key not in known]):
        what = f"no key {unknown[0]}" if isinstance(value, Mapping) else "a table"
        raise ScenarioError(what, key=place, value=value)
    return value


def _list(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ScenarioError("a list", key=place, value=value)
    return value


def _wires(value: Any, place: str, least: int = 1) -> tuple[int, ...]:
    wires = _list(value, place)
    if not all(type(each) is int and 0 <= each < 30 for each in wires) or len(set(wires)) < max(least, len(wires)):
        raise ScenarioError("different wires, counted from 0", key=place, value=value)
    return tuple(wires)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ScenarioError("a finite number", key=place, value=value)
    return float(value)


def _bit(value: Any, place: str) -> int:
    if type(value) is not int or value not in (0, 1):
        raise ScenarioError("0 or 1", key=place, value=value)
    return value


def _bool(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise ScenarioError("true or false", key=place, value=value)
    return value
