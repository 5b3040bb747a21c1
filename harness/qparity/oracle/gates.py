"""The table of gates: each is a product of elementary operations, of which there are two.

A *rotation* is `exp(-i scale theta P)` with a Pauli word P, on the subspace where all control wires are 1;
the empty word is a phase. Its derivative is `-i scale P` times itself on that subspace, so one line of
adjoint differentiation serves every gate. A *fixed* operation is a 2x2 matrix on one wire, again with
controls.

Conventions (signs, order of angles) are PennyLane's. Scales are powers of two: exact in every dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

Word = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An elementary operation: a rotation if `parameter` is a number, else the fixed matrix of that name."""

    word: tuple[tuple[str, int], ...] = ()
    controls: tuple[int, ...] = ()
    parameter: int | None = None
    scale: float = 0.5
    matrix: str = ""
    wire: int = -1

    @property
    def axes(self) -> tuple[int, ...]:
        """The wires that it acts on."""
        return tuple(w for _, w in self.word) + self.controls + ((self.wire,) if self.matrix else ())

    def conjugate(self, by: int) -> Operation:
        """Its complex conjugate, on wires so many further on; conj(Y) = -Y."""
        word = tuple((letter, wire + by) for letter, wire in self.word)
        controls = tuple(wire + by for wire in self.controls)
        if self.parameter is not None:
            ys = sum(letter == "Y" for letter, _ in self.word)
            return replace(self, word=word, controls=controls, scale=self.scale if ys % 2 else -self.scale)
        return replace(self, controls=controls, wire=self.wire + by, matrix=CONJUGATES.get(self.matrix, self.matrix))


def operations(name: str, wires: Sequence[int], first_parameter: int, controls: int = 0) -> list[Operation]:
    """A gate as elementary operations in the order of application.

    Args:
        name: PennyLane's name, such as `RX`, `Hadamard`, `Adjoint(S)`.
        wires: the wires it acts on, controls first.
        first_parameter: number of the gate's first parameter in the program.
        controls: the number of controls beside those that the name has, first among the wires.

    Raises:
        KeyError: if the table has no such gate. ValueError: if the number of wires is wrong.
    """
    if controls:
        further = tuple(wires[:controls])
        inner = operations(name, wires[controls:], first_parameter)
        return [replace(o, controls=(*further, *o.controls)) for o in inner]
    if name.startswith("Adjoint(") and name.endswith(")"):
        return [_inverse(o) for o in reversed(operations(name[8:-1], wires, first_parameter))]
    local = _any_width(name, len(wires))
    needed = 1 + max((w for o in local for w in o.axes), default=-1)
    if name not in ANY_WIDTH and needed != len(wires):
        raise ValueError(f"gate program: {name} on {len(wires)} wires, expected {needed}")
    return [_place(o, wires, first_parameter) for o in local]


def matrix(name: str, dtype: type) -> np.ndarray:
    """A fixed 2x2 matrix, complex, correctly rounded to `dtype`."""
    return MATRICES[name].astype(dtype)


def _rotation(letters: str, *wires: int, p: int = 0, scale: float = 0.5, controls: tuple[int, ...] = ()) -> Operation:
    return Operation(tuple(zip(letters, wires, strict=True)), controls, p, scale)


def _phase(*controls: int, p: int = 0) -> Operation:
    """`exp(i theta)` where all controls are 1."""
    return Operation((), controls, p, -1.0)


def _fixed(name: str, wire: int, *controls: int) -> Operation:
    return Operation(matrix=name, wire=wire, controls=controls)


def _swap(a: int, b: int, *controls: int) -> tuple[Operation, ...]:
    return (_fixed("X", b, a), _fixed("X", a, b, *controls), _fixed("X", b, a))


ANY_WIDTH = ("MultiRZ", "GlobalPhase", "Identity", "I")
"""Gates that take any number of wires."""

