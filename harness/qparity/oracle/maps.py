"""What acts on a state and is no product of rotations and fixed matrices: dense matrices, prepared states, channels.

Each map has `apply`, in place, and `pull`, in place too: what the adjoint method does with the bra behind it, given the
state before it. It adds to `slopes` the derivatives of `factor / 2 * (<bra|state> + its conjugate)` in its parameters.
A density matrix is a state of twice as many axes, its bra's wires after its ket's (`doubled`), so that a channel is a
linear map like any other. Channels are written as what they do to the density matrix and not by Kraus matrices, whose
roots have no derivative at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from qparity.oracle.gates import Operation, Word, apply_word, controlled, operations

THREE = np.longdouble(3)


class Map(Protocol):
    """A linear map; `theta` is (parameters, rows), `slopes` too."""

    @property
    def axes(self) -> tuple[int, ...]:
        """The wires that it acts on, those of the bra counted on."""

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """Apply it, in place."""

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """Take the bra from behind it to before it, in place, and add the slopes in its parameters."""

    def doubled(self, wires: int) -> Sequence[Map]:
        """What it is of a density matrix."""

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """How much faster than a rotation's angle a parameter moves the state at the most, (rows,), where it does."""


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A constant matrix on some axes, unitary or not, where all controls are 1."""

    axes: tuple[int, ...]
    matrix: np.ndarray
    controls: tuple[int, ...] = ()

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        _multiply(controlled(state, self.controls), self.axes, self.matrix.astype(state.dtype))

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        _multiply(controlled(bra, self.controls), self.axes, self.matrix.conj().T.astype(bra.dtype))

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        return self, replace(
            self, axes=_shifted(self.axes, wires), matrix=self.matrix.conj(), controls=_shifted(self.controls, wires)
        )

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        return {}


@dataclass(frozen=True, slots=True, eq=False)
class Superoperator:
    """A channel of constant Kraus matrices (kraus, 2^k, 2^k) on wires; a map of a density matrix alone."""

    axes: tuple[int, ...]
    kraus: np.ndarray

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        raise TypeError("a channel acts on density matrices")

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        self.apply(bra, theta)

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        size = self.kraus.shape[1] ** 2
        together = np.einsum("kab,kcd->acbd", self.kraus, self.kraus.conj()).reshape(size, size)
        return (Dense((*self.axes, *_shifted(self.axes, wires)), together),)

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        return {}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Amplitudes put in place of |0...0> of some axes: parameters `first`..., real parts and then imaginary ones.

    `normalised` divides them by their norm; `conjugate` is of a density matrix' bra; `constant` amplitudes have no
    parameters.
    """

    axes: tuple[int, ...]
    first: int = 0
    parts: int = 1
    normalised: bool = False
    conjugate: bool = False
    constant: np.ndarray | None = None

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        amplitudes, _ = self._amplitudes(theta, state.dtype)
        view = np.moveaxis(state, self.axes, range(len(self.axes)))
        zero = view[(0,) * len(self.axes)].copy()
        for place, amplitude in zip(np.ndindex(*(2,) * len(self.axes)), amplitudes, strict=True):
            view[place] = amplitude * zero

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        width = len(self.axes)
        amplitudes, norm = self._amplitudes(theta, bra.dtype)
        behind, ahead = (np.moveaxis(each, self.axes, range(width)) for each in (bra, before))
        zero = ahead[(0,) * width]
        pulled = np.zeros_like(behind[(0,) * width])
        along = []
        for place, amplitude in zip(np.ndindex(*(2,) * width), amplitudes, strict=True):
            pulled += np.conj(amplitude) * behind[place]
            along.append((behind[place] * zero.conj()).reshape(-1, bra.shape[-1]).sum(axis=0))
        behind[...] = 0
        behind[(0,) * width] = pulled
        if self.constant is not None:
            return
        slope = np.stack(along)
        if self.normalised:
            radial = (amplitudes.conj() * slope).sum(axis=0).real
            slope = (slope - amplitudes * radial) / norm
        size = len(amplitudes)
        slopes[self.first : self.first + size] += factor * slope.real
        if self.parts == 2:
            slopes[self.first + size : self.first + 2 * size] += (-factor if self.conjugate else factor) * slope.imag

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        constant = None if self.constant is None else self.constant.conj()
        return self, replace(self, axes=_shifted(self.axes, wires), conjugate=True, constant=constant)

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        if self.constant is not None or not self.normalised:
            return {}
        _, norm = self._amplitudes(theta, np.dtype(np.complex128))
        count = self.parts * 2 ** len(self.axes)
        return {self.first + k: np.asarray(2 / norm, np.float64) for k in range(count)}

    def _amplitudes(self, theta: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The amplitudes (2^axes, rows or 1), and the norm of the numbers that they come of, (rows,)."""
        if self.constant is not None:
            return self.constant.astype(dtype)[:, None], np.ones(1)
        size = 2 ** len(self.axes)
        amplitudes = theta[self.first : self.first + size].astype(dtype)
        if self.parts == 2:
            imaginary = theta[self.first + size : self.first + 2 * size]
            amplitudes = amplitudes + (-1j if self.conjugate else 1j) * imaginary.astype(dtype)
        if not self.normalised:
            return amplitudes, np.ones(1)
        norm = np.sqrt((amplitudes.real**2 + amplitudes.imag**2).sum(axis=0))
        return amplitudes / norm, norm


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Pauli words at random, the empty one too: probabilities `constant + slope p` each, p a parameter."""

    words: tuple[tuple[Word, float | np.longdouble, float | np.longdouble], ...]
    parameter: int
    wires: int = 0

    @property
    def axes(self) -> tuple[int, ...]:
        """See `Map`."""
        return tuple(wire for word, *_ in self.words for _, wire in word)

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        p = theta[self.parameter]
        state[...] = sum((self._both(state, w) * (c + s * p) for w, c, s in self.words), np.zeros_like(state))

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        moved = sum((self._both(before, word) * slope for word, _, slope in self.words), np.zeros_like(before))
        slopes[self.parameter] += factor * _overlap(bra, moved)
        self.apply(bra, theta)  # it is its own adjoint

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        return (replace(self, wires=wires),)

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        return {self.parameter: np.full(theta.shape[1], 2.0)}

    def _both(self, state: np.ndarray, word: Word) -> np.ndarray:
        if not word:
            return state
        sign = -1 if sum(letter == "Y" for letter, _ in word) % 2 else 1  # of the bra: conj(Y) = -Y
        on_bra = tuple((letter, wire + self.wires) for letter, wire in word)
        return sign * apply_word(apply_word(state, word), on_bra)


@dataclass(frozen=True, slots=True, eq=False)
class Relaxation:
    """A wire that rises with probability a, falls with b, and keeps c of its coherence: `law` gives them.

    `law` is the channel's name; its numbers are parameters `first`... .
    """

    wire: int
    law: str
    first: int
    wires: int = 0

    @property
    def axes(self) -> tuple[int, ...]:
        """See `Map`."""
        return (self.wire,)

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        (rise, fall, kept), _ = self._numbers(theta)
        view = self._view(state)
        low, high = view[0, 0].copy(), view[1, 1].copy()
        view[0, 0] = (1 - rise) * low + fall * high
        view[1, 1] = rise * low + (1 - fall) * high
        view[0, 1] *= kept
        view[1, 0] *= kept

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        (rise, fall, kept), partial = self._numbers(theta)
        behind, ahead = self._view(bra), self._view(before)
        low, high = behind[0, 0].copy(), behind[1, 1].copy()
        outer = (
            _overlap(high - low, ahead[0, 0]),
            _overlap(low - high, ahead[1, 1]),
            _overlap(behind[0, 1], ahead[0, 1]) + _overlap(behind[1, 0], ahead[1, 0]),
        )
        for k, inner in enumerate(partial):
            slopes[self.first + k] += factor * sum(o * i for o, i in zip(outer, inner, strict=True))
        behind[0, 0] = (1 - rise) * low + rise * high
        behind[1, 1] = fall * low + (1 - fall) * high
        behind[0, 1] *= kept
        behind[1, 0] *= kept

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        return (replace(self, wires=wires),)

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        _, partial = self._numbers(theta)
        return {
            self.first + k: np.asarray(sum(np.abs(each) for each in inner) + np.zeros(theta.shape[1]), np.float64)
            for k, inner in enumerate(partial)
        }

    def _view(self, state: np.ndarray) -> np.ndarray:
        return np.moveaxis(state, (self.wire, self.wire + self.wires), (0, 1))

    def _numbers(self, theta: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Sequence[np.ndarray]]]:
        """(a, b, c), and the derivatives of the three in each parameter."""
        given = theta[self.first : self.first + LAWS[self.law]]
        one = np.ones_like(given[0])
        zero = 0 * one
        if self.law in ("AmplitudeDamping", "PhaseDamping"):
            kept = np.sqrt(1 - given[0])
            falls = self.law == "AmplitudeDamping"
            return (zero, given[0] if falls else zero, kept), [(zero, one if falls else zero, -1 / (2 * kept))]
        if self.law == "GeneralizedAmplitudeDamping":
            gamma, p = given
            kept = np.sqrt(1 - gamma)
            return (p * gamma, (1 - p) * gamma, kept), [(p, 1 - p, -1 / (2 * kept)), (gamma, -gamma, zero)]
        if self.law == "ResetError":
            falls, rises = given
            return (rises, falls, 1 - falls - rises), [(zero, one, -one), (one, zero, -one)]
        excited, t1, t2, time = given
        first, second = np.exp(-time / t1), np.exp(-time / t2)
        by_t1, by_t2 = first * time / t1**2, second * time / t2**2
        reset = 1 - first
        return (excited * reset, (1 - excited) * reset, second), [
            (reset, -reset, zero),
            (-excited * by_t1, -(1 - excited) * by_t1, zero),
            (zero, zero, by_t2),
            (excited * first / t1, (1 - excited) * first / t1, -second / t2),
        ]


