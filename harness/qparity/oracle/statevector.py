"""Statevector simulation of many rows at once, in complex128 or clongdouble.

A state is an array of shape (2, ..., 2, rows): one axis for each wire (wire 0 first, the most significant
bit), rows last, so that a gate is a few multiplications of contiguous slices and a row's own angle
broadcasts for free. Nothing here calls BLAS, which has no long double.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qparity.oracle import entropy
from qparity.oracle.gates import Operation, apply_word, controlled, matrix, pauli
from qparity.oracle.program import Entropy, Expval, GateProgram, Measured, Probs, Purity, State, Variance, outputs_of


def zero_state(wires: int, rows: int, dtype: type) -> np.ndarray:
    """|0...0> for each row."""
    state: np.ndarray = np.zeros((2,) * wires + (rows,), dtype)
    state[(0,) * wires] = 1
    return state


def apply(state: np.ndarray, operation: Operation, theta: np.ndarray | None, inverse: bool = False) -> None:
    """Apply an elementary operation in place; `theta` is (parameters, rows), all angles."""
    view = controlled(state, operation.controls)
    if operation.parameter is None:
        m = matrix(operation.matrix, state.dtype.type)
        _apply_matrix(view, operation.wire, m.conj().T if inverse else m)
        return
    assert theta is not None
    angle = theta[operation.parameter] * (-operation.scale if inverse else operation.scale)
    cos, sin = np.cos(angle), np.sin(angle)
    flips, phase = pauli(operation.word, state.ndim, state.dtype)
    if flips is None:
        view *= cos - 1j * sin * phase
    else:
        view[...] = cos * view + (-1j * sin * phase) * view[flips]


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """<a|b> for each row, (rows,), complex."""
    return np.asarray((a.conj() * b).reshape(-1, a.shape[-1]).sum(axis=0))


def simulate(program: GateProgram, theta: np.ndarray, dtype: type, saved: list[np.ndarray] | None = None) -> np.ndarray:
    """The final state for angles (parameters, rows): (2, ..., 2, rows) with `program.axes` axes.

    What a map cannot undo goes into `saved`: the state before each.
    """
    state = zero_state(program.axes, theta.shape[1], dtype)
    for operation in program.operations:
        if isinstance(operation, Operation):
            apply(state, operation, theta)
            continue
        if saved is not None:
            saved.append(state.copy())
        operation.apply(state, theta)
    return state


def measure(program: GateProgram, state: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """All measurements of a state, (rows, outputs), real."""
    columns: list[np.ndarray] = []
    for m, coefficients in _with_coefficients(program, theta):
        if isinstance(m, Probs):
            density = _density(program, state)
            others = tuple(axis for axis in range(program.wires) if axis not in m.wires)
            kept = [w for w in range(program.wires) if w in m.wires]
            marginal = density.sum(axis=others).transpose([kept.index(w) for w in m.wires] + [len(kept)])
            columns += list(marginal.reshape(2 ** len(m.wires), -1))
        elif isinstance(m, State):
            amplitudes = state.reshape(-1, state.shape[-1])
            columns += [*amplitudes.real, *amplitudes.imag]
        elif isinstance(m, Purity):
            found = reduced(program, state, m.wires)
            columns.append((found.real**2 + found.imag**2).sum(axis=(0, 1)))
        elif isinstance(m, Entropy):
            of_parts = (sign * entropy.entropy(reduced(program, state, wires)) for sign, wires in m.parts)
            columns.append(m.unit * np.sum(list(of_parts), axis=0))
        else:
            once = observe(m, state, coefficients)
            mean = _expectation(program, state, once)
            if isinstance(m, Variance):
                mean = _expectation(program, state, observe(m, once, coefficients)) - mean**2
            columns.append(mean)
    return np.stack(columns, axis=1)


def observe(m: Expval | Variance, state: np.ndarray, coefficients: np.ndarray | None = None) -> np.ndarray:
    """A sum of Pauli words applied to a state, as a new array; `coefficients` (terms, rows) stand in for its own."""
    result = np.zeros_like(state)
    for k, (coefficient, word) in enumerate(m.terms):
        result += (coefficient if coefficients is None else coefficients[k]) * apply_word(state, word)
    return result


def weighted_observable(
    program: GateProgram, state: np.ndarray, cotangents: np.ndarray, theta: np.ndarray, slopes: np.ndarray
) -> np.ndarray:
    """`sum_k c_k O_k |state>` with weights c (rows, outputs): the adjoint method's bra. Of a density matrix, `sum c O`.

    A probability is the expectation of a projector, so a row's probabilities together make one diagonal
    observable; what is not linear has the observable that it is to first order. The derivatives in coefficients of
    observables are added to `slopes` (parameters, rows).
    """
    result = np.zeros_like(state)
    target = _identity(program, state) if program.mixed else state
    column, row = 0, len(program.parameters) - sum(len(m.coefficients) for m in _expvals(program))
    for m, coefficients in _with_coefficients(program, theta):
        width = outputs_of(m, program.wires)
        bars = cotangents[:, column : column + width]
        column += width
        if isinstance(m, Probs):
            result += _diagonal(program, m.wires, bars) * target
        elif isinstance(m, State):
            half = bars.shape[1] // 2
            result += ((bars[:, :half] + 1j * bars[:, half:]).T / 2).reshape(state.shape)
        elif isinstance(m, Purity):
            result += 2 * bars[:, 0] * _on_wires(program, reduced(program, state, m.wires), m.wires, target)
        elif isinstance(m, Entropy):
            for sign, wires in m.parts:
                matrix_of = entropy.slope(reduced(program, state, wires))
                result += (sign * m.unit) * bars[:, 0] * _on_wires(program, matrix_of, wires, target)
        elif isinstance(m, Variance):
            once = observe(m, target, coefficients)
            mean = _expectation(program, state, observe(m, state, coefficients))
            result += bars[:, 0] * (observe(m, once, coefficients) - 2 * mean * once)
        else:
            result += bars[:, 0] * observe(m, target, coefficients)
            for _, word in m.terms if coefficients is not None else ():
                slopes[row] += bars[:, 0] * _expectation(program, state, apply_word(state, word))
                row += 1
    return result


def _expvals(program: GateProgram) -> list[Expval]:
    return [m for m in program.measurements if isinstance(m, Expval)]


def _with_coefficients(program: GateProgram, theta: np.ndarray) -> Iterator[tuple[Measured, np.ndarray | None]]:
    """Each measurement with the coefficients that are parameters, (terms, rows), or None."""
    row = len(program.parameters) - sum(len(m.coefficients) for m in _expvals(program))
    for m in program.measurements:
        count = len(m.coefficients) if isinstance(m, Expval) else 0
        yield m, theta[row : row + count] if count else None
        row += count


def _expectation(program: GateProgram, state: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The mean of an observable, (rows,), from the state and the observable applied to it."""
    if not program.mixed:
        return np.asarray(inner(state, observed).real)
    size = 2**program.wires
    return np.asarray(np.trace(observed.reshape(size, size, -1), axis1=0, axis2=1).real)


