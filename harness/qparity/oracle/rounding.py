"""How much a circuit can round: what the tolerances of forward and gradient count.

Every elementary operation rounds its state once. An angle that is computed on the way (a coefficient, a sum, a
product, or Rot, which adds its outer angles) is rounded itself, by an amount that grows with its size: at 30 radians
that alone is many times what the operation rounds. Of an angle that is an expression it is the running error of that
(`expressions.bounds`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import frexp

import numpy as np

from qparity.oracle import expressions
from qparity.oracle.adjoint import states
from qparity.oracle.gates import Operation
from qparity.oracle.maps import PREPARATIONS, PROBABILITIES, Map
from qparity.oracle.program import (
    Entropy,
    Expval,
    Gate,
    GateProgram,
    NotCovered,
    Parameter,
    outputs_of,
    parameter_values,
    slabs,
)
from qparity.oracle.statevector import reduced

CIRCUIT = 6
"""Constant of forward and gradient (`parity.tolerances`), of which an error in units of u is a share.
Measured on correct single-wire re-uploading circuits of 1 to 32 layers, written as PennyLane writes Rot, angles from
0.1 to 300 radians, with and without a coefficient, both dtypes: the largest residual is 3.7 u sqrt(G) ||O||, so
r <= 0.62.
"""
COMPUTED = (np.pi / CIRCUIT) ** 2
"""What the square of (error / pi) of a computed angle counts: so that alone it is allowed just what it moves a mean."""


def operation_counts(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray, shifted: bool = False
) -> np.ndarray:
    """The number of operations of each row, (rows,), each counted as 1 + k (angle / pi)^2.

    k is 0 for an angle taken as it is, 1 for one of several angles of a gate, 4 a term for one with coefficients,
    sums or products. `shifted` adds 1 for a differentiation method that shifts angles. The angle's size is the sum of
    its terms' sizes, since they may cancel; what an expression rounds is told by its error in place of terms and size.
    `weights` is (steps, weight_count), the other arguments are those of `parameter_values`.

    Raises:
        NotCovered: an expression is not smooth, or not finite, at one of the rows.
    """
    multiples = np.zeros(len(program.parameters))  # coefficients of observables are no angles
    found = [_of_angle(p, gate, shifted) for gate in program.gates for p in gate.params]
    multiples[: len(found)] = found
    of_angles = np.empty(len(inputs))
    gains = _gains(program, weights, inputs, offsets)
    for rows, steps, stops in slabs(program, offsets):
        sizes = parameter_values(program.sized, np.abs(weights[steps]), np.abs(inputs[rows]), stops)
        errors = np.zeros(sizes.shape[1])
        for k, of in _bounded(program, weights[steps], inputs[rows], stops):
            if k < len(found):
                sizes[k] = of.value
                errors += COMPUTED * (gains[k] * of.error / np.pi) ** 2
        of_angles[rows] = multiples @ (sizes / np.pi) ** 2 + errors
    return max(len(program.operations), 1) + of_angles


def _bounded(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray
) -> Iterator[tuple[int, expressions.Bounds]]:
    """The parameters that are expressions, by their numbers, at the given rows."""
    if not any(p.expression for p in program.parameters):
        return
    columns = {"w": np.repeat(weights, np.diff(offsets), axis=0).T, "i": inputs.T}
    for k, p in enumerate(program.parameters):
        if p.expression:
            try:
                yield k, expressions.bounds(p.expression, columns)
            except expressions.Kink as reason:
                raise NotCovered(f"the oracle does not cover these numbers: {reason}") from None


def chain_factors(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How strongly each weight, and each input, moves the gate parameters.

    The sum of |d parameter / d scalar| over all parameters, with products bounded by the largest absolute value seen,
    the derivatives of expressions by the largest one and its error, and each as much as it moves the state more than an
    angle does (`Map.gains`); at least 1. A weight that feeds one rotation with coefficient 1 has factor 1. Arguments,
    and what is raised, as for `operation_counts`.
    """
    largest = {"w": np.abs(weights).max(axis=0, initial=0), "i": np.abs(inputs).max(axis=0, initial=0)}
    of_weights, of_inputs = np.zeros(program.weight_count), np.zeros(program.features)
    totals = {"w": of_weights, "i": of_inputs}
    gains = _gains(program, weights, inputs, offsets)
    steep: dict[tuple[int, str, int], float] = {}
    for rows, steps, stops in slabs(program, offsets):
        for k, of in _bounded(program, weights[steps], inputs[rows], stops):
            for (kind, i), (slope, error) in of.slopes.items():
                here = float((slope + error / CIRCUIT).max(initial=0))
                steep[k, kind, i] = max(steep.get((k, kind, i), 0.0), here)
    for (k, kind, i), most in steep.items():
        totals[kind][i] += gains[k] * most
    for p, gain in zip(program.parameters, gains, strict=True):
        for i, c in p.weights:
            of_weights[i] += gain * abs(c)
        for i, c in p.inputs:
            of_inputs[i] += gain * abs(c)
        for a, i, b, j, c in p.products:
            totals[a][i] += gain * abs(c) * float(largest[b][j])
            totals[b][j] += gain * abs(c) * float(largest[a][i])
    return np.maximum(of_weights, 1.0), np.maximum(of_inputs, 1.0)


