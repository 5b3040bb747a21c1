"""The gate program: a circuit as the oracle reads it.

The format is that of `programs/<scenario>.json` (docs/architecture.md). A gate parameter is the quadratic
form `constant + sum c_k w_k + sum c_j x_j + sum c a b` with `a`, `b` weights or inputs, so its derivatives
are exact; or an expression of weights and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from qparity.oracle import expressions
from qparity.oracle.expressions import Expression
from qparity.oracle.gates import Operation
from qparity.oracle.maps import PREPARATIONS, Map, doubled, elementary, is_channel

SLAB_NUMBERS = 2**25
"""Of 16 bytes each: half a GiB."""
MAX_WIRES = 16
"""Above this the oracle refuses: a long double state of 16 wires takes 2 MiB, and every row needs two."""
MAX_MIXED_WIRES = 6
MAX_ENTROPY_WIRES = 5
"""Of a density matrix, which is a state of twice as many wires, and kept before every channel."""


class NotCovered(ValueError):
    """The program is well formed, but the oracle cannot simulate it; the message says why."""


Operand = Literal["w", "i"]
"""A weight, or an input."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One gate parameter: `products` are (weight or input, index, weight or input, index, coefficient).

    Where there is an `expression`, it is all.
    """

    constant: float = 0.0
    weights: tuple[tuple[int, float], ...] = ()
    inputs: tuple[tuple[int, float], ...] = ()
    products: tuple[tuple[Operand, int, Operand, int, float], ...] = ()
    expression: Expression = ()

    @property
    def reads(self) -> set[tuple[str, int]]:
        """The weights ("w") and inputs ("i") that it depends on, by their numbers."""
        found = {("w", i) for i, _ in self.weights} | {("i", i) for i, _ in self.inputs}
        found |= {pair for a, i, b, j, _ in self.products for pair in ((a, i), (b, j))}
        return found | {(node.name, node.of[0]) for node in self.expression if node.name in expressions.READ}

    @property
    def terms(self) -> int:
        """Of how many terms, or functions, it is made."""
        return len(self.weights) + len(self.inputs) + len(self.products) + len(self.expression)

    @property
    def sized(self) -> Parameter:
        """The same with the sizes of its numbers."""
        return Parameter(
            abs(self.constant),
            tuple((i, abs(c)) for i, c in self.weights),
            tuple((i, abs(c)) for i, c in self.inputs),
            tuple((a, i, b, j, abs(c)) for a, i, b, j, c in self.products),
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate by PennyLane's name, its controls first among the wires; `numbers` are those of `elementary`."""

    name: str
    wires: tuple[int, ...]
    params: tuple[Parameter, ...] = ()
    controls: int = 0
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Expval:
    """Expectation of a sum of Pauli words: terms are (coefficient, ((letter, wire), ...)); one output.

    Where there are `coefficients`, one a term, they stand in place of the terms' numbers.
    """

    terms: tuple[tuple[float, tuple[tuple[str, int], ...]], ...]
    coefficients: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance of a sum of Pauli words; one output."""

    terms: tuple[tuple[float, tuple[tuple[str, int], ...]], ...]


@dataclass(frozen=True, slots=True)
class Probs:
    """Probabilities of the basis states of some wires, the first wire being the most significant bit."""

    wires: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Purity:
    """The purity of some wires; one output."""

    wires: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entropy:
    """A sum of von Neumann entropies, each of some wires, times a sign; one output.

    One of them is an entropy, those of two sets of wires less that of both together a mutual information. `base` is
    that of the logarithm, None the natural one's.
    """

    parts: tuple[tuple[float, tuple[int, ...]], ...]
    base: float | None = None

    @property
    def unit(self) -> float:
        """What an entropy in nats is multiplied by."""
        return 1.0 if self.base is None else float(1 / np.log(self.base))


@dataclass(frozen=True, slots=True)
class State:
    """All amplitudes of a pure state: their real parts, then the imaginary ones."""


Measured = Expval | Variance | Probs | Purity | Entropy | State


@dataclass(frozen=True)
class GateProgram:
    """A whole circuit: gates, measurements, and the weights its parameters read."""

    wires: int
    features: int
    weight_names: tuple[str, ...]
    weight_shapes: tuple[tuple[int, ...], ...]
    gates: tuple[Gate, ...]
    measurements: tuple[Measured, ...]

    def checked(self) -> GateProgram:
        """The program, if it is one.

        Raises `NotCovered` where one of its gates is outside what the oracle simulates, and `ValueError` where wires,
        numbers of parameters or what they read do not fit.
        """
        self._check()
        return self

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All gate parameters, in gate order, then the coefficients of observables."""
        found = tuple(p for gate in self.gates for p in gate.params)
        return found + tuple(p for m in self.measurements if isinstance(m, Expval) for p in m.coefficients)

    @cached_property
    def mixed(self) -> bool:
        """Whether its state is a density matrix."""
        return any(is_channel(gate.name) for gate in self.gates)

    @property
    def axes(self) -> int:
        """Of the state that is simulated: its wires, or twice as many of a density matrix."""
        return 2 * self.wires if self.mixed else self.wires

    @cached_property
    def operations(self) -> tuple[Operation | Map, ...]:
        """What is applied, one after the other; each refers to entries of `parameters`."""
        result: list[Operation | Map] = []
        first = 0
        for gate in self.gates:
            given = len(gate.params)
            found, _ = elementary(gate.name, gate.wires, first, gate.numbers, gate.controls, given)
            result += [each for o in found for each in doubled(o, self.wires)] if self.mixed else found
            first += given
        return tuple(result)

    @cached_property
    def sized(self) -> GateProgram:
        """The same with the sizes of all numbers that angles are made of."""
        return replace(self, gates=tuple(replace(g, params=tuple(p.sized for p in g.params)) for g in self.gates))

    @property
    def weight_count(self) -> int:
        """Number of scalar weights."""
        return sum(prod(shape) for shape in self.weight_shapes)

    @cached_property
    def norms(self) -> np.ndarray:
        """How large each output's observable is, (outputs,): the sum of its |coefficients| bounds its spectral radius.

        A variance is the difference of an observable's square and the square of its mean, of which the slope is twice
        as steep; a purity is a square too, and an entropy as large as it can be. Coefficients that are parameters count
        in `rounding.norms`, how steep an entropy is in `rounding.steepness`.
        """
        result: list[float] = []
        for m in self.measurements:
            size = sum(abs(c) for c, _ in m.terms) if isinstance(m, Expval | Variance) else 1.0
            if isinstance(m, Entropy):
                size = float(m.unit * np.log(2)) * sum(sign * len(wires) for sign, wires in m.parts if sign > 0)
            of_one = 3 * size**2 if isinstance(m, Variance) else 2.0 if isinstance(m, Purity) else size
            result += [of_one] * outputs_of(m, self.wires)
        return np.array(result)

    @property
    def outputs(self) -> int:
        """Number of predictions for each sample."""
        return sum(outputs_of(m, self.wires) for m in self.measurements)

    def _check(self) -> None:
        if self.wires < 1 or self.features < 0:
            raise ValueError(f"gate program: wires={self.wires}, features={self.features}: expected >= 1 and >= 0")
        if self.wires > MAX_WIRES:
            raise NotCovered(f"{self.wires} wires; the oracle simulates at most {MAX_WIRES}")
        if self.mixed and self.wires > MAX_MIXED_WIRES:
            raise NotCovered(f"{self.wires} wires with noise; the oracle simulates at most {MAX_MIXED_WIRES}")
        if not self.measurements:
            raise ValueError("gate program: no measurement")
        touched: set[int] = set()
        for gate in self.gates:
            _check_wires(gate.wires, self.wires, gate.name)
            if not 0 <= gate.controls <= len(gate.wires):
                raise ValueError(f"gate program: {gate.name} with {gate.controls} controls on {len(gate.wires)} wires")
            try:
                _, expected = elementary(
                    gate.name, gate.wires, 0, gate.numbers, gate.controls, len(gate.params)
                )  # fmt: skip
            except KeyError:
                raise NotCovered(f"the oracle does not cover {gate.name}") from None
            if expected != len(gate.params):
                raise ValueError(f"gate program: {gate.name} has {len(gate.params)} parameters, expected {expected}")
            if gate.name in PREPARATIONS and touched & set(gate.wires):
                raise NotCovered(f"the oracle covers {gate.name} at the start of a circuit alone")
            touched |= set(gate.wires)
            for parameter in gate.params:
                self._check_parameter(parameter, gate.name)
        for m in self.measurements:
            if isinstance(m, State) and self.mixed:
                raise NotCovered("the oracle does not cover the state of a circuit with noise")
            if isinstance(m, Expval):
                if m.coefficients and len(m.coefficients) != len(m.terms):
                    raise ValueError(f"gate program: {len(m.coefficients)} coefficients of {len(m.terms)} terms")
                for parameter in m.coefficients:
                    self._check_parameter(parameter, "an observable")
            words = [tuple(w for _, w in word) for _, word in m.terms] if isinstance(m, Expval | Variance) else []
            words = [wires for _, wires in m.parts] if isinstance(m, Entropy) else words
            for wires in [m.wires] if isinstance(m, Probs | Purity) else words:
                _check_wires(wires, self.wires, "a measurement")
            if isinstance(m, Entropy) and (most := max(map(len, words))) > MAX_ENTROPY_WIRES:
                raise NotCovered(f"an entropy of {most} wires; the oracle takes at most {MAX_ENTROPY_WIRES}")

    def _check_parameter(self, p: Parameter, name: str) -> None:
        if p.expression and (wrong := expressions.problem(p.expression, self.weight_count, self.features)):
            raise ValueError(f"gate program: {name}: {wrong}")
        for kind, index in p.reads:
            limit = {"w": self.weight_count, "i": self.features}.get(kind, 0)
            if not 0 <= index < limit:
                raise ValueError(f"gate program: {name} reads {kind!r} number {index}, of which there are {limit}")


