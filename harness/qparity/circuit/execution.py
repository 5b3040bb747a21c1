"""How a backend runs a quantum function: one QNode, and the cures each backend needs.

Every cure here answers a fault seen on the real libraries; each has a test of its own:

* A function that does not mean by a batch what it means by its samples (`batching`), gradient transforms given batched
  trainable gates (PennyLane issue 4462), `hadamard`, a device that would take a batch apart anyway, PennyLane 0.45 on
  TensorFlow from 8 wires on under backprop: all these run as single circuits, executed together.
* PennyLane hands back float64 results or gradients for float32 weights, unless it simulates in the framework itself;
  TensorFlow, and JAX where float64 is switched on, refuse them: weights and inputs are made float64 before.
* Lightning returns Python floats, which torch and TensorFlow read as float32 (`device`).
* TensorFlow graphs: batches of unknown size, and what cannot be traced (`tf_graph`).
* On torch PennyLane starts a simulation with a state in main memory, which meets weights on a GPU and fails: what
  it makes is made where the inputs lie.
* PennyLane 0.45 asks `jax.core` for `is_concrete` and `concrete_or_error`, which JAX 0.11 has removed: put back.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
from keras import ops

from qparity.circuit.batching import refusal_of_batches, weights_meet_inputs
from qparity.circuit.errors import UnsupportedError
from qparity.circuit.measured import as_list
from qparity.circuit.on_device import INTERFACES as INTERFACES
from qparity.circuit.on_device import OnDevice
from qparity.circuit.splitting import can_be_split, split
from qparity.circuit.trial import TRANSFORMS, can_be_tried, simulate
from qparity.scenario.backends import BACKENDS

TF_BATCHED_WIRES = BACKENDS["tensorflow"].batched_wires or 0


@dataclass(frozen=True)
class Executor(OnDevice):
    """Runs a circuit on a device: `(weights, inputs (batch, features)) -> (batch, outputs)`, in backend tensors."""

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Measurements (batch, outputs) for inputs (batch, features)."""
        if self.loses_inputs and qml.math.requires_grad(inputs):
            raise UnsupportedError(
                "the quantum function makes numbers of its features, so that no layer before it could be trained: "
                "use qml.math in place of numpy"
            )
        if self.interface == "tf":
            return _in_tensorflow(self._run, self._in_tf_graph)(weights, inputs)
        if self.interface == "torch":
            return self._run_uncompiled(weights, inputs)
        return self._run(weights, inputs)

    @functools.cached_property
    def expanded(self) -> str | None:
        """Why a batch runs as single circuits, in one line; None if it is one circuit with batches of angles.

        Gradient transforms run single circuits as well where the inputs themselves are differentiated.
        """
        if self.interface == "numpy":
            return "the NumPy backend runs sample by sample"
        if not self.device_name.startswith("default."):
            return f"{self.device_name} would take a batch apart"
        if self.method in ("adjoint", "hadamard"):
            return f"{self.method} takes no batches"
        if self.method in TRANSFORMS and weights_meet_inputs(self.function):
            return f"{self.method} takes no batches where a gate depends on weights and inputs both"
        if self.interface == "tf" and self.function.wires >= TF_BATCHED_WIRES and self.simulated_by_framework:
            return f"PennyLane on TensorFlow takes no batches from {TF_BATCHED_WIRES} wires on"
        simulator = functools.partial(simulate, self.function, self.device_name, self.shots)
        return refusal_of_batches(self.function, simulator if can_be_tried(self.function, self.device_name) else None)

    @functools.cached_property
    def traceable(self) -> bool:
        """Whether TensorFlow can trace the simulation itself; XLA needs that."""
        if self.interface != "tf" or self.device_name != "default.qubit" or self.method != "backprop":
            return False
        from qparity.circuit.tf_graph import can_be_traced

        return can_be_traced(self.function, self.device_name)

    def _run(self, weights: dict[str, Any], inputs: Any) -> Any:
        if not self.simulated_by_framework and self._gets_float64_back():
            weights = {name: ops.cast(weight, "float64") for name, weight in weights.items()}
            inputs = inputs if _whole(inputs) else ops.cast(inputs, "float64")
        on_gpu = self.interface == "torch" and inputs.device.type != "cpu"
        with inputs.device if on_gpu else contextlib.nullcontext():
            if not self._must_expand(inputs):
                return self._stack(self.qnode(weights, inputs), inputs.shape[0])
            if self.simulated_by_framework and qml.math.is_abstract(inputs):
                return self._run_mapped(weights, inputs)
            run = self._run_one_by_one if self.interface == "numpy" else self._run_expanded
            return self._stack(run(weights, inputs), inputs.shape[0])

    def _run_mapped(self, weights: dict[str, Any], inputs: Any) -> Any:
        """One circuit mapped over the samples, for tracing: else each sample's circuit would be compiled by itself."""

        def one(row: Any) -> Any:
            return self._stack(self.qnode(weights, row), 1)[0]

        if self.interface == "jax":
            import jax

            return jax.vmap(one)(inputs)
        import tensorflow as tf

        return tf.map_fn(one, inputs, fn_output_signature=self.dtype)

    def _run_expanded(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        """One circuit a sample, all executed together, built from the quantum function itself.

        `qml.transforms.broadcast_expand` splits gates instead, which goes wrong for templates such as IQPEmbedding.
        """
        tapes = self._tapes(weights, inputs)
        # kept here, since a QNode gives its results its function's form, which one sample's could be taken for
        rows: list[list[Any]] = []

        @qml.transform
        def samples(tape: Any) -> Any:
            def keep(results: Any) -> Any:
                rows.extend(as_list(result) for result in results)
                return results[0]

            return [each.copy(shots=tape.shots) for each in tapes], keep

        samples(self.qnode)(weights, inputs[0])
        return [ops.stack(column) for column in zip(*rows, strict=True)]

    def _run_one_by_one(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        rows = [as_list(self.qnode(weights, row)) for row in inputs]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def _tapes(self, weights: dict[str, Any], inputs: Any) -> list[qml.tape.QuantumScript]:
        if self._can_be_split:
            return split(self._tape(weights, inputs), inputs.shape[0])
        return [self._tape(weights, inputs[row]) for row in range(inputs.shape[0])]

    @functools.cached_property
    def _can_be_split(self) -> bool:
        return can_be_split(self.function)

    def _tape(self, weights: dict[str, Any], inputs: Any) -> qml.tape.QuantumScript:
        with qml.queuing.AnnotatedQueue() as queue:
            self.run_function(weights, inputs)
        return qml.tape.QuantumScript.from_queue(queue)

    @functools.cached_property
    def _run_uncompiled(self) -> Any:
        """`_run` kept out of `torch.compile`: Dynamo cannot trace PennyLane, nor what it runs in the backward pass."""
        import torch
        from torch._dynamo import trace_rules

        for package in ("pennylane", "pennylane_lightning", "autoray"):
            trace_rules.add(package)
        return torch.compiler.disable(self._run)

    def _in_tf_graph(self, weights: dict[str, Any], inputs: Any) -> Any:
        from qparity.circuit.tf_graph import padded

        if not self.traceable:
            return self._python_function(list(weights.values()), inputs)
        return padded(functools.partial(self._run, weights), inputs, self.max_batch_size, self.outputs, self.dtype)

    @functools.cached_property
    def _python_function(self) -> Any:
        from qparity.circuit.tf_graph import PythonFunction

        names = list(self.function.weight_shapes)
        return PythonFunction(
            lambda weights, inputs: self._run(dict(zip(names, weights, strict=True)), inputs), self.dtype, self.outputs
        )

    def _stack(self, results: Any, batch: int) -> Any:
        """Results, each (batch, ...) or unbatched if no gate saw the inputs, as (batch, outputs).

        Of a complex measurement come the real parts, then the imaginary ones.
        """
        columns = []
        for result, is_complex in zip(as_list(results), self._complex, strict=True):
            columns += [ops.real(result), ops.imag(result)] if is_complex else [result]
        columns = [ops.cast(column, self.dtype) for column in columns]
        # a batch of two and the two probabilities of one wire look alike: only the whole tells them apart
        rows = 1 if sum(int(np.prod(column.shape)) for column in columns) == self.outputs else batch
        columns = [ops.reshape(column, (rows, -1)) for column in columns]
        stacked = columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=-1)
        return stacked if rows == batch else ops.broadcast_to(stacked, (batch, self.outputs))

    def _gets_float64_back(self) -> bool:
        """Whether PennyLane hands back float64 for float32, which the framework would not take."""
        if self.interface == "jax":
            import jax

            return bool(jax.config.jax_enable_x64)
        return self.interface == "tf"

    def _must_expand(self, inputs: Any) -> bool:
        if self.expanded is not None:
            return True
        return self.method in TRANSFORMS and bool(qml.math.requires_grad(inputs))

    @functools.cached_property
    def _complex(self) -> list[bool]:
        return [measurement.numeric_type is complex for measurement in self.function.tape().measurements]


def _whole(array: Any) -> bool:
    """Whether an array holds whole numbers or bits."""
    return "float" not in qml.math.get_dtype_name(array)


def _in_tensorflow(eagerly: Any, in_a_graph: Any) -> Any:
    """The function for eager or graph mode, kept from AutoGraph, which would rewrite all of PennyLane, slowly."""
    import tensorflow as tf

    return eagerly if tf.executing_eagerly() else tf.autograph.experimental.do_not_convert(in_a_graph)
