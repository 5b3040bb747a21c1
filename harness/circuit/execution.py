"""How a backend runs a quantum function: one QNode, and the cures each backend needs.

Every cure here answers a fault seen on the real libraries; each has a test of its own:

* Lightning returns Python floats, which torch and TensorFlow read as float32: its results are made NumPy float64.
* Gradient transforms refuse batched trainable gates (PennyLane issue 4462), `hadamard` a batch with a zero gradient:
  such a batch is expanded into single circuits, as is any batch on a device that would expand it anyway.
* PennyLane 0.45 on TensorFlow fails from 8 wires on with batched gates under backprop: expanded as well.
* A TensorFlow graph does not know the batch size of a partial batch, and PennyLane then reads the batch axis as a
  wire (with a batch of 2 silently wrong): the batch is padded to a static size.
* What TensorFlow cannot trace at all runs as a Python function inside the graph.
* On torch PennyLane starts a simulation with a state in main memory, which meets weights on a GPU and fails: what
  it makes is made where the inputs lie.
* PennyLane 0.45 asks `jax.core.is_concrete`, which JAX 0.11 has removed: it is put back.
"""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
from keras import ops

from harness.circuit.definition import BoundCircuit, CircuitError
from harness.scenario.registry import DEVICES, GPU_DEVICES

INTERFACES = {"tensorflow": "tf", "torch": "torch", "jax": "jax", "numpy": "numpy"}
TRANSFORMS = ("parameter-shift", "finite-diff", "hadamard", "spsa")
TF_BATCHED_WIRES = 8
CHUNK = 32


class UnsupportedError(CircuitError):
    """A device, method or mode that cannot run this circuit, said in one line before PennyLane says it obscurely."""