def _density(program: GateProgram, state: np.ndarray) -> np.ndarray:
    """The probabilities of all basis states, (2, ..., 2, rows)."""
    if not program.mixed:
        return np.asarray(state.real**2 + state.imag**2)
    size = 2**program.wires
    found = np.einsum("iik->ik", state.reshape(size, size, -1)).real
    return found.reshape((2,) * program.wires + (-1,))


def _diagonal(program: GateProgram, wires: Sequence[int], bars: np.ndarray) -> np.ndarray:
    """Weights of outcomes (rows, 2^wires) as a factor of each basis state of the ket."""
    width = len(wires)
    diagonal = bars.T.reshape((2,) * width + (-1,))
    kept = [w for w in range(program.wires) if w in wires]
    diagonal = diagonal.transpose([wires.index(w) for w in kept] + [width])
    shape = [2 if w in wires else 1 for w in range(program.wires)]
    return diagonal.reshape([*shape, *[1] * (program.axes - program.wires), -1])


def _identity(program: GateProgram, like: np.ndarray) -> np.ndarray:
    """The identity as the density matrix of no row in particular."""
    size = 2**program.wires
    return np.broadcast_to(np.eye(size, dtype=like.dtype).reshape((2,) * program.axes + (1,)), like.shape)


def reduced(program: GateProgram, state: np.ndarray, wires: Sequence[int]) -> np.ndarray:
    """The density matrix of some wires, (2^wires, 2^wires, rows)."""
    size, rows = 2 ** len(wires), state.shape[-1]
    if not program.mixed:
        parts = np.moveaxis(state, wires, range(len(wires))).reshape(size, -1, rows)
        return np.einsum("irk,jrk->ijk", parts, parts.conj())
    others = [w for w in range(program.wires) if w not in wires]
    order = [*wires, *others, *(w + program.wires for w in (*wires, *others)), program.axes]
    rest = 2 ** len(others)
    return np.einsum("irjrk->ijk", state.transpose(order).reshape(size, rest, size, rest, rows))


def _on_wires(program: GateProgram, matrix: np.ndarray, wires: Sequence[int], state: np.ndarray) -> np.ndarray:
    """A matrix (2^wires, 2^wires, rows) applied to some wires of a state, as a new array."""
    moved = np.moveaxis(state, wires, range(len(wires)))
    flat = moved.reshape(2 ** len(wires), -1, state.shape[-1])
    found = np.einsum("ijk,jrk->irk", matrix, flat).reshape(moved.shape)
    return np.moveaxis(found, range(len(wires)), wires)


def _apply_matrix(view: np.ndarray, wire: int, m: np.ndarray) -> None:
    low = view[(slice(None),) * wire + (0,)]
    high = view[(slice(None),) * wire + (1,)]
    if m[0, 1] == 0 == m[1, 0]:
        for part, factor in ((low, m[0, 0]), (high, m[1, 1])):
            if factor != 1:
                part *= factor
        return
    old = low.copy()
    low[...] = m[0, 0] * low + m[0, 1] * high if m[0, 0] != 0 else m[0, 1] * high
    high[...] = m[1, 0] * old + m[1, 1] * high if m[1, 1] != 0 else m[1, 0] * old