LAWS = {"AmplitudeDamping": 1, "PhaseDamping": 1, "GeneralizedAmplitudeDamping": 2, "ResetError": 2} | {
    "ThermalRelaxationError": 4
}
"""Channels that are a relaxation, and how many numbers each takes."""
PROBABILITIES = {"BitFlip": 2, "PhaseFlip": 2, "DepolarizingChannel": 4, "PauliError": 2, "AmplitudeDamping": 2} | {
    "PhaseDamping": 2, "GeneralizedAmplitudeDamping": 8, "ResetError": 5, "ThermalRelaxationError": 6
}  # fmt: skip
"""How many roots of probabilities the Kraus matrices of a channel have."""
MIXTURES = {"BitFlip": "X", "PhaseFlip": "Z", "DepolarizingChannel": "XYZ"}
"""Channels of one wire that apply one of these letters."""


def mixture(name: str, wires: Sequence[int], parameter: int) -> Mixture:
    """`BitFlip`, `PhaseFlip`, `DepolarizingChannel` on a wire, or `PauliError(WORD)` on wires."""
    words: tuple[tuple[Word, float, np.longdouble], ...]
    if name in MIXTURES:
        letters = MIXTURES[name]
        share = 1 / (THREE if len(letters) == 3 else np.longdouble(1))
        words = tuple((((letter, wires[0]),), 0.0, share) for letter in letters)
    else:
        found = tuple((letter, wire) for letter, wire in zip(name[len("PauliError(") : -1], wires, strict=True))
        words = ((tuple(pair for pair in found if pair[0] != "I"), 0.0, np.longdouble(1)),)
    return Mixture((((), 1.0, -1.0), *words), parameter)


