"""A PennyLane tape in the oracle's words: its gates, scalar angles, wires counted from 0.

Templates and gates that the oracle's table lacks are taken apart by PennyLane's decompositions, controls are taken off,
constant matrices stay what they are. Measurements are in `observed`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.errors import one_line
from qparity.circuit.parameters import dense
from qparity.circuit.tracing import Traced
from qparity.oracle.maps import LAWS, MIXTURES, is_channel
from qparity.oracle.program import NotCovered

# No measurement but of the state itself sees these.
INVISIBLE = {"Identity", "Barrier", "Snapshot", "WireCut"}
PHASES = {"GlobalPhase", "Adjoint(GlobalPhase)"}
PREPARATIONS = {"StatePrep", "AmplitudeEmbedding"}
# Their decompositions compute angles from a matrix or a state vector, with a rounding error of their own.
MATRICES = {"QubitUnitary", "ControlledQubitUnitary", "DiagonalQubitUnitary", "BlockEncode"}
NUMERICAL = {"SpecialUnitary", "MottonenStatePreparation", "MultiplexerStatePreparation"}
MAX_DEPTH = 50
MAX_MATRIX_WIRES = 5


@dataclass(frozen=True)
class Applied:
    """A gate of the oracle's as an operator of PennyLane's, where all `controls` are 1."""

    operation: Any
    controls: tuple[Any, ...] = ()

    def queue(self) -> None:
        """Apply it in the quantum function that is being recorded."""
        with qml.QueuingManager.stop_recording():
            whole = qml.ctrl(self.operation, self.controls) if self.controls else self.operation
        qml.apply(whole)


@dataclass(frozen=True)
class Part:
    """A gate of the oracle's: controls come first among the wires, which are PennyLane's labels."""

    name: str
    wires: tuple[Any, ...]
    data: tuple[Any, ...] = ()
    controls: int = 0
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Place:
    """What is the same of a gate wherever the function is evaluated: all but its `count` angles."""

    name: str
    wires: tuple[int, ...]
    count: int
    controls: int = 0
    numbers: tuple[float, ...] = ()


Structure = list[Place]
Raw = Mapping[int, Any]
"""Amplitudes before they were normalised, by the `id` of the normalised array."""


def gates(
    tape: qml.tape.QuantumScript, wire_map: Mapping[Any, int], raw: Raw, phases: bool
) -> tuple[Structure, list[float | Traced]]:
    """The tape's gates, and all angles in order, radians.

    `phases` keeps global phases, which are seen where the state itself is measured.

    Raises:
        NotCovered: a gate that cannot be decomposed into the oracle's gates, or an angle that is not a real number.
    """
    structure: Structure = []
    angles: list[float | Traced] = []
    touched: set[int] = set()
    for operation in tape.operations:
        for part in (_part(one, raw) for one in expand(operation, phases)):
            wires = tuple(wire_map[wire] for wire in part.wires)
            if part.name in (*PREPARATIONS, "QubitDensityMatrix") and touched & set(wires):
                raise NotCovered(f"oracle covers {part.name} at the start of a circuit alone")
            touched |= set(wires)
            structure.append(Place(part.name, wires, len(part.data), part.controls, part.numbers))
            angles.extend(_angle(part, angle) for angle in part.data)
    return structure, angles


def wire_map(tape: qml.tape.QuantumScript, wires: int) -> dict[Any, int]:
    """Wire labels to 0..wires-1: numbers stay what they are, other labels count in order of appearance."""
    labels = list(tape.wires)
    if all(isinstance(label, int | np.integer) and 0 <= label < wires for label in labels):
        return {wire: wire for wire in range(wires)}
    if len(labels) > wires:
        raise NotCovered(f"the circuit uses {len(labels)} wires, {wires} are declared")
    return {label: number for number, label in enumerate(labels)}


def is_noisy(tape: qml.tape.QuantumScript) -> bool:
    """Whether the tape has channels or starts in a mixed state."""
    return any(is_channel(operation.name) or operation.name == "PauliError" for operation in tape.operations)


def expand(operation: Any, phases: bool = False, depth: int = 0) -> Iterator[Applied]:
    """The operation as gates that the oracle knows, in PennyLane's operators.

    Raises:
        NotCovered: it cannot be taken apart.
    """
    name = operation.name
    if name in INVISIBLE or (name in PHASES and not phases):
        return
    if name == "Projector":  # what a postselection becomes; the state is divided by its norm after it
        raise NotCovered("oracle does not cover postselection")
    if name in PHASES or _known(name, len(operation.wires)):
        yield Applied(operation)
    elif isinstance(operation, qml.ops.Controlled):
        yield from _controlled(operation, depth)
    elif name in PREPARATIONS or _is_matrix(operation) or is_channel(name) or name == "PauliError":
        yield Applied(operation)
    else:
        yield from _decomposed(operation, phases, depth)


def _decomposed(operation: Any, phases: bool, depth: int) -> Iterator[Applied]:
    if depth > MAX_DEPTH:
        raise NotCovered(f"oracle does not cover {operation.name}")
    if not getattr(operation, "has_decomposition", False) or operation.name in NUMERICAL:
        parts = _rotations(operation)
        if parts is None and operation.has_matrix:
            yield Applied(qml.QubitUnitary(operation.matrix(), wires=operation.wires, unitary_check=False))
            return
        if parts is None:
            raise NotCovered(f"oracle does not cover {operation.name}")
    else:
        try:
            parts = operation.decomposition()
        except Exception as error:
            raise NotCovered(f"oracle does not cover {operation.name} ({one_line(error)})") from error
    for part in parts:
        yield from expand(part, phases, depth + 1)


def _controlled(operation: Any, depth: int) -> Iterator[Applied]:
    """The base's gates with further controls; what is controlled by 0 is flipped before and after."""
    controls = tuple(operation.control_wires)
    flipped = [w for w, value in zip(controls, operation.control_values, strict=True) if not value]
    inner = list(expand(operation.base, True, depth + 1))
    for one in inner:
        if one.operation.name in PREPARATIONS or is_channel(one.operation.name):
            raise NotCovered(f"oracle does not cover {operation.name}")
    yield from (Applied(qml.X(w)) for w in flipped)
    yield from (replace(one, controls=(*controls, *one.controls)) for one in inner)
    yield from (Applied(qml.X(w)) for w in flipped)