def norms(program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """`program.norms` of each row, (rows, outputs), with coefficients that are parameters.

    These count as 1 at the least: the derivative in one of them is a Pauli word's mean. Arguments as for
    `operation_counts`.
    """
    found = np.repeat(program.norms[None], len(inputs), axis=0)
    observed = [(k, m) for k, m in enumerate(program.measurements) if isinstance(m, Expval) and m.coefficients]
    if not observed:
        return found
    first = np.cumsum([0, *(outputs_of(m, program.wires) for m in program.measurements)])
    for rows, steps, stops in slabs(program, offsets):
        values = np.abs(parameter_values(program, weights[steps], inputs[rows], stops))
        for number, of in _bounded(program, weights[steps], inputs[rows], stops):
            values[number] += of.error / CIRCUIT
        at = len(values) - sum(len(m.coefficients) for _, m in observed)
        for k, m in observed:
            here = values[at : at + len(m.coefficients)].sum(axis=0)
            found[rows, first[k]] = np.maximum(here, 1.0)
            at += len(m.coefficients)
    return found


def steepness(
    program: GateProgram,
    weights: np.ndarray,
    inputs: np.ndarray,
    offsets: np.ndarray,
    norms: np.ndarray,
    unit: float,
) -> tuple[np.ndarray, np.ndarray]:
    """How much a rounding of the state moves an output, and its slope by an angle, at the most: (rows, outputs) each.

    Both are the norm of the observable (`norms`, which are given), but of an entropy. `unit` is the roundoff of what
    is judged. Other arguments as for `operation_counts`.
    """
    of_value, of_slope = norms.copy(), norms.copy()
    for column, far, steep in _entropies(program, weights, inputs, offsets, unit):
        of_value[:, column] = far
        of_slope[:, column] = far + steep
    return of_value, of_slope


NOISE = 64
"""An eigenvalue below so many roundoffs may come out as none, or less, and then has no logarithm."""


def _entropies(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray, unit: float
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each output that is a sum of entropies its column, and what rounding may move it and its slope by, (rows,).

    A state that is off by e has eigenvalues l that are off by 2 e, all together, and each adds `-l log l`: so an
    entropy is off by 2 e (1 + |log l|) of the smallest l, and its slope by as much for what the state's own derivative
    is off by. The logarithm of the state is off too, which moves the slope by a sum over pairs of eigenvalues, n^2, of
    (log l - log l') / (l - l') times what rounding and the derivative have there: both at most the sum of the roots of
    l and l', but for the rounding of the matrix itself, e. That is e / sqrt(l) for each l, |log l| times as much where
    that may be lost, and e |log l| between one of zero and the others. Of a pure state those that more wires have than
    the others can be entangled with are zero for every angle, and stay so: the smallest of the others counts.
    """
    first = np.cumsum([0, *(outputs_of(m, program.wires) for m in program.measurements)])
    wanted = [(int(first[k]), m) for k, m in enumerate(program.measurements) if isinstance(m, Entropy)]
    if not wanted:
        return
    far, steep = (np.zeros((len(wanted), len(inputs))) for _ in range(2))
    start = 0
    for state, _ in states(program, weights, inputs, offsets, np.complex128):
        rows = slice(start, start + state.shape[-1])
        start = rows.stop
        for k, (_, m) in enumerate(wanted):
            for sign, wires in m.parts:
                size = abs(sign * m.unit)
                small = 1 - np.log(_least(program, state, wires, unit))
                others = [w for w in range(program.wires) if w not in wires]
                entangled = wires if program.mixed or len(wires) <= len(others) else others
                far[k, rows] += size * 2 * small
                least = _least(program, state, entangled, unit)
                root = np.where(least < NOISE * unit, 1 - np.log(least), 1) / np.sqrt(least)
                steep[k, rows] += size * 2 ** len(wires) * (small + root)
    yield from ((column, far[k], steep[k]) for k, (column, _) in enumerate(wanted))


def _least(program: GateProgram, state: np.ndarray, wires: Sequence[int], unit: float) -> np.ndarray:
    """The smallest eigenvalue of some wires' states, (rows,), between `unit` and 1: one below that is of rounding."""
    if not wires:
        return np.ones(state.shape[-1])
    matrices = np.moveaxis(reduced(program, state, wires), -1, 0)
    return np.asarray(np.clip(np.linalg.eigvalsh(matrices).min(axis=-1), unit, 1.0))


def smoothing(program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray) -> float:
    """How far the state moves at the most, in units of what is added to every probability of every channel.

    That is once a probability, and a coherence `sqrt(1 - p)` and its derivative as much more as that is steep.
    Arguments as for `operation_counts`.
    """
    gains, total, first = _gains(program, weights, inputs, offsets), 0.0, 0
    for gate in program.gates:
        steep = gains[first : first + len(gate.params)].max(initial=1.0)
        total += PROBABILITIES.get(gate.name.partition("(")[0], 0) * 2 * steep**2
        first += len(gate.params)
    return total


def _gains(program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How much more than an angle each parameter moves the state at the most in any row, (parameters,), at least 1."""
    gains = np.ones(len(program.parameters))
    maps: list[Map] = [o for o in program.operations if not isinstance(o, Operation)]
    for rows, steps, stops in slabs(program, offsets) if maps else ():
        theta = parameter_values(program, weights[steps], inputs[rows], stops)
        for one in maps:
            for parameter, gain in one.gains(theta).items():
                gains[parameter] = max(gains[parameter], float(np.max(gain)))
    return gains


def _of_angle(p: Parameter, gate: Gate, shifted: bool) -> float:
    """What an angle's size adds; amplitudes are no angles, their rounding is that of the operation."""
    return 0.0 if gate.name in PREPARATIONS else _roundings(p, len(gate.params)) + shifted


def _roundings(p: Parameter, angles: int) -> float:
    if p.expression:
        return float(angles > 1)
    coefficients = [c for _, c in p.weights + p.inputs] + [c for *_, c in p.products]
    terms = len(coefficients) + bool(p.constant)
    plain = terms <= 1 and not p.products and all(abs(frexp(c)[0]) == 0.5 for c in coefficients)
    return (0 if plain else 4 * terms) + (angles > 1)
