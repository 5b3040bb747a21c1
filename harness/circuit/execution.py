"""How a backend runs a quantum function: one QNode, and the cures each backend needs.

Every cure here answers a fault seen on the real libraries; each has a test of its own:

* A function that does not mean by a batch what it means by its samples (`batching`), gradient transforms given batched
  trainable gates (PennyLane issue 4462), `hadamard`, a device that would take a batch apart anyway, PennyLane 0.45 on
  TensorFlow from 8 wires on under backprop: all these run as single circuits, executed together.
* PennyLane hands TensorFlow float64 gradients for float32 weights, unless it simulates in TensorFlow itself: weights
  and inputs are made float64 before such a circuit.
* Lightning returns Python floats, which torch and TensorFlow read as float32 (`device`).
* TensorFlow graphs: batches of unknown size, and what cannot be traced (`tf_graph`).
* On torch PennyLane starts a simulation with a state in main memory, which meets weights on a GPU and fails: what
  it makes is made where the inputs lie.
* PennyLane 0.45 asks `jax.core.is_concrete`, which JAX 0.11 has removed: it is put back.
"""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pennylane as qml
from keras import ops

from harness.circuit.batching import refusal_of_batches, weights_meet_inputs
from harness.circuit.definition import BoundCircuit
from harness.circuit.device import make_device, with_a_free_wire, with_float64_results
from harness.circuit.errors import CircuitError, UnsupportedError, one_line
from harness.circuit.trial import TRANSFORMS, as_list, can_be_tried, simulate, try_gradient, try_one_sample
from harness.scenario.registry import GPU_DEVICES

INTERFACES = {"tensorflow": "tf", "torch": "torch", "jax": "jax", "numpy": "numpy"}
FRAMEWORKS = {interface: backend for backend, interface in INTERFACES.items()}
TF_BATCHED_WIRES = 8