def _part(one: Applied, raw: Raw) -> Part:
    """A gate in the oracle's words."""
    operation, controls = one.operation, len(one.controls)
    name, wires = operation.name, (*one.controls, *operation.wires)
    if name in PHASES:
        return Part(name, one.controls, tuple(operation.data), controls)
    if name in PREPARATIONS:
        return _prepared(operation, raw)
    if _is_matrix(operation):
        return Part("QubitUnitary", wires, (), controls, _numbers(operation, [operation.matrix()]))
    if name == "QubitChannel":
        return Part(name, wires, numbers=_numbers(operation, operation.kraus_matrices()))
    if name == "QubitDensityMatrix":
        return Part(name, wires, numbers=_numbers(operation, [operation.data[0]]))
    if name == "PauliError":
        name = f"PauliError({operation.hyperparameters['operators']})"
    return Part(name, wires, tuple(operation.data), controls)


def _is_matrix(operation: Any) -> bool:
    name = operation.name
    return name in MATRICES or (name.startswith("Adjoint(") and operation.base.name in MATRICES)


def _prepared(operation: Any, raw: Raw) -> Part:
    """A prepared state: its amplitudes as they are, or what they were before they were divided by their norm."""
    amplitudes = raw.get(id(operation.data[0]))
    normalised = amplitudes is not None
    amplitudes = dense(operation.data[0] if amplitudes is None else amplitudes).reshape(-1)
    if len(amplitudes) != 2 ** len(operation.wires):
        raise NotCovered(f"oracle does not cover {operation.name} of a batch")
    parts = [amplitudes.real, amplitudes.imag] if np.iscomplexobj(amplitudes) else [amplitudes]
    name = "AmplitudeEmbedding" if normalised else "StatePrep"
    return Part(name, tuple(operation.wires), tuple(a for part in parts for a in part))


def _rotations(operation: Any) -> list[Any] | None:
    """A gate `exp(i x G)` as Pauli rotations, where the words of its generator G commute."""
    if len(operation.data) != 1 or not getattr(operation, "has_generator", False):
        return None
    try:
        generator = qml.generator(operation, format="observable")
        sentence = generator.pauli_rep or qml.pauli_decompose(
            qml.matrix(generator, wire_order=operation.wires), wire_order=operation.wires, pauli=True
        )
        words = [(word, float(np.real(c))) for word, c in sentence.items()]
    except Exception:
        return None
    if not all(one.commutes_with(other) for (one, _), (other, _) in combinations(words, 2)):
        return None
    return [_rotation(operation.data[0], word, c) for word, c in words]


def _rotation(angle: Any, word: Any, coefficient: float) -> Any:
    if not word:
        return qml.GlobalPhase(-coefficient * angle)
    return qml.PauliRot(-2 * coefficient * angle, "".join(word.values()), wires=list(word))


def _numbers(operation: Any, matrices: Sequence[Any]) -> tuple[float, ...]:
    """The entries of matrices, real and imaginary parts in turn."""
    if len(operation.wires) > MAX_MATRIX_WIRES:
        raise NotCovered(f"oracle covers matrices of {MAX_MATRIX_WIRES} wires at the most ({operation.name})")
    entries = np.concatenate([np.asarray(dense(m), np.complex128).reshape(-1) for m in matrices])
    return tuple(np.stack([entries.real, entries.imag], axis=1).reshape(-1).tolist())


@functools.cache
def _known(name: str, wires: int) -> bool:
    from qparity.oracle.gates import operations

    if name in LAWS or name in MIXTURES:
        return True
    try:
        operations(name, range(wires), 0)
    except (KeyError, ValueError):
        return False
    return True


def _angle(part: Part, value: Any) -> float | Traced:
    if isinstance(value, float):
        return float(value)
    array = np.asarray(value)
    if array.shape == () and isinstance(number := array.item(), Traced):
        return number
    if array.shape != () or array.dtype.kind not in "iuf":
        raise NotCovered(f"oracle does not cover {part.name} of a parameter {array.dtype}{list(array.shape)}")
    return float(array)
