"""Whether a quantum function gives for a batch what it gives for the samples one by one.

PennyLane broadcasts: a function that is given inputs (batch, features) may queue gates with a batch of angles, which
run as one circuit. A function written for one sample (`inputs[0]` for feature 0) does not, and is silently wrong
where the batch is as large as a sample. So it is asked, in NumPy at generic points, for a batch and for its samples.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.errors import one_line
from qparity.circuit.parameters import dense

SIZES = (2, 3)  # as many as features, or not: one of them shows it
RUN = (1, 3)
"""Batches that are simulated: the last of a training may be a single sample."""
TOLERANCE = 1e-9
FAR = (-100.0, -1.0, 0.05, 10.0, 1000.0)
"""Times which samples are tried as well: a branch on all features of a batch takes another side than on some sample."""

Simulate = Callable[[qml.tape.QuantumScript], Sequence[Any]]


def refusal_of_batches(bound: BoundCircuit, simulate: Simulate | None) -> str | None:
    """Why the circuit cannot take a batch as it is, in one line; None if a batch is the stack of its samples.

    `simulate` gives a tape's measurements, analytic; without it only gates and measurements are compared, not what
    becomes of them on a device.
    """
    weights, _ = bound.example()
    rows = bound.samples(max(SIZES))
    samples = [bound.tape(weights, row) for row in rows]
    for size in SIZES:
        try:
            batch = bound.tape(weights, rows[:size])
            if differs := _difference(batch, samples[:size]):
                return f"{differs} of a batch is not that of its samples"
        except Exception as error:
            return f"as a batch it fails ({one_line(error)})"
    if differs := _difference_far_off(bound):
        return differs
    if simulate is None:
        return None
    alone = list(map(simulate, samples))
    for size in RUN:
        try:
            results = simulate(bound.tape(weights, rows[:size]))
        except Exception as error:
            return f"as a batch of {size} it fails ({one_line(error)})"
        for result, *singles in zip(results, *alone[:size], strict=True):
            if not _is_stack(np.asarray(result), [np.asarray(single) for single in singles]):
                return f"its results as a batch of {size} are not those of its samples"
    return None


def _difference_far_off(bound: BoundCircuit) -> str | None:
    """The same for real features of either sign and of many sizes, as far as the function takes each alone."""
    if bound.features_are != "reals":
        return None
    weights, sample = bound.example()
    rows, alone = [], []
    with np.errstate(all="ignore"):
        for factor in FAR:
            with contextlib.suppress(Exception):
                alone.append(bound.tape(weights, factor * sample))
                rows.append(factor * sample)
        if len(rows) < 2:
            return None
        try:
            differs = _difference(bound.tape(weights, np.stack(rows)), alone)
        except Exception as error:
            return f"as a batch it fails ({one_line(error)})"
    return differs and f"{differs} of a batch is not that of its samples"


def weights_meet_inputs(bound: BoundCircuit) -> bool:
    """Whether some gate depends on weights and inputs both, in one angle or two (by moving each in turn)."""
    (weights, inputs), (other_weights, other_inputs) = bound.example(), bound.example(1)
    here = bound.tape(weights, inputs)
    by_weights, by_inputs = bound.tape(other_weights, inputs), bound.tape(weights, other_inputs)
    gates = zip(here.operations, by_weights.operations, by_inputs.operations, strict=False)
    return any(_moved(gate, a) and _moved(gate, b) for gate, a, b in gates)


def _moved(gate: Any, other: Any) -> bool:
    one, two = _parameters(gate), _parameters(other)
    return len(one) != len(two) or not all(map(np.array_equal, one, two))


def _difference(batch: qml.tape.QuantumScript, samples: Sequence[qml.tape.QuantumScript]) -> str | None:
    """The first gate or measurement of a batch's tape that is not the stack of those of the samples' tapes."""
    for kind in ("operations", "measurements"):
        columns = [getattr(tape, kind) for tape in (batch, *samples)]
        if len({len(column) for column in columns}) > 1:
            return f"the number of {kind}"
        for number, (together, *alone) in enumerate(zip(*columns, strict=True)):
            if not _same_but_for_parameters(together, alone):
                return f"{kind.removesuffix('s')} {number}, {_name(together)},"
    return None


def _same_but_for_parameters(together: Any, alone: Sequence[Any]) -> bool:
    if any(_name(one) != _name(together) or one.wires != together.wires for one in alone):
        return False
    parameters = [_parameters(each) for each in (together, *alone)]
    if len({len(each) for each in parameters}) > 1:
        return False
    return all(_is_stack(batched, singles) for batched, *singles in zip(*parameters, strict=True))


def _is_stack(batched: np.ndarray, singles: Sequence[np.ndarray]) -> bool:
    """Whether an array is the samples' arrays stacked, or what all samples have in common."""
    if any(single.shape != singles[0].shape for single in singles):
        return False
    if batched.shape == singles[0].shape:
        return all(_close(batched, single) for single in singles)
    return batched.shape == (len(singles), *singles[0].shape) and _close(batched, np.stack(singles))


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))


def _name(item: Any) -> str:
    return str(getattr(item, "name", type(item).__name__))


def _parameters(item: Any) -> list[np.ndarray]:
    """The parameters of a gate, or of the observable of a measurement."""
    source = getattr(item, "obs", None) if isinstance(item, qml.measurements.MeasurementProcess) else item
    return [] if source is None else [dense(each) for each in source.data]
