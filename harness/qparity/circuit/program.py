"""The gate program: a quantum function as gates whose angles are forms, or expressions, of weights and inputs.

This is all that the oracle learns about a circuit (format: docs/architecture.md, "Gate program"). PennyLane
is asked for the list of gates at chosen points and for nothing else; how angles depend on weights and inputs
is found by probing, and where they are no quadratic forms by running the function once on numbers that remember what
was computed (`tracing`). Both are checked at random points. No point has a zero in it: there `qml.compile` and its like
leave gates out. What cannot be said in this form is named in `not_covered`, never approximated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.errors import one_line
from qparity.circuit.expansion import Place, Raw, Structure, gates, wire_map
from qparity.circuit.forms import Computed, Form
from qparity.circuit.observed import Measured, measurements
from qparity.circuit.preparing import unnormalised
from qparity.circuit.tracing import Traced, expression, traced
from qparity.oracle.program import NotCovered

SCHEMA = 1
# A variable at its huge value, 2^100 and more, loses everything of lower order to rounding, so f(huge) / huge is its
# exact coefficient. Neighbours have different ones, so that their difference is not zero.
HUGE, STRIDE, SPREAD = 100, 7, 32
TINY, ELSEWHERE = 2.0**-200, 0.625
NEGLIGIBLE = 2.0**-60
MAX_QUADRATIC = 32
SEEN = 3
"""At so many points at the least a form is compared."""
RETRACED = 8


def gate_program(bound: BoundCircuit) -> dict[str, Any]:
    """The gate program of a bound circuit, JSON-able; `not_covered` is None or a one-line reason.

    Coefficients are exact wherever the function's own arithmetic is exact at powers of two. For N variables
    the tape is evaluated about 2 log2(N) times, N times more if a parameter depends on several variables, and
    d^2 / 2 times more if d of them are multiplied.
    """
    program = {
        "schema": SCHEMA,
        "wires": bound.wires,
        "features": bound.features,
        "weights": [{"name": name, "shape": list(shape)} for name, shape in bound.weight_shapes.items()],
        "gates": [],
        "measurements": [],
        "not_covered": None,
    }
    if bound.features is None:
        return program | {"not_covered": "the number of features is not known"}
    try:
        with np.errstate(all="ignore"):
            probe = _Probe(bound)
            try:
                forms = _fit(probe)
            finally:
                probe.assert_repeats()
        return {**program, "wires": probe.wires, **_written(probe, forms)} | _by_differences(bound)
    except NotCovered as reason:
        return program | {"not_covered": str(reason)} | _by_differences(bound)


def checked_tape(bound: BoundCircuit) -> qml.tape.QuantumScript:
    """The tape whose numbers remember how they were computed, if they are that at other points as well.

    Raises:
        NotCovered: they are not, or the oracle does not know a gate or measurement.
    """
    with np.errstate(all="ignore"):
        probe = _Probe(bound)
        tape, numbers = probe.traced()
        probe.assert_repeats()
        if _disagreeing(probe, [Computed(expression(number), probe.n_weights) for number in numbers]):
            raise NotCovered("what it computes is no expression of weights and inputs")
    return tape


def _by_differences(bound: BoundCircuit) -> dict[str, list[str]]:
    """The weight arrays, and `inputs`, that set the strength of a channel without a shift rule (`grad_method` "F").

    PennyLane's parameter-shift differentiates these by finite differences, without a word.
    """
    try:
        weights, inputs = bound.example()
        start = _strengths(bound.tape(weights, inputs))
        if not start:
            return {}
        found = []
        for name in (*weights, "inputs"):
            moved = {key: value * 1.01 if key == name else value for key, value in weights.items()}
            strengths = _strengths(bound.tape(moved, inputs * 1.01 if name == "inputs" else inputs))
            if strengths != start:
                found.append(name)
    except Exception:  # what the function fails at, if there is no program, is said already
        return {}
    return {"by_differences": found} if found else {}


def _strengths(tape: qml.tape.QuantumScript) -> list[float]:
    """The parameters of the channels that have no shift rule."""
    channels = (each for each in tape.operations if isinstance(each, qml.operation.Channel))
    without = (each for each in channels if each.grad_method == "F")
    return [float(number) for each in without for data in each.data for number in np.ravel(np.asarray(data))]


@dataclass
class _Probe:
    """Evaluates gate angles at points: all weights flattened in order, then features, float64 (N,)."""

    bound: BoundCircuit

    def __post_init__(self) -> None:
        self.sizes = [int(np.prod(shape)) for shape in self.bound.weight_shapes.values()]
        self.n_weights = sum(self.sizes)
        self.size = self.n_weights + int(self.bound.features or 0)
        self.huge = 2.0 ** (HUGE + np.arange(self.size) * STRIDE % SPREAD)
        try:
            weights, inputs = self.bound.example()
        except Exception as error:
            raise NotCovered(f"the quantum function fails on NumPy arrays ({one_line(error)})") from error
        self.base = np.concatenate([*(array.ravel() for array in weights.values()), inputs]).astype(np.float64)
        tape, raw = self._tape(self.base)
        self.wires = max([self.bound.wires, *(w + 1 for w in tape.wires if isinstance(w, int))])
        self.wire_map = wire_map(tape, self.wires)
        self.sees_phases = any(isinstance(m, qml.measurements.StateMP) for m in tape.measurements)
        if not tape.measurements:
            raise NotCovered("the quantum function returns no measurement")
        self.structure, self.measurements, self.values = self._read(tape, raw)
        self.angles = sum(place.count for place in self.structure)

    def assert_repeats(self) -> None:
        """Raise NotCovered if the function gives something else at a point where it was evaluated before."""
        for _ in range(RETRACED):
            structure, measured, values = self._read(*self._tape(self.base))
            same = structure == self.structure and np.array_equal(values, self.values, equal_nan=True)
            if not same or measured != self.measurements:
                raise NotCovered("the quantum function draws random numbers: two traces at one point differ")

    def __call__(self, point: np.ndarray) -> np.ndarray:
        """All gate angles and coefficients of observables (P,) at a point."""
        structure, measured, values = self._read(*self._tape(point))
        if structure != self.structure:
            raise NotCovered(f"gate list depends on the values of the {self._moving(point)}")
        if measured != self.measurements:
            raise NotCovered("measurements depend on the values of the weights or inputs")
        return values

    def _moving(self, point: np.ndarray) -> str:
        """Which of them change the gate list between the base point and another one: each is moved by itself."""
        found = []
        for name, mine in (("weights", slice(0, self.n_weights)), ("inputs", slice(self.n_weights, None))):
            moved = self.base.copy()
            moved[mine] = point[mine]
            if self._read(*self._tape(moved))[0] != self.structure:
                found.append(name)
        return " and ".join(found) or "weights and inputs together"

    def _read(self, tape: qml.tape.QuantumScript, raw: Raw) -> tuple[Structure, list[Measured], np.ndarray]:
        structure, measured, numbers = self._numbers(tape, raw)
        return structure, measured, np.array(numbers, np.float64)

    def _numbers(
        self, tape: qml.tape.QuantumScript, raw: Raw
    ) -> tuple[Structure, list[Measured], list[float | Traced]]:
        structure, angles = gates(tape, self.wire_map, raw, self.sees_phases)
        measured, coefficients = measurements(tape, self.wire_map, self.bound.wires)
        return structure, measured, [*angles, *coefficients]

    def traced(self) -> tuple[qml.tape.QuantumScript, list[float | Traced]]:
        """The tape at the base point, and all its angles and coefficients (P,), as they were computed."""
        point = np.concatenate([traced("w", self.base[: self.n_weights]), traced("i", self.base[self.n_weights :])])
        tape, raw = self._tape(point)
        try:
            structure, measured, numbers = self._numbers(tape, raw)
        except Exception as error:  # a matrix of such a number, say
            raise NotCovered(f"a gate cannot be traced ({one_line(error)})") from error
        if structure != self.structure or measured != self.measurements:
            raise NotCovered("the quantum function makes other gates of numbers that are traced")
        return tape, numbers

    def _tape(self, point: np.ndarray) -> tuple[qml.tape.QuantumScript, Raw]:
        """The tape at a point, its mid-circuit measurements put off, and the amplitudes that it normalised."""
        parts = np.split(point, np.cumsum(self.sizes))
        shapes = self.bound.weight_shapes
        weights = {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts[:-1], strict=True)}
        try:
            with unnormalised() as raw:
                tape = self.bound.tape(weights, parts[-1])
        except Exception as error:
            raise NotCovered(f"the quantum function fails on NumPy arrays ({one_line(error)})") from error
        if not any(isinstance(each, qml.ops.MidMeasure) for each in tape.operations):
            return tape, raw
        try:
            (deferred,), _ = qml.defer_measurements(tape)
        except Exception as error:
            raise NotCovered(f"oracle does not cover these mid-circuit measurements ({one_line(error)})") from error
        return deferred, raw


def _fit(probe: _Probe) -> list[Form | Computed]:
    """Angles as forms: of first order, of second where that fails, and as they were computed where both do."""
    forms: list[Form | Computed]
    try:
        forms = [*_forms(probe)]
        wrong = _disagreeing(probe, forms)
        where = _where(probe, wrong[0]) if wrong else ""
        reason = NotCovered(f"{where} is no expression of weights and inputs that can be read")
    except NotCovered as error:
        forms, wrong, reason = [Form(0.0, {}, {})] * len(probe.values), list(range(len(probe.values))), error
    if not wrong:
        return forms
    try:
        _, numbers = probe.traced()
    except NotCovered:
        raise reason from None
    for angle in wrong:
        forms[angle] = Computed(expression(numbers[angle]), probe.n_weights)
    if _disagreeing(probe, forms):
        raise reason
    return forms


def _forms(probe: _Probe) -> list[Form]:
    """Quadratic forms, some of which may be wrong."""
    centre = _centre(probe)
    values = probe(centre)
    slopes = _slopes(probe)
    forms = [Form(_constant(v, s, {}, centre), s, {}) for v, s in zip(values, slopes, strict=True)]
    memory: dict[tuple[tuple[int, float], ...], np.ndarray] = {(): values}
    elsewhere = probe.base * ELSEWHERE
    for angle, (form, there) in enumerate(zip(forms, probe(elsewhere), strict=True)):
        if not form.agrees(elsewhere, there) and len(form.linear) <= MAX_QUADRATIC:
            forms[angle] = _quadratic(probe, angle, sorted(form.linear), centre, memory)
    return forms


def _centre(probe: _Probe) -> np.ndarray:
    """The point at which constants are read: so close to zero that other terms vanish beside them, or the base point.

    The base point serves where gates without a constant are left out near zero: a constant is then what remains once
    the other terms are subtracted, exact if they are.
    """
    try:
        probe(probe.base * TINY)
    except NotCovered:
        return probe.base
    return probe.base * TINY


def _slopes(probe: _Probe) -> list[dict[int, float]]:
    """Each angle's variables, and its slope in each when all else stays at the base point.

    Variables are moved in groups, by the bits of their number: an angle of one variable spells it out.
    """
    bits = max(1, (probe.size - 1).bit_length())
    number = np.zeros(len(probe.values), dtype=int)
    alone, together = np.zeros_like(number), np.zeros_like(number)
    moved = np.zeros_like(probe.values)
    for bit in range(bits):
        has_bit = (np.arange(probe.size) >> bit & 1).astype(bool)
        without, with_bit = (probe(np.where(group, probe.huge, probe.base)) for group in (~has_bit, has_bit))
        changed, changed_by_bit = without != probe.values, with_bit != probe.values
        number += changed_by_bit << bit
        alone += changed ^ changed_by_bit
        together += changed & changed_by_bit
        moved = np.where(changed_by_bit, with_bit, without)
    single = (alone == bits) & (number < probe.size)
    slopes: list[dict[int, float]] = [{} for _ in moved]
    for angle in np.flatnonzero(single).tolist():
        slopes[angle] = {int(number[angle]): float(moved[angle] / probe.huge[number[angle]])}
    several = np.flatnonzero(~single & (alone + together > 0)).tolist()
    for variable in range(probe.size) if several else ():
        moved = probe(_replaced(probe.base, {variable: probe.huge[variable]}))
        for angle in several:
            if moved[angle] != probe.values[angle]:
                slopes[angle][variable] = float(moved[angle] / probe.huge[variable])
    return slopes


def _quadratic(
    probe: _Probe, angle: int, variables: list[int], centre: np.ndarray, memory: dict[Any, np.ndarray]
) -> Form:
    """The quadratic form of an angle: leading coefficients from huge values, the rest from unit shifts."""
    huge = probe.huge

    def value(*moves: tuple[int, float]) -> float:
        if moves not in memory:
            memory[moves] = probe(_replaced(centre, dict(moves)))
        return float(memory[moves][angle])

    products = {(i, i): _coefficient(huge[i] ** 2, value((i, huge[i]))) for i in variables}
    for i, k in combinations(variables, 2):
        amounts = value((i, huge[i]), (k, huge[k])), -value((i, huge[i])), -value((k, huge[k]))
        products[i, k] = _coefficient(huge[i] * huge[k], *amounts)
    linear = {}
    for i in variables:
        slope = value((i, 1.0)) / 2 - value((i, -1.0)) / 2 if products[i, i] else value((i, huge[i])) / huge[i]
        beside = [c * centre[k if i == j else j] for (j, k), c in products.items() if (i == j) != (i == k)]
        linear[i] = _rest(slope, beside)
    products = {pair: c for pair, c in products.items() if c}
    return Form(_constant(value(), linear, products, centre), linear, products)


def _constant(
    value: float, linear: Mapping[int, float], products: Mapping[tuple[int, int], float], centre: np.ndarray
) -> float:
    """The constant: the value at the centre less the other terms of the form."""
    terms = [slope * centre[i] for i, slope in linear.items()]
    return _rest(float(value), terms + [c * centre[i] * centre[k] for (i, k), c in products.items()])


def _rest(total: float, terms: Sequence[float]) -> float:
    """The total less the terms; 0 where that is negligible or mere rounding."""
    rest = fsum([total, *(-term for term in terms)])
    return rest if abs(rest) > max(NEGLIGIBLE, 2.0**-50 * max(map(abs, terms), default=0.0)) else 0.0


def _coefficient(power: float, *terms: float) -> float:
    """The coefficient of that power of huge values in the sum; 0 where it is of lower order, or mere rounding."""
    rounding = 2.0**-50 * max(map(abs, terms)) if len(terms) > 1 else 0.0
    total = sum(terms)
    return float(total / power) if abs(total) > max(NEGLIGIBLE * power, rounding) else 0.0


def _disagreeing(probe: _Probe, forms: Sequence[Form | Computed]) -> list[int]:
    """The angles whose forms are wrong, by the tape at random points of all signs, near and far, where a modulus shows.

    And at points at which roots and logarithms are defined: of an angle that was seen at none nothing is known.
    """
    rng = np.random.default_rng(1)
    directions = rng.uniform(-1, 1, (6, probe.size))
    scales = [1.0, 10.0, 1000.0] * 2
    points = np.concatenate([directions, -directions]) * np.array(scales * 2)[:, None]
    if any(isinstance(form, Computed) for form in forms):
        points = np.concatenate([points, rng.uniform(0.1, 0.9, (4, probe.size))])
    wrong, seen = set(), np.zeros(len(forms), int)
    for point in points:
        values = probe(point)
        seen += np.isfinite(values)
        wrong |= {k for k, form in enumerate(forms) if k not in wrong and not form.agrees(point, float(values[k]))}
    return sorted(wrong | set(np.flatnonzero(seen < SEEN).tolist()))


def _written(probe: _Probe, forms: list[Form | Computed]) -> dict[str, Any]:
    """Gates, measurements and forms as the gate program writes them."""
    numbers = iter(forms)

    def named(variable: int) -> tuple[str, int]:
        return ("w", variable) if variable < probe.n_weights else ("i", variable - probe.n_weights)

    def written(form: Form | Computed) -> dict[str, Any]:
        if isinstance(form, Computed):
            return {"expression": form.written()}
        linear = [(*named(i), slope) for i, slope in form.linear.items() if slope]
        return {
            "constant": form.constant + 0.0,
            "weights": [[i, slope] for kind, i, slope in linear if kind == "w"],
            "inputs": [[i, slope] for kind, i, slope in linear if kind == "i"],
            "products": [[*named(i), *named(k), slope] for (i, k), slope in form.products.items()],
        }

    def gate(place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": place.name, "wires": list(place.wires),
            "params": [written(next(numbers)) for _ in range(place.count)],
        }  # fmt: skip
        found |= {"controls": place.controls} if place.controls else {}
        return found | ({"numbers": list(place.numbers)} if place.numbers else {})

    def measurement(one: Measured) -> dict[str, Any]:
        if one.parts:
            parts = [[sign, list(wires)] for sign, wires in one.parts]
            return {"kind": one.kind, "parts": parts} | ({} if one.base is None else {"base": one.base})
        if not one.words:
            return {"kind": one.kind} | ({"wires": list(one.wires)} if one.wires else {})
        found = [next(numbers) for _ in one.words]
        words = [[list(pair) for pair in word] for word in one.words]
        constants = [0.0 if isinstance(form, Computed) else form.constant + 0.0 for form in found]
        terms = [[constant, word] for constant, word in zip(constants, words, strict=True)]
        if all(isinstance(form, Form) and not form.linear and not form.products for form in found):
            return {"kind": one.kind, "terms": terms}
        if one.kind != "expval":
            raise NotCovered("oracle does not cover the variance of what depends on weights or inputs")
        return {"kind": one.kind, "terms": terms, "coefficients": [written(form) for form in found]}

    written_gates = [gate(place) for place in probe.structure]
    return {"gates": written_gates, "measurements": [measurement(one) for one in probe.measurements]}


def _where(probe: _Probe, angle: int) -> str:
    """Names an angle by its gate: `a parameter of gate 3, RX,`."""
    if angle >= probe.angles:
        return "a coefficient of an observable"
    ends = np.cumsum([place.count for place in probe.structure])
    gate = int(np.searchsorted(ends, angle, side="right"))
    return f"a parameter of gate {gate}, {probe.structure[gate].name},"


def _replaced(point: np.ndarray, values: Mapping[int, float]) -> np.ndarray:
    moved = point.copy()
    moved[list(values)] = list(values.values())
    return moved
