"""How much a circuit can round: what the tolerances of forward and gradient count.

Every elementary operation rounds its state once. An angle that is computed on the way (a coefficient, a sum, a
product, or Rot, which adds its outer angles) is rounded itself, by an amount that grows with its size: at 30 radians
that alone is many times what the operation rounds.
"""

from __future__ import annotations

from dataclasses import replace
from math import frexp

import numpy as np

from qparity.oracle.program import GateProgram, Parameter, parameter_values, slabs


def operation_counts(
    program: GateProgram, weights: np.ndarray, inputs: np.ndarray, offsets: np.ndarray, shifted: bool = False
) -> np.ndarray:
    """The number of operations of each row, (rows,), each counted as 1 + k (angle / pi)^2.

    k is 0 for an angle taken as it is, 1 for one of several angles of a gate, 4 a term for one with coefficients,
    sums or products. `shifted` adds 1 for a differentiation method that shifts angles. The angle's size is the sum of
    its terms' sizes, since they may cancel. `weights` is (steps, weight_count), the other arguments are those of
    `parameter_values`.
    """
    multiples = np.array(
        [_roundings(p, len(gate.params)) + shifted for gate in program.gates for p in gate.params], np.float64
    )
    gates = tuple(replace(g, params=tuple(map(_absolute, g.params))) for g in program.gates)
    sized, of_angles = replace(program, gates=gates), np.empty(len(inputs))
    for rows, steps, stops in slabs(program, offsets):
        sizes = parameter_values(sized, np.abs(weights[steps]), np.abs(inputs[rows]), stops)
        of_angles[rows] = multiples @ (sizes / np.pi) ** 2
    return max(len(program.operations), 1) + of_angles


def chain_factors(program: GateProgram, weights: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How strongly each weight, and each input, moves the gate parameters.

    The sum of |d parameter / d scalar| over all parameters, with products bounded by the largest absolute value seen;
    at least 1. A weight that feeds one rotation with coefficient 1 has factor 1.
    `weights` is (steps, weight_count), `inputs` (rows, features).
    """
    largest = {"w": np.abs(weights).max(axis=0, initial=0), "i": np.abs(inputs).max(axis=0, initial=0)}
    of_weights, of_inputs = np.zeros(program.weight_count), np.zeros(program.features)
    totals = {"w": of_weights, "i": of_inputs}
    for p in program.parameters:
        for i, c in p.weights:
            of_weights[i] += abs(c)
        for i, c in p.inputs:
            of_inputs[i] += abs(c)
        for a, i, b, j, c in p.products:
            totals[a][i] += abs(c) * float(largest[b][j])
            totals[b][j] += abs(c) * float(largest[a][i])
    return np.maximum(of_weights, 1.0), np.maximum(of_inputs, 1.0)


def _roundings(p: Parameter, angles: int) -> float:
    coefficients = [c for _, c in p.weights + p.inputs] + [c for *_, c in p.products]
    terms = len(coefficients) + bool(p.constant)
    plain = terms <= 1 and not p.products and all(abs(frexp(c)[0]) == 0.5 for c in coefficients)
    return (0 if plain else 4 * terms) + (angles > 1)


def _absolute(p: Parameter) -> Parameter:
    return Parameter(
        abs(p.constant),
        tuple((i, abs(c)) for i, c in p.weights),
        tuple((i, abs(c)) for i, c in p.inputs),
        tuple((a, i, b, j, abs(c)) for a, i, b, j, c in p.products),
    )
