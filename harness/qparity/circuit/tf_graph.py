"""Circuits inside a TensorFlow graph: a batch of unknown size made static, and what cannot be traced run as Python.

A graph does not know the batch size of a partial batch, and PennyLane then reads the batch axis as a wire (with a
batch of 2 silently wrong). TensorFlow's own `py_function` cannot be differentiated inside a loop, such as that of
`keras.layers.RNN`, where it keeps one tape for all iterations; and whether a tensor is differentiated cannot be asked
inside a function or a loop whose arguments come from outside.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import tensorflow as tf
from tensorflow.python.eager import record

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.device import make_device
from qparity.circuit.errors import UnsupportedError, in_callbacks

CHUNK = 32
KEPT = 64
ONCE = "a circuit that runs as Python inside a TensorFlow graph has a first derivative alone: run eagerly for a second"
# a graph runs independent branches at once, and PennyLane queues gates in one place for all threads
ONE_AT_A_TIME = threading.RLock()

Run = Callable[[list[Any], Any], Any]


def can_be_traced(bound: BoundCircuit, device: str) -> bool:
    """Whether TensorFlow can trace the simulation of one sample: some gates look at values, which a graph has not.

    It is tried on the first gate of each name, which is much less than the whole.
    """

    def trace(weights: dict[str, Any], inputs: Any) -> Any:
        tape = bound.tape(weights, inputs)
        first = {gate.name: gate for gate in reversed(tape.operations)}
        measuring = any(isinstance(gate, qml.ops.MidMeasure) for gate in tape.operations)
        kept = tape.operations if measuring else [gate for gate in tape.operations if gate is first[gate.name]]
        simulator = make_device(device, bound.labels, {}, {"seed": 0})
        (results,) = qml.execute([qml.tape.QuantumScript(kept, tape.measurements)], simulator, "backprop", "tf")
        return tf.nest.flatten(results)

    weights, inputs = bound.example()
    specs = {name: _spec(array) for name, array in weights.items()}, _spec(inputs)
    try:
        with tf.init_scope():
            tf.function(trace, autograph=False).get_concrete_function(*specs)
    except Exception:
        return False
    return True


def _spec(array: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec(array.shape, array.dtype)


def padded(run: Callable[[Any], Any], inputs: Any, most: int | None, outputs: int, dtype: str) -> Any:
    """`run` on a static batch: as it is if its size is known, else filled up to `most` rows, or in chunks.

    What fills it up is its own last row, not zeros: where an encoding is undefined at zero, the gradient of the rows
    that are cut off again would be nan * 0. The rows that fill up get the cotangent 0.

    Args:
        run: inputs (rows, features) of static shape to outputs (rows, outputs).
        inputs: (batch, features).
        most: rows that will come at most; None loops over chunks of 32.
        outputs: values a row.
        dtype: of the outputs.
    """
    if inputs.shape[0] is not None:
        return run(inputs)
    size, count = most or CHUNK, tf.shape(inputs)[0]
    chunks = 1 if most else -(-count // size)
    # negative, and an error, if more rows come than were announced
    last = tf.repeat(tf.stop_gradient(inputs[-1:]), chunks * size - count, axis=0)
    filled = tf.concat([inputs, last], axis=0)
    if most:
        results = run(tf.ensure_shape(filled, (size, inputs.shape[1])))
    else:
        chunked = tf.reshape(filled, (-1, size, inputs.shape[1]))
        results = tf.reshape(tf.map_fn(run, chunked, fn_output_signature=dtype), (-1, outputs))
    return results[:count]


def _alone(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*arguments: Any) -> Any:
        with ONE_AT_A_TIME:
            try:
                return method(*arguments)
            except Exception as error:
                in_callbacks[:] = [error]
                raise

    return run


class PythonFunction:
    """`run(weights, inputs) -> (rows, outputs)` as a differentiable Python function inside a graph, loops included.

    The tape of an execution is kept under a number that the graph carries to the backward pass. A tape that is no
    longer there (many more executions came in between) is recorded again.
    """

    def __init__(self, run: Run, dtype: str, outputs: int) -> None:
        self.run, self.dtype, self.outputs = run, dtype, outputs
        self.tapes: OrderedDict[int, Any] = OrderedDict()
        self.numbers = itertools.count()

    def __call__(self, weights: Sequence[Any], inputs: Any) -> Any:
        """Outputs (rows, outputs) for weights and inputs (rows, features), symbolic tensors."""
        recorded = record.could_possibly_record()
        differentiable = inputs.dtype.is_floating
        fixed = not differentiable or not _may_be_differentiated(inputs)

        @tf.custom_gradient
        def call(*tensors: Any) -> Any:
            forward = (lambda *arrays: self._forward(arrays, fixed)) if recorded else self._forward_only
            outputs, number = tf.numpy_function(forward, tensors, (self.dtype, tf.int64))

            def backward(cotangents: Any) -> Any:
                kinds = [tensor.dtype for tensor in tensors]
                wanted, given = kinds[1:] if fixed else kinds, (number, cotangents, *tensors)
                found = (
                    tf.numpy_function(lambda *arrays: self._backward(arrays, fixed), given, wanted) if wanted else []
                )
                if fixed and differentiable:
                    # stateless, so that it does not run unless something outside of this graph needs it after all
                    first = tf.numpy_function(self._inputs_only, (cotangents, *tensors), kinds[0], stateful=False)
                    found = [first, *found]
                elif fixed:
                    found = [None, *found]
                shaped = [
                    None if g is None else tf.ensure_shape(g, t.shape) for g, t in zip(found, tensors, strict=True)
                ]
                return [None if g is None else _once(g) for g in shaped]

            return outputs, backward

        tensors = [tf.convert_to_tensor(each) for each in (inputs, *weights)]
        return tf.ensure_shape(call(*tensors), (inputs.shape[0], self.outputs))

    @_alone
    def _forward_only(self, inputs: np.ndarray, *weights: np.ndarray) -> tuple[np.ndarray, np.int64]:
        outputs = self.run([tf.constant(weight) for weight in weights], tf.constant(inputs))
        return outputs.numpy(), np.int64(-1)

    @_alone
    def _forward(self, arrays: Sequence[np.ndarray], fixed: bool) -> tuple[np.ndarray, np.int64]:
        number = next(self.numbers)
        self.tapes[number] = recorded = self._record(arrays, fixed)
        while len(self.tapes) > KEPT:
            self.tapes.popitem(last=False)
        return recorded[2].numpy(), np.int64(number)

    @_alone
    def _backward(self, arrays: Sequence[np.ndarray], fixed: bool) -> list[np.ndarray]:
        number, cotangents, *tensors = arrays
        tape, watched, outputs = self.tapes.pop(int(number), None) or self._record(tensors, fixed)
        found = tape.gradient(outputs, watched, output_gradients=tf.constant(cotangents), unconnected_gradients="zero")
        return [gradient.numpy() for gradient in found]

    @_alone
    def _inputs_only(self, cotangents: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        tape, watched, outputs = self._record(arrays, fixed=False)
        return tape.gradient(
            outputs, watched[0], output_gradients=tf.constant(cotangents), unconnected_gradients="zero"
        ).numpy()

    def _record(self, arrays: Sequence[np.ndarray], fixed: bool) -> tuple[Any, list[Any], Any]:
        inputs, *weights = (tf.constant(array) for array in arrays)
        watched = weights if fixed else [inputs, *weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            outputs = self.run(weights, inputs)
        return tape, watched, outputs


@tf.custom_gradient
def _once(gradient: Any) -> Any:
    """The gradient itself, which cannot be differentiated: TensorFlow would take it for a constant, without a word."""

    def again(_: Any) -> Any:
        raise UnsupportedError(ONCE)

    return tf.identity(gradient), again


def _may_be_differentiated(tensor: Any) -> bool:
    """Whether tensors may be differentiated. A tape of this graph tells, except for the arguments of a loop."""
    graph = tf.compat.v1.get_default_graph()
    in_a_loop = type(graph).__name__ in ("WhileBodyFuncGraph", "WhileCondFuncGraph", "CondBranchFuncGraph")
    return in_a_loop or bool(record.should_record_backprop([tensor]))
