"""The circuits of a block's bare cells simulated side by side: variants of one scenario differ in their numbers alone.

The rows of all cells are rows of one simulation, each with the weights of its own cell and step. The oracle does
nothing across rows, so every bit is that of the cell simulated alone; what is saved are calls on small arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qparity import oracle
from qparity.oracle.gates import Operation
from qparity.oracle.losses import Loss
from qparity.parity.boundary import Boundary, Simulated, bare
from qparity.parity.loss import loss_of
from qparity.parity.types import Observation

ALONE_ABOVE_WIRES = 8
"""Where not every step may be judged."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bare cell of which every step is simulated: the reference of its loss, its circuit, what the oracle gives."""

    loss: Loss
    boundary: Boundary
    simulated: Simulated


@dataclass(frozen=True, slots=True)
class _Asked:
    cell: str
    loss: Loss
    boundary: Boundary
    weights: list[np.ndarray]
    kind: type

    @property
    def program(self) -> oracle.GateProgram:
        return self.boundary.program

    def fits(self, other: _Asked) -> bool:
        """Whether both can be rows of one simulation."""
        mine, its = ([*each.weights, each.boundary.inputs] for each in (self, other))
        alike = all(a.dtype == b.dtype and a.shape[1:] == b.shape[1:] for a, b in zip(mine, its, strict=True))
        same = self.program is other.program or self.program == other.program
        return alike and same and self.kind == other.kind


def simulated_together(block: Sequence[Observation]) -> dict[str, Prepared]:
    """By cell; those that have to be simulated alone, or cannot be, are left out."""
    groups: list[list[_Asked]] = []
    for asked in filter(None, map(_asked, block)):
        for group in groups:
            if len(group[0].weights) == len(asked.weights) and group[0].fits(asked):
                group.append(asked)
                break
        else:
            groups.append([asked])
    found: dict[str, Prepared] = {}
    for group in groups:
        rows = sum(len(each.boundary.inputs) for each in group)
        if len(group) > 1 and rows <= oracle.chunk_rows(group[0].program):
            found |= _together(group)
    return found


def _asked(o: Observation) -> _Asked | None:
    """What is to be simulated of a cell; None where it is more, or less, than all steps of a bare circuit of gates."""
    if o.whole_model or "layer_outputs/0" in o.recorded or o.scenario.shots:
        return None
    offsets = np.asarray(o.recorded.offsets)
    try:
        loss = loss_of(o, offsets)
    except oracle.NotCovered:
        return None
    boundary = bare(o, loss)
    if isinstance(boundary, oracle.NotCovered) or boundary.program.axes > ALONE_ABOVE_WIRES:
        return None
    program = boundary.program
    if not all(isinstance(operation, Operation) for operation in program.operations):
        return None
    weights = [np.asarray(o.recorded[name]) for name in boundary.arrays]
    steps, rows = len(offsets) - 1, int(offsets[-1])
    whole = all(len(w) == steps for w in weights) and len(boundary.inputs) == len(boundary.outputs) == rows
    if not whole or rows < 2 or boundary.outputs.shape[1] != program.outputs:  # a single row is summed in another order
        return None
    return _Asked(o.cell, loss, boundary, weights, oracle.reference_dtype(o.dtype)[0])


def _together(group: Sequence[_Asked]) -> dict[str, Prepared]:
    first = group[0]
    real: np.dtype = np.empty(0, first.kind).real.dtype
    weights = [np.concatenate(each) for each in zip(*(asked.weights for asked in group), strict=True)]
    inputs = _stacked(asked.boundary.inputs for asked in group)
    cotangents = _stacked(asked.boundary.cotangents.astype(real) for asked in group)
    counts = [np.diff(asked.boundary.offsets) for asked in group]
    stops = np.cumsum(np.concatenate([[0], *counts]))
    predictions, by_weight, by_input = oracle.vjp(first.program, weights, inputs, cotangents, stops, first.kind)
    found, step, row = {}, 0, 0
    for asked, count in zip(group, counts, strict=True):
        steps, rows = slice(step, step + len(count)), slice(row, row + len(asked.boundary.inputs))
        parts = Simulated(predictions[rows], [each[steps] for each in by_weight], by_input[rows])
        found[asked.cell] = Prepared(asked.loss, asked.boundary, parts)
        step, row = steps.stop, rows.stop
    return found


def _stacked(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(arrays))
