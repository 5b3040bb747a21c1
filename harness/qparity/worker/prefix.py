"""A quantum layer alone, perhaps cut after its first gates: what a gate bisect runs (`evaluate`).

The gates are those that the scenario's own function queues in this backend, taken apart as the gate program has them,
so a function that misbehaves on one backend shows at the gate where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import pennylane as qml
from keras import ops

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.expansion import expand, wire_map
from qparity.circuit.layer import QKerasLayer

Words = Sequence[Sequence[tuple[str, int]]]
PAULIS = {"X": qml.X, "Y": qml.Y, "Z": qml.Z}


class Prefix(QKerasLayer):
    """A layer whose output hangs on every weight, by a zero: frameworks have no gradient of what is not used."""

    def call(self, inputs: Any) -> Any:
        """Measurements of every sample."""
        return super().call(inputs) + sum(ops.sum(w) * 0 for w in self.weights)


def prefix_model(layer: QKerasLayer, rows: int, gates: int | None, words: Words | None) -> keras.Model:
    """A model of one quantum layer like `layer`, for batches of `rows`.

    `gates` is how many of its gates are left, None all of them as they are; `words` are the Pauli words measured in
    place of its own measurements, [[letter, wire], ...] each.
    """
    bound = layer.function
    alone = Prefix(
        cut(bound, gates, words),
        wires=layer.wires,
        weight_shapes=bound.weight_shapes,
        features=bound.features,
        device=layer.device_name,
        diff_method=layer.resolved_diff_method(),
        diff_options=layer.diff_options,
        device_options=layer.device_options,
        qnode_options=layer.qnode_options,
        seed=layer.seed,
        max_batch_size=rows,
        dtype=layer.compute_dtype,
        name="prefix",
    )
    return keras.Sequential([keras.Input((bound.features,), dtype=layer.compute_dtype), alone])


def cut(bound: BoundCircuit, gates: int | None, words: Words | None) -> Callable[..., Any]:
    """The quantum function with its first gates only, or other measurements, or both."""

    def function(**arrays: Any) -> list[Any]:
        inputs = arrays.pop("inputs")
        if gates is None and words is None:
            return bound.function(arrays, inputs)
        with qml.queuing.AnnotatedQueue() as queue:
            bound.function(arrays, inputs)
        tape = qml.tape.QuantumScript.from_queue(queue)
        with qml.QueuingManager.stop_recording():
            applied = [one for operation in tape.operations for one in expand(operation)]
        for one in applied[:gates]:
            one.queue()
        if words is None:
            return [qml.apply(measurement) for measurement in tape.measurements]
        labels = {number: label for label, number in wire_map(tape, bound.wires).items()}
        return [qml.expval(qml.prod(*(PAULIS[letter](labels[wire]) for letter, wire in word))) for word in words]

    return function
