"""A quantum function with a QNode's transforms applied to its gates, so that they hold wherever the function runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pennylane as qml

from qparity.circuit.errors import CircuitError


def transformed(function: Callable[..., Any], transforms: Iterable[Any], name: str) -> Callable[..., Any]:
    """The function whose gates and measurements the transforms have rewritten, one after the other.

    Only a transform that makes one circuit of one and leaves its results alone can be kept so; for another one a call
    raises CircuitError, which names it.
    """
    steps = tuple(transforms)
    if not steps:
        return function

    @functools.wraps(function)
    def run(**arguments: Any) -> list[Any]:
        with qml.queuing.AnnotatedQueue() as queue:
            function(**arguments)
        tape = qml.tape.QuantumScript.from_queue(queue)
        with qml.QueuingManager.stop_recording():
            for step in steps:
                tapes, finish = step(tape)
                if len(tapes) != 1 or not _passes_on(finish):
                    raise CircuitError(
                        f"{name}: its transform {step} makes {len(tapes)} circuits of one, or computes with their "
                        "results, which a layer cannot keep: leave it out"
                    )
                (tape,) = tapes
        for operation in tape.operations:
            qml.apply(operation)
        return [qml.apply(measurement) for measurement in tape.measurements]

    return run


def transforms_of(qnode: qml.QNode) -> Sequence[Any]:
    """The transforms of a QNode, in the order in which they are applied."""
    return qnode.compile_pipeline if hasattr(qnode, "compile_pipeline") else qnode.transform_program  # PennyLane 0.44


def _passes_on(finish: Callable[[Any], Any]) -> bool:
    """Whether a transform's postprocessing returns its one result unchanged."""
    result = object()
    try:
        return finish((result,)) is result
    except Exception:
        return False