def doubled(operation: Operation | Map, wires: int) -> Sequence[Operation | Map]:
    """What an operation on states is of density matrices: itself on the ket, its conjugate on the bra."""
    if not isinstance(operation, Operation):
        return operation.doubled(wires)
    return operation, operation.conjugate(wires)


def _shifted(axes: Sequence[int], by: int) -> tuple[int, ...]:
    return tuple(axis + by for axis in axes)


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The real part of <a|b>, (rows,)."""
    return np.asarray((a.real * b.real + a.imag * b.imag).reshape(-1, a.shape[-1]).sum(axis=0))


def _multiply(view: np.ndarray, axes: Sequence[int], matrix: np.ndarray) -> None:
    """A matrix on some axes of a state, in place."""
    moved = np.moveaxis(view, axes, range(len(axes)))
    places = list(np.ndindex(*(2,) * len(axes)))
    old = [moved[place].copy() for place in places]
    for place, line in zip(places, matrix, strict=True):
        total = np.zeros_like(old[0])
        for number, part in zip(line, old, strict=True):
            if number != 0:
                total += number * part
        moved[place] = total


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """A density matrix put in place of |0...0> of some wires."""

    axes: tuple[int, ...]
    matrix: np.ndarray

    def apply(self, state: np.ndarray, theta: np.ndarray) -> None:
        """See `Map`."""
        raise TypeError("a mixed state is a density matrix")

    def pull(self, bra: np.ndarray, before: np.ndarray, theta: np.ndarray, slopes: np.ndarray, factor: float) -> None:
        """See `Map`."""
        self.apply(bra, theta)

    def doubled(self, wires: int) -> Sequence[Map]:
        """See `Map`."""
        return (Prepared((*self.axes, *_shifted(self.axes, wires)), constant=self.matrix.reshape(-1)),)

    def gains(self, theta: np.ndarray) -> dict[int, np.ndarray]:
        """See `Map`."""
        return {}


PREPARATIONS = ("StatePrep", "AmplitudeEmbedding", "QubitDensityMatrix")
"""Amplitudes as they are, amplitudes to be divided by their norm, a density matrix."""


def is_channel(name: str) -> bool:
    """Whether it makes mixed states of pure ones."""
    return name in (*LAWS, *MIXTURES, "QubitChannel", "QubitDensityMatrix") or name.startswith("PauliError(")


def elementary(
    name: str, wires: Sequence[int], first: int, numbers: Sequence[float], controls: int, parameters: int
) -> tuple[list[Operation | Map], int]:
    """A gate as what is applied, and how many parameters it takes (`parameters` are given, from number `first` on).

    `numbers` are constants, real and imaginary parts in turn: of a matrix, of Kraus matrices, of a density matrix.

    Raises:
        KeyError: there is no such gate. ValueError: wires or numbers do not fit it.
    """
    at = tuple(wires)
    if controls and (is_channel(name) or name in PREPARATIONS):
        raise ValueError(f"gate program: {name} with controls")
    if name == "QubitUnitary":
        targets = at[controls:]
        (matrix,) = _matrices(name, numbers, len(targets), 1)
        return [Dense(targets, matrix, at[:controls])], 0
    if name == "QubitChannel":
        return [Superoperator(at, _matrices(name, numbers, len(at)))], 0
    if name == "QubitDensityMatrix":
        return [Density(at, _matrices(name, numbers, len(at), 1)[0])], 0
    if name in PREPARATIONS:
        parts = 2 if parameters > 2 ** len(at) else 1
        return [Prepared(at, first, parts, name == "AmplitudeEmbedding")], parts * 2 ** len(at)
    if name in LAWS:
        return [Relaxation(_only(name, at), name, first)], LAWS[name]
    if name in MIXTURES or name.startswith("PauliError("):
        letters = name[len("PauliError(") : -1] if name not in MIXTURES else "?"
        if len(letters) != len(at) or (name not in MIXTURES and set(letters) - set("IXYZ")):
            raise ValueError(f"gate program: {name} on {len(at)} wires")
        return [mixture(name, at, first)], 1
    table = operations(name, at, first, controls)
    return list(table), len({o.parameter for o in table if o.parameter is not None})


def _only(name: str, wires: Sequence[int]) -> int:
    if len(wires) != 1:
        raise ValueError(f"gate program: {name} on {len(wires)} wires, expected 1")
    return wires[0]


def _matrices(name: str, numbers: Sequence[float], wires: int, count: int | None = None) -> np.ndarray:
    """Matrices (count, 2^wires, 2^wires) of their numbers, as many as there are where `count` is None."""
    size = 2 ** (2 * wires + 1)
    if not numbers or len(numbers) % size or (count is not None and len(numbers) != count * size):
        expected = f"{count * size}" if count else f"a multiple of {size}"
        raise ValueError(f"gate program: {name} on {wires} wires has {len(numbers)} numbers, expected {expected}")
    parts = np.array(numbers, np.longdouble).reshape(-1, 2)
    return (parts[:, 0] + 1j * parts[:, 1]).astype(np.clongdouble).reshape(-1, 2**wires, 2**wires)
