"""Whether a quantum function computes with a framework's tensors, or with NumPy, where gradients are lost.

`np.sin(weights[0])` is silently a number on TensorFlow, so is `float(weights[0])` on torch; elsewhere both fail. So the
function is asked once with the framework's tensors for its gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pennylane as qml

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.errors import CircuitError, UnsupportedError, fails_in_pennylane, one_line
from qparity.circuit.parameters import same


class ComputesWithNumpy(UnsupportedError):
    """A quantum function that fails on a framework's tensors, or loses the gradients of its weights."""


CURE = "use qml.math in place of numpy, and no Python numbers, integers or branches made of values"


def refusal(framework: str, error: Exception) -> CircuitError:
    """The error to raise for a function that runs on NumPy arrays but failed with `error` on a framework's tensors."""
    if isinstance(error, CircuitError):
        return error
    if fails_in_pennylane(error):
        return UnsupportedError(f"PennyLane fails at it on tensors of {framework} ({one_line(error)[:300]})")
    return ComputesWithNumpy(f"the quantum function fails on tensors of {framework} ({one_line(error)[:300]}): {CURE}")


def lost_gradients(bound: BoundCircuit, framework: str) -> bool:
    """Whether an angle that depends on the features is no tensor: a layer before it could not be trained.

    False for a framework that nothing is known of (`TRACERS`).

    Raises:
        UnsupportedError: an angle that depends on weights is no tensor, or the function fails on tensors.
    """
    if framework not in TRACERS:
        return False
    try:
        parameters = TRACERS[framework](bound)
    except Exception as error:
        raise refusal(framework, error) from error
    (weights, inputs), (other_weights, other_inputs) = bound.example(), bound.example(1)
    here, by_weights, by_inputs = (
        bound.tape(*point).get_parameters(trainable_only=False)
        for point in ((weights, inputs), (other_weights, inputs), (weights, other_inputs))
    )
    if not len(here) == len(by_weights) == len(by_inputs) == len(parameters):
        return False
    numbers = [number for number, each in enumerate(parameters) if qml.math.get_interface(each) != framework]
    if any(not same(here[number], by_weights[number]) for number in numbers):
        said = f"the quantum function makes numbers of {framework}'s tensors, so that a weight would have no gradient"
        raise ComputesWithNumpy(f"{said}: {CURE}")
    return any(not same(here[number], by_inputs[number]) for number in numbers)


def _on_tensorflow(bound: BoundCircuit) -> list[Any]:
    import tensorflow as tf

    with tf.init_scope():
        weights, inputs = tf.nest.map_structure(tf.constant, bound.example())
        return bound.tape(weights, inputs).get_parameters(trainable_only=False)


def _on_torch(bound: BoundCircuit) -> list[Any]:
    import torch

    weights, inputs = bound.example()
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    return bound.tape(tensors, torch.tensor(inputs)).get_parameters(trainable_only=False)


def _on_jax(bound: BoundCircuit) -> list[Any]:
    import jax

    weights, inputs = bound.example()
    found: list[Any] = []

    def trace(weights: dict[str, Any]) -> float:
        found.extend(bound.tape(weights, given).get_parameters(trainable_only=False))
        return 0.0

    with jax.ensure_compile_time_eval():
        given = jax.numpy.asarray(inputs)
        jax.vjp(trace, weights)
    return found


TRACERS: dict[str, Callable[[BoundCircuit], list[Any]]] = {
    "tensorflow": _on_tensorflow,
    "torch": _on_torch,
    "jax": _on_jax,
}
"""Keras' name of a backend -> the parameters of the function's gates when it is given that framework's tensors."""
