"""Statevector simulation of many rows at once, in complex128 or clongdouble.

A state is an array of shape (2, ..., 2, rows): one axis for each wire (wire 0 first, the most significant
bit), rows last, so that a gate is a few multiplications of contiguous slices and a row's own angle
broadcasts for free. Nothing here calls BLAS, which has no long double.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qparity.oracle.gates import Operation, matrix
from qparity.oracle.program import Expval, GateProgram, Probs

Word = Sequence[tuple[str, int]]


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
    flips, phase = _pauli(operation.word, state.ndim, state.dtype.type)
    if flips is None:
        view *= cos - 1j * sin * phase
    else:
        view[...] = cos * view + (-1j * sin * phase) * view[flips]


def apply_word(state: np.ndarray, word: Word) -> np.ndarray:
    """A Pauli word applied to a state, as a new array."""
    flips, phase = _pauli(word, state.ndim, state.dtype.type)
    return (state if flips is None else state[flips]) * phase


def controlled(state: np.ndarray, controls: Sequence[int]) -> np.ndarray:
    """The view of a state where all control wires are 1 (their axes stay, with length 1)."""
    return state[tuple(slice(1, 2) if axis in controls else slice(None) for axis in range(state.ndim))]


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """<a|b> for each row, (rows,), complex."""
    return np.asarray((a.conj() * b).reshape(-1, a.shape[-1]).sum(axis=0))


def simulate(program: GateProgram, theta: np.ndarray, dtype: type) -> np.ndarray:
    """The final state for angles (parameters, rows)."""
    state = zero_state(program.wires, theta.shape[1], dtype)
    for operation in program.operations:
        apply(state, operation, theta)
    return state


def measure(program: GateProgram, state: np.ndarray) -> np.ndarray:
    """All measurements of a state, (rows, outputs), real."""
    columns: list[np.ndarray] = []
    for m in program.measurements:
        if isinstance(m, Probs):
            density = state.real**2 + state.imag**2
            others = tuple(axis for axis in range(program.wires) if axis not in m.wires)
            kept = [w for w in range(program.wires) if w in m.wires]
            marginal = density.sum(axis=others).transpose([kept.index(w) for w in m.wires] + [len(kept)])
            columns += list(marginal.reshape(2 ** len(m.wires), -1))
        else:
            columns.append(inner(state, observe(m, state)).real)
    return np.stack(columns, axis=1)


def observe(expval: Expval, state: np.ndarray) -> np.ndarray:
    """The observable of an expectation value applied to a state, as a new array."""
    result = np.zeros_like(state)
    for coefficient, word in expval.terms:
        result += coefficient * apply_word(state, word)
    return result


def weighted_observable(program: GateProgram, state: np.ndarray, cotangents: np.ndarray) -> np.ndarray:
    """`sum_k c_k O_k |state>` with weights c (rows, outputs): the adjoint method's bra.

    A probability is the expectation of a projector, so a row's probabilities together make one diagonal
    observable.
    """
    result = np.zeros_like(state)
    column = 0
    for m in program.measurements:
        if isinstance(m, Expval):
            result += cotangents[:, column] * observe(m, state)
            column += 1
            continue
        width = len(m.wires)
        diagonal = cotangents[:, column : column + 2**width].T.reshape((2,) * width + (-1,))
        kept = [w for w in range(program.wires) if w in m.wires]
        diagonal = diagonal.transpose([m.wires.index(w) for w in kept] + [width])
        shape = [2 if w in m.wires else 1 for w in range(program.wires)]
        result += diagonal.reshape([*shape, -1]) * state
        column += 2**width
    return result


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


def _pauli(word: Word, axes: int, dtype: type) -> tuple[tuple[slice, ...] | None, np.ndarray]:
    """A Pauli word as the flip of some axes (None: diagonal) followed by a broadcastable factor."""
    letters = {wire: letter for letter, wire in word}
    phase: np.ndarray = np.ones((1,) * axes, dtype)
    for wire, letter in letters.items():
        factor = {"X": None, "Y": (-1j, 1j), "Z": (1, -1)}[letter]
        if factor is not None:
            phase = phase * np.array(factor, dtype).reshape([2 if a == wire else 1 for a in range(axes)])
    if not any(letter in "XY" for letter in letters.values()):
        return None, phase
    return tuple(slice(None, None, -1) if letters.get(a, "Z") in "XY" else slice(None) for a in range(axes)), phase