@dataclass(frozen=True)
class Executor:
    """Runs `function` on a device: `(weights, inputs (batch, features)) -> (batch, outputs)`, in backend tensors.

    `dtype` is that of weights, inputs and outputs, `float32` or `float64`; inputs may be whole numbers too.
    `given_device` is used in place of a new device of that name; `qnode_options` are further arguments of the QNode.
    """

    function: BoundCircuit
    interface: str
    device_name: str
    diff_method: str
    diff_options: dict[str, Any]
    shots: int | None
    seed: int | None
    dtype: str
    outputs: int
    max_batch_size: int | None
    device_options: dict[str, Any] = field(default_factory=dict)
    qnode_options: dict[str, Any] = field(default_factory=dict)
    given_device: Any = None

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Measurements (batch, outputs) for inputs (batch, features)."""
        if self.interface == "tf":
            return _in_tensorflow(self._run, self._in_tf_graph)(weights, inputs)
        if self.interface == "torch":
            return self._run_uncompiled(weights, inputs)
        return self._run(weights, inputs)

    def check(self) -> None:
        """Raise CircuitError for what this device and diff method cannot run, UnsupportedError if PennyLane cannot."""
        tape = self.function.tape()
        unknown = set(tape.wires) - set(self.function.labels)
        if unknown:
            raise CircuitError(f"wires = {self.function.wires}: the circuit also uses wires {sorted(unknown, key=str)}")
        try_one_sample(self.function, self.device_name, self.shots)
        if self.interface == "numpy":
            return
        if self.device_name.startswith("lightning") and self.diff_method == "backprop":
            raise UnsupportedError(
                f"{self.device_name} cannot do backprop: use adjoint, parameter-shift or finite-diff"
            )
        try:
            method = self.resolved_diff_method()
        except CircuitError:
            raise
        except Exception as error:
            # PennyLane names a device by its address in memory; the same refusal should read the same.
            said = re.sub(r"<([\w.]+) device [^>]*>", r"\1", " ".join(str(error).split()))
            raise UnsupportedError(said) from error
        if method in TRANSFORMS and can_be_tried(self.function, self.device_name):
            device = self._new_device({"seed": 0})
            try_gradient(self.function, device, method, self._gradient_options, self.shots, self.interface)

    def resolved_diff_method(self) -> str:
        """What PennyLane makes of `diff_method` on this device for this circuit."""
        if self.interface == "numpy":
            return self.diff_method
        if self.diff_method != "best":
            qml.workflow.construct_execution_config(self.qnode)(*self.function.example())
            return self.diff_method
        found = qml.workflow.get_best_diff_method(self.qnode)(*self.function.example())
        return str(getattr(found, "__name__", found)).replace("param_shift", "parameter-shift")

    @functools.cached_property
    def device(self) -> Any:
        """The PennyLane device; `hadamard` gets the auxiliary wire its test circuit needs."""
        device = self.given_device
        if device is None:
            device = self._new_device({} if self.shots is None else {"seed": self.seed})
        elif self.diff_method == "hadamard" and device.wires and self._aux_wire not in device.wires:
            device = with_a_free_wire(device, self._aux_wire)
        return with_float64_results(device) if self.device_name.startswith("lightning") else device

    def _new_device(self, sampler: dict[str, Any]) -> Any:
        extra = [self._aux_wire] if self.diff_method == "hadamard" else []
        return make_device(self.device_name, [*self.function.labels, *extra], self.device_options, sampler)

    @functools.cached_property
    def qnode(self) -> Any:
        """The QNode over `(weights, inputs)`, broadcasting over the batch."""
        if self.interface == "jax":
            _restore_is_concrete()
        qnode = qml.QNode(
            self._function,
            self.device,
            interface=self.interface,
            diff_method=None if self.interface == "numpy" else self.diff_method,
            gradient_kwargs=self._gradient_options,
            **self.qnode_options,
        )
        return qnode if self.shots is None else qml.set_shots(qnode, self.shots)

    @functools.cached_property
    def simulated_on(self) -> str:
        """`cpu`, `gpu`, or `framework`: where its tensors lie.

        Only under backprop is the state of `default.*` a tensor of the framework; for all other methods PennyLane hands
        NumPy numbers to the device, whatever the weights lie on.
        """
        if self.device_name in GPU_DEVICES:
            return "gpu"
        return "framework" if self._simulated_by_framework else "cpu"

    @functools.cached_property
    def expanded(self) -> str | None:
        """Why a batch runs as single circuits, in one line; None if it is one circuit with batches of angles.

        Gradient transforms run single circuits as well where the inputs themselves are differentiated.
        """
        if self.interface == "numpy":
            return "the NumPy backend runs sample by sample"
        if not self.device_name.startswith("default."):
            return f"{self.device_name} would take a batch apart"
        if self._method in ("adjoint", "hadamard"):
            return f"{self._method} takes no batches"
        if self._method in TRANSFORMS and weights_meet_inputs(self.function):
            return f"{self._method} takes no batches where a gate depends on weights and inputs both"
        if self.interface == "tf" and self.function.wires >= TF_BATCHED_WIRES and self._simulated_by_framework:
            return f"PennyLane on TensorFlow takes no batches from {TF_BATCHED_WIRES} wires on"
        simulator = functools.partial(simulate, self.function, self.device_name, self.shots)
        return refusal_of_batches(self.function, simulator if can_be_tried(self.function, self.device_name) else None)

    @functools.cached_property
    def traceable(self) -> bool:
        """Whether TensorFlow can trace the simulation itself; XLA needs that."""
        if self.interface != "tf" or self.device_name != "default.qubit" or self._method != "backprop":
            return False
        from harness.circuit.tf_graph import can_be_traced

        return can_be_traced(self.function, self.device_name)

    # Running

    def _function(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        """The quantum function; it has run on NumPy arrays, so what fails here fails for the tensors it is given."""
        try:
            return self.function.function(weights, inputs)
        except CircuitError:
            raise
        except Exception as error:
            said = one_line(error)[:300]
            raise UnsupportedError(
                f"the quantum function runs on NumPy arrays and fails on tensors of {FRAMEWORKS[self.interface]} "
                f"({said}): use qml.math in place of numpy, and no Python branches or integers of values"
            ) from error

    def _run(self, weights: dict[str, Any], inputs: Any) -> Any:
        if self.interface == "tf" and not self._simulated_by_framework:
            weights = {name: ops.cast(weight, "float64") for name, weight in weights.items()}
            inputs = inputs if _whole(inputs) else ops.cast(inputs, "float64")
        if self.interface == "numpy":
            run = self._run_one_by_one
        else:
            run = self._run_expanded if self._must_expand(inputs) else self.qnode
        on_gpu = self.interface == "torch" and inputs.device.type != "cpu"
        with inputs.device if on_gpu else contextlib.nullcontext():
            return self._stack(run(weights, inputs), inputs.shape[0])

    def _run_expanded(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        """One circuit a sample, all executed together, built from the quantum function itself.

        `qml.transforms.broadcast_expand` splits gates instead, which goes wrong for templates such as IQPEmbedding.
        """
        tapes = [self._tape(weights, inputs[row]) for row in range(inputs.shape[0])]
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

    def _tape(self, weights: dict[str, Any], inputs: Any) -> qml.tape.QuantumScript:
        with qml.queuing.AnnotatedQueue() as queue:
            self._function(weights, inputs)
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
        from harness.circuit.tf_graph import padded

        if not self.traceable:
            return self._python_function(list(weights.values()), inputs)
        return padded(functools.partial(self._run, weights), inputs, self.max_batch_size, self.outputs, self.dtype)

    @functools.cached_property
    def _python_function(self) -> Any:
        from harness.circuit.tf_graph import PythonFunction

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

    def _must_expand(self, inputs: Any) -> bool:
        if self.expanded is not None:
            return True
        return self._method in TRANSFORMS and bool(qml.math.requires_grad(inputs))

    # What is known of the circuit

    @functools.cached_property
    def _method(self) -> str:
        return self.resolved_diff_method()

    @functools.cached_property
    def _simulated_by_framework(self) -> bool:
        return self.device_name.startswith("default.") and self._method == "backprop"

    @functools.cached_property
    def _complex(self) -> list[bool]:
        return [measurement.numeric_type is complex for measurement in self.function.tape().measurements]

    @property
    def _gradient_options(self) -> dict[str, Any]:
        return {**self.diff_options, **({"aux_wire": self._aux_wire} if self.diff_method == "hadamard" else {})}

    @functools.cached_property
    def _aux_wire(self) -> Any:
        """A wire of the device that the circuit leaves alone, else a new one."""
        if "aux_wire" in self.diff_options:
            return self.diff_options["aux_wire"]
        used = self.function.tape().wires
        there = [] if self.given_device is None else self.given_device.wires or []
        free = [wire for wire in there if wire not in used]
        return free[0] if free else next(k for k in range(self.function.wires, 1000) if k not in self.function.labels)


def _whole(array: Any) -> bool:
    """Whether an array holds whole numbers or bits."""
    return "float" not in qml.math.get_dtype_name(array)


def _in_tensorflow(eagerly: Any, in_a_graph: Any) -> Any:
    """What runs now, kept from AutoGraph, which would rewrite all of PennyLane, and slowly."""
    import tensorflow as tf

    return eagerly if tf.executing_eagerly() else tf.autograph.experimental.do_not_convert(in_a_graph)


def _restore_is_concrete() -> None:
    """`jax.core.is_concrete` as it was: whether a value can be looked at while tracing."""
    import jax

    if jax.__version_info__ >= (0, 10):  # deprecated there, gone in 0.11
        tracer = jax.core.Tracer
        jax.core.is_concrete = lambda x: not isinstance(x, tracer) or x.to_concrete_value() is not None
