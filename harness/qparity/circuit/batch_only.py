"""A quantum function that takes batches alone: `inputs[:, 0]`, which PennyLane runs by broadcasting.

Elsewhere a function is asked for one sample at a time (for its gate program, or where a batch cannot run as one
circuit), so such a one is given a batch of one, and its gates are taken out of that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit import points
from qparity.circuit.measured import as_list

TRIED_WIRES = 16
"""On more, whether the sample is right would take long to ask: such a function is left as it is."""
CLOSE = 1e-9
Function = Callable[[dict[str, Any], Any], list[Any]]


def taking_samples(function: Function, shapes: dict[str, tuple[int, ...]], features: int, wires: int) -> Function:
    """The function itself if it takes a sample (features,), or takes neither; else one that does."""
    weights = points.weights(shapes)
    rows = [points.rows(kind, features, 1) for kind in points.KINDS]
    if any(_tape(function, weights, row[0]) for row in rows):
        return function
    batch = next((row for row in rows if _tape(function, weights, row)), None)
    if batch is None:
        return function

    @functools.wraps(function)
    def run(weights: dict[str, Any], inputs: Any) -> list[Any]:
        if len(inputs.shape) != 1:
            return function(weights, inputs)
        tape = _of_one(function, weights, inputs)
        for operation in tape.operations:
            qml.apply(operation)
        return [qml.apply(measurement) for measurement in tape.measurements]

    return run if wires <= TRIED_WIRES and _same(function, weights, batch) else function


def _tape(function: Function, weights: dict[str, Any], inputs: Any) -> qml.tape.QuantumScript | None:
    try:
        with qml.queuing.AnnotatedQueue() as queue:
            function(weights, inputs)
    except Exception:  # said where the function is needed
        return None
    return qml.tape.QuantumScript.from_queue(queue)


def _of_one(function: Function, weights: dict[str, Any], inputs: Any) -> qml.tape.QuantumScript:
    """The tape of a sample, taken out of that of a batch of one."""
    with qml.queuing.AnnotatedQueue() as queue:
        function(weights, inputs[None])
    with qml.QueuingManager.stop_recording():
        (tape,), _ = qml.transforms.broadcast_expand(qml.tape.QuantumScript.from_queue(queue))
    return tape


def _same(function: Function, weights: dict[str, Any], batch: np.ndarray) -> bool:
    """Whether the sample's tape means what the batch of one means: PennyLane does not split every template rightly."""
    try:
        together, alone = _tape(function, weights, batch), _of_one(function, weights, batch[0])
        device = qml.device("default.qubit", wires=together.wires + alone.wires) if together else None
        results = qml.execute([together, alone], device, diff_method=None)
        one, other = (np.concatenate([np.ravel(np.asarray(r)) for r in as_list(each)]) for each in results)
    except Exception:
        return False
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=CLOSE, atol=CLOSE))