GATES: dict[str, tuple[Operation, ...]] = {
    "PauliX": (_fixed("X", 0),),
    "PauliY": (_fixed("Y", 0),),
    "PauliZ": (_fixed("Z", 0),),
    "Hadamard": (_fixed("H", 0),),
    "S": (_fixed("S", 0),),
    "T": (_fixed("T", 0),),
    "SX": (_fixed("SX", 0),),
    "CNOT": (_fixed("X", 1, 0),),
    "CY": (_fixed("Y", 1, 0),),
    "CZ": (_fixed("Z", 1, 0),),
    "CH": (_fixed("H", 1, 0),),
    "SWAP": _swap(0, 1),
    "ISWAP": (_fixed("S", 0), _fixed("S", 1), _fixed("Z", 1, 0), *_swap(0, 1)),
    "CSWAP": _swap(1, 2, 0),
    "Toffoli": (_fixed("X", 2, 0, 1),),
    "CCZ": (_fixed("Z", 2, 0, 1),),
    "RX": (_rotation("X", 0),),
    "RY": (_rotation("Y", 0),),
    "RZ": (_rotation("Z", 0),),
    "PhaseShift": (_phase(0),),
    "Rot": (_rotation("Z", 0), _rotation("Y", 0, p=1), _rotation("Z", 0, p=2)),
    "U2": (_phase(0, p=1), _fixed("RY(pi/2)", 0), _phase(0)),
    "U3": (_phase(0, p=2), _rotation("Y", 0), _phase(0, p=1)),
    "CRX": (_rotation("X", 1, controls=(0,)),),
    "CRY": (_rotation("Y", 1, controls=(0,)),),
    "CRZ": (_rotation("Z", 1, controls=(0,)),),
    "CRot": tuple(_rotation(letter, 1, p=p, controls=(0,)) for p, letter in enumerate("ZYZ")),
    "ControlledPhaseShift": (_phase(0, 1),),
    "IsingXX": (_rotation("XX", 0, 1),),
    "IsingYY": (_rotation("YY", 0, 1),),
    "IsingZZ": (_rotation("ZZ", 0, 1),),
    "IsingXY": (_rotation("XX", 0, 1, scale=-0.25), _rotation("YY", 0, 1, scale=-0.25)),
    "SingleExcitation": (_rotation("XY", 0, 1, scale=-0.25), _rotation("YX", 0, 1, scale=0.25)),
}
ALIASES = {
    "X": "PauliX",
    "Y": "PauliY",
    "Z": "PauliZ",
    "H": "Hadamard",
    "U1": "PhaseShift",
    "CPhase": "ControlledPhaseShift",
}

_HALF = np.sqrt(np.longdouble(0.5))
MATRICES: dict[str, np.ndarray] = {
    name: np.array(rows, np.clongdouble)
    for name, rows in {
        "X": [[0, 1], [1, 0]],
        "Y": [[0, -1j], [1j, 0]],
        "Z": [[1, 0], [0, -1]],
        "H": [[_HALF, _HALF], [_HALF, -_HALF]],
        "S": [[1, 0], [0, 1j]],
        "T": [[1, 0], [0, _HALF + 1j * _HALF]],
        "SX": [[0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]],
        "RY(pi/2)": [[_HALF, -_HALF], [_HALF, _HALF]],
    }.items()
}
MATRICES |= {f"{name}+": m.conj().T.copy() for name, m in MATRICES.items()} | {"Y*": -MATRICES["Y"]}
CONJUGATES = {"Y": "Y*", "Y+": "Y*", "S": "S+", "S+": "S", "T": "T+", "T+": "T", "SX": "SX+", "SX+": "SX"}
"""What is not real: the other three are symmetric, so their inverse is their conjugate."""


def apply_word(state: np.ndarray, word: Word) -> np.ndarray:
    """A Pauli word applied to a state, as a new array."""
    flips, phase = pauli(word, state.ndim, state.dtype)
    return (state if flips is None else state[flips]) * phase


def controlled(state: np.ndarray, controls: Sequence[int]) -> np.ndarray:
    """The view of a state where all control wires are 1 (their axes stay, with length 1)."""
    return state[tuple(slice(1, 2) if axis in controls else slice(None) for axis in range(state.ndim))]


@lru_cache(maxsize=128)
def pauli(word: Word, axes: int, dtype: np.dtype) -> tuple[tuple[slice, ...] | None, np.ndarray]:
    """A Pauli word as the flip of some axes (None: diagonal) followed by a broadcastable factor, not to be changed."""
    letters = {wire: letter for letter, wire in word}
    phase: np.ndarray = np.ones((1,) * axes, dtype)
    for wire, letter in letters.items():
        factor = {"X": None, "Y": (-1j, 1j), "Z": (1, -1)}[letter]
        if factor is not None:
            phase = phase * np.array(factor, dtype).reshape([2 if a == wire else 1 for a in range(axes)])
    if not any(letter in "XY" for letter in letters.values()):
        return None, phase
    return tuple(slice(None, None, -1) if letters.get(a, "Z") in "XY" else slice(None) for a in range(axes)), phase


def _any_width(name: str, width: int) -> tuple[Operation, ...]:
    if name == "MultiRZ":
        return (_rotation("Z" * width, *range(width)),)
    if name == "GlobalPhase":
        return (_rotation("", scale=1.0),)
    if name in ANY_WIDTH:
        return ()
    return GATES[ALIASES.get(name, name)]


def _place(o: Operation, wires: Sequence[int], first_parameter: int) -> Operation:
    return Operation(
        tuple((letter, wires[w]) for letter, w in o.word),
        tuple(wires[w] for w in o.controls),
        None if o.parameter is None else o.parameter + first_parameter,
        o.scale,
        o.matrix,
        wires[o.wire] if o.matrix else -1,
    )


def _inverse(o: Operation) -> Operation:
    if o.parameter is not None:
        return replace(o, scale=-o.scale)
    return replace(o, matrix=o.matrix[:-1] if o.matrix.endswith("+") else f"{o.matrix}+")