@dataclass(frozen=True)
class Executor:
    """Runs `function` on a device: `(weights, inputs (batch, features)) -> (batch, outputs)`, in backend tensors."""

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

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Measurements (batch, outputs) for inputs (batch, features)."""
        if self.interface == "tf" and not _tf_eager():
            return self._in_tf_graph(weights, inputs)
        if self.interface == "torch":
            return self._run_uncompiled(weights, inputs)
        return self._run(weights, inputs)

    def check(self) -> None:
        """Raise CircuitError for what this device and diff method cannot run."""
        tape = self.function.tape()
        unknown = set(tape.wires) - set(range(self.function.wires))
        if unknown:
            raise CircuitError(f"wires = {self.function.wires}: the circuit also uses wires {sorted(unknown, key=str)}")
        if self.device_name.startswith("lightning") and self.diff_method == "backprop":
            raise UnsupportedError(
                f"{self.device_name} cannot do backprop: use adjoint, parameter-shift or finite-diff"
            )
        try:
            self.resolved_diff_method()
        except CircuitError:
            raise
        except Exception as error:
            # PennyLane names a device by its address in memory; the same refusal should read the same.
            said = re.sub(r"<([\w.]+) device [^>]*>", r"\1", " ".join(str(error).split()))
            raise UnsupportedError(said) from error

    def resolved_diff_method(self) -> str:
        """What PennyLane makes of `diff_method` on this device for this circuit."""
        if self.diff_method != "best":
            qml.workflow.construct_execution_config(self.qnode)(*self.function.example())
            return self.diff_method
        found = qml.workflow.get_best_diff_method(self.qnode)(*self.function.example())
        return str(getattr(found, "__name__", found)).replace("param_shift", "parameter-shift")

    @functools.cached_property
    def device(self) -> Any:
        """The PennyLane device; `hadamard` gets the auxiliary wire its test circuit needs."""
        wires = self.function.wires + (self.diff_method == "hadamard")
        sampler = {} if self.shots is None else {"seed": self.seed}
        try:
            device = qml.device(self.device_name, wires=wires, **sampler)
        except Exception as error:
            reason = f"device = {self.device_name!r}: {' '.join(str(error).split())}"
            known = self.device_name in (*DEVICES, *qml.plugin_devices)
            raise UnsupportedError(reason) if known else CircuitError(reason) from error
        return _with_float64_results(device) if self.device_name.startswith("lightning") else device

    @functools.cached_property
    def qnode(self) -> Any:
        """The QNode over `(weights, inputs)`, broadcasting over the batch."""
        if self.interface == "jax":
            _restore_is_concrete()
        options = dict(self.diff_options)
        if self.diff_method == "hadamard":
            options.setdefault("aux_wire", self.function.wires)
        qnode = qml.QNode(
            self.function.function,
            self.device,
            interface=self.interface,
            diff_method=self.diff_method,
            gradient_kwargs=options,
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
        return "framework" if self.device_name.startswith("default.") and self._method == "backprop" else "cpu"

    def _run(self, weights: dict[str, Any], inputs: Any) -> Any:
        run = self._run_expanded if self._must_expand(inputs) else self.qnode
        on_gpu = self.interface == "torch" and inputs.device.type != "cpu"
        with inputs.device if on_gpu else contextlib.nullcontext():
            return self._stack(run(weights, inputs), inputs.shape[0])

    def _run_expanded(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        """One circuit a sample, all executed together, built from the quantum function itself.

        `qml.transforms.broadcast_expand` splits gates instead, which goes wrong for templates such as IQPEmbedding.
        """
        tapes = [self.function.tape(weights, inputs[row]) for row in range(inputs.shape[0])]
        # kept here, since a QNode gives its results its function's form, which one sample's could be taken for
        rows: list[list[Any]] = []

        @qml.transform
        def samples(tape: Any) -> Any:
            def keep(results: Any) -> Any:
                rows.extend(_columns(result) for result in results)
                return results[0]

            return [each.copy(shots=tape.shots) for each in tapes], keep

        samples(self.qnode)(weights, inputs[0])
        return [ops.stack(column) for column in zip(*rows, strict=True)]

    @functools.cached_property
    def _run_uncompiled(self) -> Any:
        """`_run` kept out of `torch.compile`: Dynamo cannot trace PennyLane, nor what it runs in the backward pass."""
        import torch
        from torch._dynamo import trace_rules

        for package in ("pennylane", "pennylane_lightning", "autoray"):
            trace_rules.add(package)
        return torch.compiler.disable(self._run)

    def _stack(self, results: Any, batch: int) -> Any:
        """Results, each (batch,), (batch, k), or unbatched if no gate saw the inputs, as (batch, outputs)."""
        columns = [ops.cast(result, self.dtype) for result in _columns(results)]
        # a batch of two and the two probabilities of one wire look alike: only the whole tells them apart
        rows = 1 if sum(int(np.prod(column.shape)) for column in columns) == self.outputs else batch
        columns = [ops.reshape(column, (rows, -1)) for column in columns]
        stacked = columns[0] if len(columns) == 1 else ops.concatenate(columns, axis=-1)
        return stacked if rows == batch else ops.broadcast_to(stacked, (batch, self.outputs))

    def _must_expand(self, inputs: Any) -> bool:
        """Whether PennyLane cannot, or would not, run this batch as one broadcast circuit."""
        method = self._method
        if not self.device_name.startswith("default.") or method in ("adjoint", "hadamard"):
            return True
        if method in TRANSFORMS:
            return self._weights_meet_inputs or bool(qml.math.requires_grad(inputs))
        return self.interface == "tf" and self.function.wires >= TF_BATCHED_WIRES and method == "backprop"

    @functools.cached_property
    def _method(self) -> str:
        return self.resolved_diff_method()

    @functools.cached_property
    def _weights_meet_inputs(self) -> bool:
        """Whether some gate depends on weights and inputs both, in one angle or two (by moving each in turn)."""
        weights, inputs = self.function.example()
        here = self.function.tape(weights, inputs)
        by_weights = self.function.tape({name: array + 0.3 for name, array in weights.items()}, inputs)
        by_inputs = self.function.tape(weights, inputs + 0.3)
        gates = zip(here.operations, by_weights.operations, by_inputs.operations, strict=False)
        return any(_angles(gate) != _angles(a) and _angles(gate) != _angles(b) for gate, a, b in gates)

    # TensorFlow graphs

    def _in_tf_graph(self, weights: dict[str, Any], inputs: Any) -> Any:
        if self.traceable:
            return self._padded(functools.partial(self._run, weights), inputs)
        return self._as_python_function(weights, inputs)

    @functools.cached_property
    def traceable(self) -> bool:
        """Whether TensorFlow can trace the simulation itself; XLA needs that."""
        return self.device_name == "default.qubit" and self._method == "backprop"

    def _padded(self, run: Any, inputs: Any) -> Any:
        """Run on a static batch: as it is if known, else padded with zeros to `max_batch_size` or to chunks."""
        import tensorflow as tf

        features = inputs.shape[1]
        if inputs.shape[0] is not None:
            return run(inputs)
        size = self.max_batch_size or CHUNK
        count = tf.shape(inputs)[0]
        chunks = 1 if self.max_batch_size else -(-count // size)
        padded = tf.pad(inputs, [[0, chunks * size - count], [0, 0]])
        if self.max_batch_size:
            outputs = run(tf.ensure_shape(padded, (size, features)))
        else:
            stacked = tf.map_fn(run, tf.reshape(padded, (-1, size, features)), fn_output_signature=self.dtype)
            outputs = tf.reshape(stacked, (-1, self.outputs))
        return outputs[:count]

    def _as_python_function(self, weights: dict[str, Any], inputs: Any) -> Any:
        import tensorflow as tf

        if not qml.math.requires_grad(inputs):
            inputs = tf.stop_gradient(inputs)
            fixed = True
        else:
            fixed = False
        names = list(weights)

        def run(x: Any, *arrays: Any) -> Any:
            return self._run(dict(zip(names, arrays, strict=True)), tf.stop_gradient(x) if fixed else x)

        outputs = tf.py_function(run, [inputs, *weights.values()], Tout=self.dtype)
        return tf.ensure_shape(outputs, (inputs.shape[0], self.outputs))


def _angles(gate: Any) -> list[Any]:
    return [np.asarray(angle).tolist() for angle in gate.parameters]


def _tf_eager() -> bool:
    import tensorflow as tf

    return bool(tf.executing_eagerly())


def _restore_is_concrete() -> None:
    """`jax.core.is_concrete` as it was: whether a value can be looked at while tracing."""
    import jax

    if jax.__version_info__ >= (0, 10):  # deprecated there, gone in 0.11
        tracer = jax.core.Tracer
        jax.core.is_concrete = lambda x: not isinstance(x, tracer) or x.to_concrete_value() is not None


def _columns(result: Any) -> list[Any]:
    """The measurements of one circuit as a list."""
    return list(result) if isinstance(result, list | tuple) else [result]


def _with_float64_results(device: Any) -> Any:
    """The same device, whose results are NumPy float64 instead of Python floats.

    Frameworks convert a Python float to their default float32, which costs a float64 program 29 bits.
    """
    for name in ("execute", "execute_and_compute_derivatives", "execute_and_compute_vjp"):
        setattr(device, name, _float64(getattr(device, name)))
    return device


def _float64(method: Any) -> Any:
    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _convert(method(*args, **kwargs))

    return wrapped


def _convert(result: Any) -> Any:
    if isinstance(result, float):
        return np.float64(result)
    if isinstance(result, tuple | list):
        return type(result)(_convert(item) for item in result)
    return result