class Slab(NamedTuple):
    """Some rows, the steps that they are of, and `offsets` of these among the rows."""

    rows: slice
    steps: slice
    offsets: np.ndarray


def slabs(program: GateProgram, offsets: np.ndarray) -> Iterator[Slab]:
    """All rows, one after the other, as many at a time as leave their angles and weights `SLAB_NUMBERS` at the most."""
    end = int(offsets[-1])
    nodes = 2 * max((len(p.expression) for p in program.parameters), default=0)
    size = max(1, SLAB_NUMBERS // (2 * len(program.parameters) + program.weight_count + nodes + 1))
    for start in range(0, end, size):
        stop = min(start + size, end)
        first, last = int(np.searchsorted(offsets, start, "right")) - 1, int(np.searchsorted(offsets, stop))
        yield Slab(
            slice(start, stop),
            slice(first, last),
            np.minimum(np.maximum(offsets[first : last + 1], start), stop) - start,
        )


def parameter_values(program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """All gate parameters for all rows.

    Args:
        program: the circuit.
        weights: (steps, weight_count), flat, in the dtype to compute in.
        inputs: (rows, features), same dtype.
        offsets: (steps + 1,): step t owns rows `offsets[t]:offsets[t+1]`.

    Returns:
        (parameters, rows), same dtype.
    """
    counts = np.diff(offsets)
    read, given = np.repeat(weights, counts, axis=0).T, inputs.T
    columns = {"w": read, "i": given}
    values = np.empty((len(program.parameters), len(inputs)), weights.dtype)
    for row, p in zip(values, program.parameters, strict=True):
        row[:] = p.constant
        for i, c in p.weights:
            row += c * read[i]
        for i, c in p.inputs:
            row += c * given[i]
        for a, i, b, j, c in p.products:
            row += c * columns[a][i] * columns[b][j]
        if p.expression:
            row[:] = expressions.values(p.expression, columns)[-1]
    return values


def pull_back(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray, cotangents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Chain rule from gate parameters to weights (summed over a step's rows) and to inputs.

    Args:
        program, weights, inputs, offsets: as for `parameter_values`.
        cotangents: (parameters, rows), derivative of the scalar with respect to each parameter.

    Returns:
        (steps, weight_count) and (rows, features).
    """
    rows = {"w": np.repeat(weights, np.diff(offsets), axis=0).T, "i": inputs.T}
    by_row = np.zeros_like(inputs.T)
    by_step = np.zeros_like(weights.T)

    def add(kind: str, index: int, value: np.ndarray) -> None:
        if kind == "i":
            by_row[index] += value
        else:
            by_step[index] += np.add.reduceat(value, offsets[:-1])

    for g, p in zip(cotangents, program.parameters, strict=True):
        for i, c in p.weights:
            add("w", i, c * g)
        for i, c in p.inputs:
            add("i", i, c * g)
        for a, i, b, j, c in p.products:
            add(a, i, c * g * rows[b][j])
            add(b, j, c * g * rows[a][i])
        for kind, i, slope in expressions.pulled(p.expression, rows, g) if p.expression else ():
            add(kind, i, slope)
    return by_step.T, by_row.T


def flatten_weights(program: GateProgram, weights: Sequence[np.ndarray], real: type, steps: int = 1) -> np.ndarray:
    """Weight arrays with a leading step axis, (steps, *shape) each, as one (steps, weight_count) array.

    Of a program without weights, a layer between others, (`steps`, 0).
    """
    if len(weights) != len(program.weight_shapes):
        raise ValueError(f"{len(weights)} weights given, the program has {len(program.weight_shapes)}")
    for array, name, shape in zip(weights, program.weight_names, program.weight_shapes, strict=True):
        if array.shape[1:] != shape:
            raise ValueError(f"weight {name}: shape {array.shape[1:]}, expected {shape}")
    if not weights:
        return np.zeros((steps, 0), real)
    return np.concatenate([np.asarray(w, real).reshape(len(w), -1) for w in weights], axis=1)


def split_weights(program: GateProgram, flat: np.ndarray) -> list[np.ndarray]:
    """The inverse of `flatten_weights`: (steps, weight_count) to a list of (steps, *shape)."""
    if not program.weight_shapes:
        return []
    stops = np.cumsum([prod(shape) for shape in program.weight_shapes])[:-1]
    parts = np.split(flat, stops, axis=1)
    return [p.reshape(len(flat), *shape) for p, shape in zip(parts, program.weight_shapes, strict=True)]


def outputs_of(m: Measured, wires: int) -> int:
    """How many predictions a measurement of a program of so many wires is."""
    if isinstance(m, State):
        return int(2 ** (wires + 1))
    return int(2 ** len(m.wires)) if isinstance(m, Probs) else 1


def measurement(
    kind: str,
    terms: Iterable[Any] | None,
    wires: Iterable[Any] | None,
    coefficients: Iterable[Parameter] | None = None,
    parts: Iterable[Any] | None = None,
    base: float | None = None,
) -> Measured:
    """A measurement: of `terms`, (coefficient, word) each, or of `wires`; an entropy of `parts`, (sign, wires) each.

    Raises `NotCovered` for another kind, `ValueError` for a letter that is no Pauli's and where nothing is measured.
    """
    if kind == "state":
        return State()
    if kind == "entropy":
        if not (of := tuple((float(sign), tuple(int(w) for w in each)) for sign, each in parts or ())):
            raise ValueError("gate program: an entropy of nothing")
        if base is not None and (base <= 0 or base == 1):
            raise ValueError(f"gate program: an entropy by logarithms of base {base}")
        return Entropy(of, base)
    if kind not in ("probs", "purity", "expval", "var"):
        raise NotCovered(f"the oracle does not cover the measurement {kind}")
    if (wires if kind in ("probs", "purity") else terms) is None:
        raise ValueError(f"gate program: a measurement {kind} of nothing")
    if kind in ("probs", "purity"):
        return (Probs if kind == "probs" else Purity)(tuple(int(w) for w in wires or ()))
    read = tuple((float(c), tuple((str(p), int(w)) for p, w in word)) for c, word in terms or ())
    for _, word in read:
        for letter, _ in word:
            if letter not in ("X", "Y", "Z"):
                raise ValueError(f"gate program: Pauli letter {letter!r}, expected X, Y or Z")
    return Variance(read) if kind == "var" else Expval(read, tuple(coefficients or ()))


def _check_wires(wires: Sequence[int], count: int, name: str) -> None:
    if len(set(wires)) != len(wires) or any(not 0 <= w < count for w in wires):
        raise ValueError(f"gate program: wires {list(wires)} of {name}, expected distinct numbers below {count}")
