"""A limit to compare with: the least time that the arithmetic and the memory traffic of a training step need.

Roofline model (Williams, Waterman and Patterson 2009) of a state simulator that takes one sample after another through
one gate after another, each in one pass over the state, with nothing else to do: no Python, no optimizer, no
measurement. Whatever it leaves out takes time too, so only a simulator that fuses gates into one pass could be faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qparity.oracle.gates import Operation, operations
from qparity.oracle.maps import PREPARATIONS, is_channel
from qparity.oracle.program import Parameter
from qparity.records import Program
from qparity.records.timing import Rates

INNER_PRODUCT = 8
REVERSE = ("backprop", "adjoint")
# Floating-point operations an amplitude of fixed matrices: signs and permutations are free.
FIXED = {"X": 0, "Y": 0, "Z": 0, "S": 0, "H": 4}
PHASE, ROTATION = 6, 6


@dataclass(frozen=True, slots=True)
class Machine:
    """What the measured cores can do: floating-point operations a second by dtype, and how fast they copy.

    `copy` maps the size of a copied array (bytes) to the bytes read and written a second: those of small arrays stay in
    a cache, of the smallest the call itself takes a good part of the time.
    """

    flops: Mapping[str, float]
    copy: Mapping[int, float]

    @classmethod
    def of(cls, rates: Rates) -> Machine:
        """From what a timing record says. ValueError where it is no machine."""
        flops = {dtype: float(rate) for dtype, rate in rates.flops.items()}
        copy = {int(size): float(rate) for size, rate in rates.copy.items()}
        if not flops or not copy or min(*flops.values(), *copy.values()) <= 0:
            raise ValueError("rates are positive")
        return cls(flops, copy)

    def bandwidth(self, size: float) -> float:
        """Bytes a second while working on `size` bytes, at most: the best of the copies measured that are as large."""
        return max((rate for s, rate in self.copy.items() if s >= size), default=self.copy[max(self.copy)])


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations and bytes moved, both an amplitude."""

    flops: float = 0.0
    passes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.passes + other.passes)

    def __mul__(self, times: float) -> Work:
        return Work(self.flops * times, self.passes * times)


def least_step_s(
    programs: Sequence[Program], batch: int, dtype: str, device: str, method: str, machine: Machine
) -> float | None:
    """Seconds that a training step needs at least.

    Args:
        programs: gate programs of the model's quantum layers (docs/architecture.md, "Gate program").
        batch: samples a step; each is a circuit of its own.
        dtype: declared precision; an amplitude is two numbers of it.
        device: PennyLane's name; `default.mixed` holds a density matrix and applies each gate from both sides.
        method: resolved differentiation method, which decides how often circuits run.
        machine: the measured rates.

    Returns:
        None where a circuit is not known gate by gate.
    """
    total = 0.0
    for program in programs:
        if program.not_covered:
            return None
        mixed = device.startswith("default.mixed")
        amplitudes = 2.0 ** (program.wires * (2 if mixed else 1))
        each = step_work(program, method) * (2 if mixed else 1)
        size = amplitudes * (16 if dtype == "float64" else 8)
        arithmetic = amplitudes * batch * each.flops / machine.flops[dtype]
        traffic = size * batch * each.passes / machine.bandwidth(size)
        total += max(arithmetic, traffic)
    return total


def step_work(program: Program, method: str) -> Work:
    """One circuit's forward pass and gradient, an amplitude of its state.

    Reverse mode (backprop, adjoint) takes the cotangent back through every gate and forms an inner product with the
    state, which is read once more, for each trained angle; the shift methods run the circuit again for each angle.
    """
    gates = [gate_work(gate.name, gate.wires, gate.controls) for gate in program.gates]
    forward = sum(gates, Work())
    trained = sum(_trained(angle) for gate in program.gates for angle in gate.params)
    if method in REVERSE:
        return forward * 2 + Work(INNER_PRODUCT, 1) * trained
    again = {"parameter-shift": 2 * trained, "finite-diff": trained, "hadamard": 2 * trained, "spsa": 2}
    return forward * (1 + again.get(method, 0))


def gate_work(name: str, wires: Sequence[int], controls: int = 0) -> Work:
    """One gate applied in one pass: as its elementary operations or as one dense matrix, whichever is less.

    A pass reads and writes (2) the amplitudes that the gate touches: those whose control wires are 1. A state that is
    prepared is written once; a channel counts as one matrix.
    """
    if name in PREPARATIONS:
        return Work(0, 1)
    dense = 8.0 * 2 ** (len(wires) - controls) - 2
    if name == "QubitUnitary" or is_channel(name):
        return Work(dense * 2.0**-controls, 2 * 2.0**-controls)
    parts = operations(name, wires, 0, controls)
    touched = max((2.0 ** -len(part.controls) for part in parts), default=0.0)
    elementary = sum(_flops(part) * 2.0 ** -len(part.controls) for part in parts)
    return Work(min(elementary, 8.0 * 2 ** len(wires) - 2), 2 * touched)


def _flops(part: Operation) -> int:
    """Operations an amplitude touched: a complex product is 6, the mixing of two amplitudes by real factors too."""
    if part.parameter is None:
        return FIXED.get(part.matrix, PHASE)
    return PHASE if all(letter == "Z" for letter, _ in part.word) else ROTATION


def _trained(angle: Parameter) -> bool:
    return any(kind == "w" for kind, _ in angle.reads)
