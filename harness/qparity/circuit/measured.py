"""What a circuit measures: on which wires, and how many real values a sample gives."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit.errors import CircuitError, one_line


def values_of(measurement: Any, wires: int, shots: int | None, complex_outputs: str | None) -> int:
    """Number of real values of a measurement; with `complex_outputs="parts"` a complex value is two.

    Raises:
        CircuitError: it has no fixed size (such as counts), or complex values without `complex_outputs`.
    """
    try:
        size = int(np.prod(measurement.shape(shots=shots, num_device_wires=wires)))
        is_complex = measurement.numeric_type is complex
    except Exception as error:
        raise CircuitError(f"{measurement}: the layer cannot return it ({one_line(error)})") from error
    if is_complex and complex_outputs is None:
        raise CircuitError(
            f"{measurement}: its values are complex, a layer's are real: measure probabilities or expectation values, "
            "or set complex_outputs='parts' for real and imaginary parts"
        )
    return 2 * size if is_complex else size


def as_list(result: Any) -> list[Any]:
    """The measurements of one circuit as a list."""
    return list(result) if isinstance(result, list | tuple) else [result]


def of_declared_wires(measurements: list[Any], wires: Sequence[int]) -> list[Any]:
    """The same measurements; one that names no wires, such as `qml.probs()`, is made on these wires.

    A device would measure all of its own wires, and may have more than the declared ones (`hadamard` adds one).
    """
    if all(map(_says_of_what, measurements)):
        return measurements
    for measurement in measurements:
        qml.QueuingManager.remove(measurement)
    return [qml.apply(m if _says_of_what(m) else _of_wires(m, wires)) for m in measurements]


def _says_of_what(measurement: Any) -> bool:
    """Whether a measurement names wires, an observable or a mid-circuit measurement."""
    return len(measurement.wires) > 0 or measurement.obs is not None or measurement.mv is not None


def _of_wires(measurement: Any, wires: Sequence[int]) -> Any:
    named = copy.copy(measurement)
    named._wires = qml.wires.Wires(wires)
    return named
