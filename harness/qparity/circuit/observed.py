"""A tape's measurements in the oracle's words: sums of Pauli words, probabilities, purities, the state.

Hermitian matrices, projectors, outcomes in an eigenbasis, entries of a density matrix are all sums of Pauli words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.expansion import MAX_MATRIX_WIRES, is_noisy
from qparity.circuit.parameters import dense
from qparity.circuit.tracing import Traced
from qparity.oracle.program import NotCovered

Word = tuple[tuple[str, int], ...]
Terms = dict[Word, Any]
"""Pauli words with their coefficients."""
NEGLIGIBLE = 2.0**-60
HERMITIAN = 1e-12
MAX_ENTRIES = 3
"""Wires of a density matrix that is measured: it has 4^wires entries."""


@dataclass(frozen=True)
class Measured:
    """A measurement without its coefficients: `words` of a sum, or `wires`; `parts` and `base` of entropies."""

    kind: str
    words: tuple[Word, ...] = ()
    wires: tuple[int, ...] = ()
    parts: tuple[tuple[float, tuple[int, ...]], ...] = ()
    base: float | None = None


def measurements(
    tape: qml.tape.QuantumScript, wire_map: Mapping[Any, int], wires: int
) -> tuple[list[Measured], list[float | Traced]]:
    """The tape's measurements, and the coefficients of all their words in order.

    `wires` are the declared ones, which a measurement that names none is made on.

    Raises:
        NotCovered: one that the oracle does not know.
    """
    found: list[Measured] = []
    coefficients: list[float | Traced] = []
    noisy = is_noisy(tape)
    for measurement in tape.measurements:
        for one in _measurement(measurement, wire_map, wires, noisy):
            if isinstance(one, Measured):
                found.append(one)
                continue
            kind, terms = one
            found.append(Measured(kind, tuple(terms)))
            coefficients += [_real(c) for c in terms.values()]
    return found, coefficients


def _measurement(
    measurement: Any, wire_map: Mapping[Any, int], wires: int, noisy: bool
) -> Iterator[Measured | tuple[str, Terms]]:
    kind, observable = type(measurement), measurement.obs
    named = tuple(wire_map[w] for w in measurement.wires) or tuple(range(wires))
    if kind is qml.measurements.ProbabilityMP:
        if observable is None:
            yield Measured("probs", wires=named)
        else:
            yield from (("expval", terms) for terms in _outcomes(observable, wire_map))
    elif kind is qml.measurements.PurityMP:
        yield Measured("purity", wires=named)
    elif kind is qml.measurements.VnEntropyMP:
        yield Measured("entropy", parts=((1.0, named),), base=_base(measurement))
    elif kind is qml.measurements.MutualInfoMP:
        one, other = (tuple(wire_map[w] for w in each) for each in measurement.raw_wires)
        parts = ((1.0, one), (1.0, other), (-1.0, (*one, *other)))
        yield Measured("entropy", parts=parts, base=_base(measurement))
    elif kind is qml.measurements.DensityMatrixMP or (kind is qml.measurements.StateMP and noisy):
        yield from (("expval", terms) for terms in _entries(named))
    elif kind is qml.measurements.StateMP:
        yield Measured("state")
    elif kind in (qml.measurements.ExpectationMP, qml.measurements.VarianceMP):
        name = "expval" if kind is qml.measurements.ExpectationMP else "var"
        if observable is not None:
            yield name, sentence(observable, wire_map)
        else:  # the values of mid-circuit measurements, by the outcomes of the wires that they were put off to
            yield name, of_matrix(np.diag(np.asarray(measurement.eigvals())), named)
    else:
        of = f" of {observable.name}" if observable is not None else ""
        raise NotCovered(f"oracle does not cover the measurement {kind.__name__.removesuffix('MP')}{of}")


def _base(measurement: Any) -> float | None:
    """The base of an entropy's logarithm; None for the natural one's."""
    return None if measurement.log_base is None else float(measurement.log_base)


def sentence(observable: Any, wire_map: Mapping[Any, int]) -> Terms:
    """An observable as a sum of Pauli words."""
    return {
        tuple((letter, wire_map[wire]) for wire, letter in word.items()): c
        for word, c in _sentence(observable).items()
    }  # fmt: skip


def _sentence(observable: Any) -> Any:
    if observable.pauli_rep is not None:
        return observable.pauli_rep
    if isinstance(observable, qml.ops.Prod):
        total = qml.pauli.PauliSentence({qml.pauli.PauliWord({}): 1.0})
        for factor in observable.operands:
            total = total @ _sentence(factor)
        return total
    if isinstance(observable, qml.ops.SProd):
        return observable.scalar * _sentence(observable.base)
    if isinstance(observable, qml.ops.Sum):
        total = qml.pauli.PauliSentence()
        for term in observable.operands:
            total = total + _sentence(term)
        return total
    if not len(observable.wires) or len(observable.wires) > MAX_MATRIX_WIRES:
        raise NotCovered(f"oracle does not cover {observable.name} on {len(observable.wires)} wires")
    matrix = observable.matrix() if observable.has_matrix else dense(observable.sparse_matrix())
    labels = list(observable.wires)
    return qml.pauli.PauliSentence(
        {
            qml.pauli.PauliWord({labels[wire]: letter for letter, wire in word}): c
            for word, c in of_matrix(matrix, range(len(labels))).items()
        }
    )


def of_matrix(matrix: Any, wires: Sequence[int]) -> dict[Word, float]:
    """A Hermitian matrix (2^k, 2^k) as a sum of Pauli words, summed in long double."""
    entries = np.asarray(dense(matrix)).astype(np.clongdouble)
    size, count = len(entries), len(wires)
    rows = np.arange(size)
    found: dict[Word, float] = {}
    largest = float(np.abs(entries).max())
    if float(np.abs(entries - entries.conj().T).max()) > HERMITIAN * largest:
        raise NotCovered("oracle does not cover observables that are not Hermitian")
    for letters in product("IXYZ", repeat=count):
        flip, factors = 0, np.ones(size, np.clongdouble)
        for place, letter in enumerate(letters):
            bits = rows >> (count - 1 - place) & 1
            flip |= (letter in "XY") << (count - 1 - place)
            if letter == "Z":
                factors = factors * (1 - 2 * bits)
            elif letter == "Y":  # <row|Y|flipped> = -i for row 0, i for row 1
                factors = factors * np.where(bits, 1j, -1j)
        c = (factors.conj() * entries[rows, rows ^ flip]).sum().real / size
        if abs(c) > NEGLIGIBLE * largest:
            word = tuple((letter, wire) for letter, wire in zip(letters, wires, strict=True) if letter != "I")
            found[word] = float(c)
    return found or {(): 0.0}


def _outcomes(observable: Any, wire_map: Mapping[Any, int]) -> Iterator[Terms]:
    """The projectors on an observable's eigenvectors, in the order in which PennyLane gives their probabilities."""
    labels = list(observable.wires)
    if len(labels) > MAX_MATRIX_WIRES:
        raise NotCovered(f"oracle does not cover probabilities of {observable.name} on {len(labels)} wires")
    turned = np.eye(2 ** len(labels), dtype=np.complex128)
    for gate in observable.diagonalizing_gates():
        turned = qml.matrix(gate, wire_order=labels) @ turned
    for line in turned:
        yield of_matrix(np.outer(line.conj(), line), [wire_map[w] for w in labels])


def _entries(wires: Sequence[int]) -> Iterator[Terms]:
    """Real parts, then imaginary ones, of all entries of the density matrix of some wires."""
    if len(wires) > MAX_ENTRIES:
        raise NotCovered(f"oracle does not cover density matrices of {len(wires)} wires")
    size = 2 ** len(wires)
    for part in (1.0, -1j):
        for row, column in product(range(size), repeat=2):
            # rho[row, column] is the mean of |column><row|
            matrix = np.zeros((size, size), np.complex128)
            matrix[column, row] += part / 2
            matrix[row, column] += np.conj(part) / 2
            yield of_matrix(matrix, wires)


def _real(coefficient: Any) -> float | Traced:
    if isinstance(coefficient, Traced):
        return coefficient
    if np.imag(coefficient) != 0:
        raise NotCovered("oracle does not cover observables with complex coefficients")
    return float(np.real(coefficient))
