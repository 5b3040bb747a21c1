"""The tapes of a batch's samples, split from the batch's own tape.

A device that takes no batches gets a tape a sample. To call the quantum function for each of them would index its
weights anew each time, in every framework an operation with a gradient of its own: half of what a step of eager
TensorFlow takes, and more of eager JAX. Called once for the batch, what depends on weights alone is made once, and all
samples share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.ops.functions import bind_new_parameters

from qparity.circuit.batching import refusal_of_batches
from qparity.circuit.definition import BoundCircuit

MEASURED_MIDWAY = ("MidMeasure", "MidMeasureMP", "Conditional", "PauliMeasure")
"""Gates that name each other: one that two tapes share would be of both."""
SIZES = (1, 3)


def can_be_split(bound: BoundCircuit) -> bool:
    """Whether a batch's tape, split, gives the tapes of its samples (in NumPy, at generic points)."""
    if refusal_of_batches(bound, None):
        return False
    weights, _ = bound.example()
    rows = bound.samples(max(SIZES))
    try:
        return all(
            qml.equal(one, bound.tape(weights, row), check_interface=False)
            for size in SIZES
            for one, row in zip(split(bound.tape(weights, rows[:size]), size), rows, strict=False)
        )
    except Exception:
        return False


def split(tape: qml.tape.QuantumScript, rows: int) -> list[qml.tape.QuantumScript]:
    """A tape for each of so many samples; gates and measurements without a batch are those of all tapes.

    Raises:
        ValueError: a gate names another, as those of mid-circuit measurements do.
    """
    columns: list[Sequence[Any]] = []
    with qml.QueuingManager.stop_recording():
        for gate in tape.operations:
            if type(gate).__name__ in MEASURED_MIDWAY:
                raise ValueError(f"{gate.name} cannot be shared")
            columns.append([gate] * rows if gate.batch_size is None else _rows_of(gate, rows))
    return [
        qml.tape.QuantumScript([column[row] for column in columns], tape.measurements, shots=tape.shots)
        for row in range(rows)
    ]


def _rows_of(gate: Any, rows: int) -> list[Any]:
    """The gate of each sample."""
    batched = [len(p.shape) > size for p, size in zip(gate.data, gate.ndim_params, strict=True)]
    each = [_unstacked(p) if has_rows else [p] * rows for p, has_rows in zip(gate.data, batched, strict=True)]
    return [bind_new_parameters(gate, parameters) for parameters in zip(*each, strict=True)]


def _unstacked(array: Any) -> Sequence[Any]:
    """The rows of an array of any framework; NumPy has a function for it since 2.1."""
    return list(array) if isinstance(array, np.ndarray) else qml.math.unstack(array)
