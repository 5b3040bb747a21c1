"""A PennyLane tape in the oracle's words: its gates, scalar angles, Pauli words, wires counted from 0.

Templates and gates that the oracle's table lacks are taken apart by PennyLane's decompositions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.errors import one_line
from qparity.oracle.gates import operations
from qparity.oracle.program import NotCovered

# No measurement sees these.
INVISIBLE = {"Identity", "GlobalPhase", "Adjoint(GlobalPhase)", "Barrier", "Snapshot", "WireCut"}
# Their decompositions compute angles from a matrix or a state vector, with a rounding error of their own.
NUMERICAL = {
    *("QubitUnitary", "ControlledQubitUnitary", "DiagonalQubitUnitary", "SpecialUnitary", "BlockEncode"),
    *("StatePrep", "AmplitudeEmbedding", "MottonenStatePreparation"),
}
MAX_DEPTH = 50

Structure = list[tuple[str, tuple[int, ...], int]]


def gates(tape: qml.tape.QuantumScript, wire_map: Mapping[Any, int]) -> tuple[Structure, np.ndarray]:
    """The tape's gates as (name, wires, number of angles), and all angles in order, float64 (P,), radians.

    Raises:
        NotCovered: a gate that cannot be decomposed into the oracle's gates, or an angle that is not a real number.
    """
    structure: Structure = []
    angles: list[float] = []
    for operation in tape.operations:
        for gate in expand(operation):
            structure.append((gate.name, tuple(wire_map[wire] for wire in gate.wires), len(gate.data)))
            angles.extend(_angle(gate, angle) for angle in gate.data)
    return structure, np.array(angles, dtype=np.float64)


def measurements(tape: qml.tape.QuantumScript, wire_map: Mapping[Any, int], wires: int) -> list[dict[str, Any]]:
    """The tape's measurements as the gate program writes them.

    Raises:
        NotCovered: anything but expectation values of Pauli sums and probabilities of wires.
    """
    return [_measurement(measurement, wire_map, wires) for measurement in tape.measurements]


def wire_map(tape: qml.tape.QuantumScript, wires: int) -> dict[Any, int]:
    """Wire labels to 0..wires-1: numbers stay what they are, other labels count in order of appearance."""
    labels = list(tape.wires)
    if all(isinstance(label, int | np.integer) and 0 <= label < wires for label in labels):
        return {wire: wire for wire in range(wires)}
    if len(labels) > wires:
        raise NotCovered(f"the circuit uses {len(labels)} wires, {wires} are declared")
    return {label: number for number, label in enumerate(labels)}


def expand(operation: Any, depth: int = 0) -> Iterator[Any]:
    """The operation as gates that the oracle knows."""
    if operation.name in INVISIBLE:
        return
    if _known(operation.name, len(operation.wires)):
        yield operation
        return
    decomposable = getattr(operation, "has_decomposition", False) and operation.name not in NUMERICAL
    if not decomposable or depth > MAX_DEPTH:
        raise NotCovered(f"oracle does not cover {operation.name}")
    try:
        parts = operation.decomposition()
    except Exception as error:
        raise NotCovered(f"oracle does not cover {operation.name} ({one_line(error)})") from error
    for part in parts:
        yield from expand(part, depth + 1)


@functools.cache
def _known(name: str, wires: int) -> bool:
    try:
        operations(name, range(wires), 0)
    except (KeyError, ValueError):
        return False
    return True


def _angle(gate: Any, value: Any) -> float:
    if isinstance(value, float):
        return float(value)
    array = np.asarray(value)
    if array.shape != () or array.dtype.kind not in "iuf":
        raise NotCovered(f"oracle does not cover {gate.name} of a parameter {array.dtype}{list(array.shape)}")
    return float(array)


def _measurement(measurement: Any, wire_map: Mapping[Any, int], wires: int) -> dict[str, Any]:
    kind, observable = type(measurement), measurement.obs
    if kind is qml.measurements.ProbabilityMP and observable is None:
        return {"kind": "probs", "wires": [wire_map[w] for w in measurement.wires] or list(range(wires))}
    if kind is not qml.measurements.ExpectationMP or observable is None:
        of = f" of {observable.name}" if observable is not None else ""
        raise NotCovered(f"oracle does not cover the measurement {kind.__name__.removesuffix('MP')}{of}")
    if observable.pauli_rep is None:
        raise NotCovered(f"oracle does not cover the expectation value of {observable.name}")
    terms = []
    for word, coefficient in observable.pauli_rep.items():
        if np.imag(coefficient) != 0:
            raise NotCovered("oracle does not cover observables with complex coefficients")
        letters = [[letter, wire_map[wire]] for wire, letter in word.items()]
        terms.append([float(np.real(coefficient)), letters])
    return {"kind": "expval", "terms": terms}
