"""A layer's circuit and its weights' specifications as JSON, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pennylane as qml

from qparity.circuit.definition import resolve
from qparity.circuit.errors import CircuitError
from qparity.circuit.qnode import path_of
from qparity.circuit.transformed import transforms_of
from qparity.scenario.registry import CIRCUITS


def load_circuit(circuit: str | Callable[..., Any]) -> Callable[..., Any]:
    """The quantum function behind a library name, a `module:function`, or the function itself."""
    if not isinstance(circuit, str):
        return circuit
    path = CIRCUITS.get(circuit, circuit)
    if ":" not in path:
        raise CircuitError(f"circuit = {circuit!r}: expected one of {', '.join(CIRCUITS)}, or package.module:function")
    return resolve(path)


def serialize_circuit(circuit: str | Callable[..., Any]) -> Any:
    """A circuit as JSON: a path, or what Keras makes of a function that is registered with it.

    Raises:
        CircuitError: a QNode with transforms that its module does not have under its name.
    """
    if isinstance(circuit, str):
        return circuit
    if isinstance(circuit, qml.QNode):
        if transforms_of(circuit):
            if path := path_of(circuit):
                return path
            raise CircuitError(f"{circuit.__name__}: a QNode with transforms is saved as module:name, and has none")
        circuit = circuit.func
    return keras.saving.serialize_keras_object(circuit)


def serialize_spec(value: Any) -> Any:
    """A Keras initializer, regularizer or constraint, or a dict of them by weight name, as JSON."""
    if isinstance(value, dict) and "class_name" not in value:
        return {name: serialize_spec(item) for name, item in value.items()}
    plain = value is None or isinstance(value, str | dict | bool | int | float)
    return value if plain else keras.saving.serialize_keras_object(value)


def deserialize_spec(value: Any) -> Any:
    """The inverse of `serialize_spec`."""
    if isinstance(value, dict) and "class_name" not in value:
        return {name: deserialize_spec(item) for name, item in value.items()}
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
