"""A quantum function on a device: the QNode, what PennyLane makes of it, and what it would refuse, asked beforehand."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pennylane as qml

from qparity.circuit.definition import BoundCircuit
from qparity.circuit.device import make_device, with_a_free_wire, with_float64_results
from qparity.circuit.errors import CircuitError, UnsupportedError
from qparity.circuit.tensors import lost_gradients, refusal
from qparity.circuit.trial import TRANSFORMS, can_be_tried, try_gradient, try_one_sample
from qparity.scenario.backends import BACKENDS
from qparity.scenario.refusal import no_backprop
from qparity.scenario.registry import GPU_DEVICES

INTERFACES = {facts.name: facts.interface for facts in BACKENDS.values()}
FRAMEWORKS = {interface: backend for backend, interface in INTERFACES.items()}


@dataclass(frozen=True)
class OnDevice:
    """A quantum function with everything that says how PennyLane shall run it.

    `given_device` is used in place of a new device of that name; `qnode_options` are further arguments of the QNode.
    `dtype` is that of weights, inputs and outputs, `float32` or `float64`; inputs may be whole numbers too.
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

    def check(self) -> None:
        """Raise CircuitError for what this device and diff method cannot run, UnsupportedError if PennyLane cannot."""
        tape = self.function.tape()
        unknown = set(tape.wires) - set(self.function.labels)
        if unknown:
            every = {*self.function.labels, *unknown}
            enough = max(every) + 1 if all(isinstance(w, int) for w in every) else sorted(every, key=str)
            also = f"the circuit also uses wires {sorted(unknown, key=str)}"
            raise CircuitError(f"wires = {self.function.wires}: {also}; wires = {enough} has them all")
        try_one_sample(self.function, self.device_name, self.shots)
        if self.interface == "numpy":
            return
        assert isinstance(self.loses_inputs, bool)
        if self.device_name.startswith("lightning") and self.diff_method == "backprop":
            raise UnsupportedError(no_backprop(self.device_name))
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
            _restore_removed()
        qnode = qml.QNode(
            self.run_function,
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
        return "framework" if self.simulated_by_framework else "cpu"

    def run_function(self, weights: dict[str, Any], inputs: Any) -> list[Any]:
        """The quantum function on tensors; it has run on NumPy arrays, so an error here is due to the tensors."""
        try:
            return self.function.function(weights, inputs)
        except Exception as error:
            raise refusal(FRAMEWORKS[self.interface], error) from error

    @functools.cached_property
    def loses_inputs(self) -> bool:
        """Whether the function turns its features into plain numbers, so that no layer before it could be trained."""
        return self.interface != "numpy" and lost_gradients(self.function, FRAMEWORKS[self.interface])

    @functools.cached_property
    def method(self) -> str:
        """`resolved_diff_method()`, asked once."""
        return self.resolved_diff_method()

    @functools.cached_property
    def simulated_by_framework(self) -> bool:
        """Whether the state is a tensor of the framework: under backprop."""
        return self.device_name.startswith("default.") and self.method == "backprop"

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


def _restore_removed() -> None:
    """What PennyLane takes from `jax.core` as it was: whether a value can be looked at while tracing, and the look."""
    import jax

    if jax.__version_info__ < (0, 10):  # deprecated there, gone in 0.11
        return
    core = jax.core

    def is_concrete(value: Any) -> bool:
        return not isinstance(value, core.Tracer) or value.to_concrete_value() is not None

    def concrete_or_error(force: Callable[[Any], Any] | None, value: Any, context: str = "") -> Any:
        if not is_concrete(value):
            raise jax.errors.ConcretizationTypeError(value, context)
        found = value.to_concrete_value() if isinstance(value, core.Tracer) else value
        return found if force is None else force(found)

    core.is_concrete, core.concrete_or_error = is_concrete, concrete_or_error
