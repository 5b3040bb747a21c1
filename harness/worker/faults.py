"""Faults on purpose: a real worker made to compute something wrong, to test that the gate finds it. Test only.

A fault acts from one step of the audit on, in any mode: two steps are compiled, a clean one and one that is traced
while the switch is on. It comes in the `prepare` request alone (the runner puts it there where `QPARITY_FAULT` is
set, and into the outcome), the user's `fit` is never spoilt. A new fault is a function and one line of `FAULTS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
from keras import ops

from harness.circuit.model import quantum_layers
from harness.worker.audit import read
from harness.worker.backends.base import Backend, Step

Tensors = Callable[[Any, float], Any]
Gates = Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]]
History = list[list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Injection:
    """Where a fault acts; every function that has a knob gets `size` last.

    `gates` rewrites (operations, measurements); `weights` are the angles as the circuit sees them, `gradient` what
    comes back to them, `outputs` the predictions; `inputs` the NumPy batch; `seen` the predictions as the loss sees
    them, with y; `loss` gets (loss, rows); `around` is a context manager of (model, starting weights of all steps so
    far); `order` gets (the rows of each epoch, the step's epoch, its first row there), `start` the model, once.
    """

    gates: Gates | None = None
    weights: Tensors | None = None
    gradient: Tensors | None = None
    outputs: Tensors | None = None
    inputs: Callable[[np.ndarray], np.ndarray] | None = None
    seen: Callable[[Any, Any], Any] | None = None
    loss: Callable[[Any, int, float], Any] | None = None
    around: Callable[[Any, History, float], AbstractContextManager[None]] | None = None
    order: Callable[[list[np.ndarray], int, int], list[np.ndarray]] | None = None
    start: Callable[[Any, float], None] | None = None
    size: float = 1e-4


@dataclass(frozen=True, slots=True)
class Fault:
    """A named injection from audit step `step` (counted from 0) on, with its size."""

    name: str
    step: int
    size: float

    @classmethod
    def parse(cls, body: dict[str, Any] | None) -> Fault | None:
        """`{"name": ..., "step": 0, "size": ...}`; raises ValueError for a name that is none."""
        if body is None:
            return None
        if body["name"] not in FAULTS:
            raise ValueError(f"fault {body['name']!r}: expected one of {', '.join(FAULTS)}")
        return cls(body["name"], int(body.get("step", 0)), float(body.get("size", FAULTS[body["name"]].size)))

    @property
    def injection(self) -> Injection:
        """What it does."""
        return FAULTS[self.name]


def inject(fault: Fault | None, backend: Backend, order: np.ndarray, batch_size: int) -> tuple[Backend, Any]:
    """The backend and batch order of an audit, with the fault in them; as they are without one."""
    if fault is None:
        return backend, order
    epochs = [np.array(rows) for rows in order]
    if fault.injection.order:
        batches = -(-order.shape[1] // batch_size)
        epoch, batch = divmod(fault.step, batches)
        epochs = fault.injection.order(epochs, epoch, batch * batch_size)
    return _Faulty(backend, fault), epochs  # type: ignore[return-value]


class _Faulty:
    """A backend whose step goes wrong from the fault's step on."""

    def __init__(self, backend: Backend, fault: Fault) -> None:
        self.backend, self.fault = backend, fault
        self.on = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[[Any, Any], Step]:
        fault, injection = self.fault, self.fault.injection
        self._install(model)
        clean, faulty = (self.backend.stepper(model, mode, sample_loss, whole_batches) for _ in range(2))
        history: History = []

        def step(x: np.ndarray, y: np.ndarray) -> Step:
            history.append([read(w) for w in model.trainable_weights])
            if len(history) <= fault.step:
                return clean(x, y)
            self.on = True
            around = injection.around(model, history, fault.size) if injection.around else nullcontext()
            try:
                with around:
                    return faulty(injection.inputs(x) if injection.inputs else x, y)
            finally:
                self.on = False

        return step

    def _install(self, model: Any) -> None:
        injection, size = self.fault.injection, self.fault.size
        for layer in quantum_layers(model):
            layer._executor = _SpoiltExecutor(layer.executor, self)  # type: ignore[assignment]
        if injection.seen or injection.loss:
            compute_loss = model.compute_loss

            def spoilt(
                x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
            ) -> Any:
                seen = injection.seen(y, y_pred) if self.on and injection.seen else y_pred
                loss = compute_loss(x=x, y=y, y_pred=seen, sample_weight=sample_weight, training=training)
                return injection.loss(loss, y_pred.shape[0], size) if self.on and injection.loss else loss

            model.compute_loss = spoilt
        if injection.start:
            injection.start(model, size)


class _SpoiltExecutor:
    """A layer's executor with a fault in its circuit, weights, gradients or outputs while the switch is on."""

    def __init__(self, executor: Any, switch: _Faulty) -> None:
        self.switch, self.injection, self.size = switch, switch.fault.injection, switch.fault.size
        if self.injection.gates:
            wrong = dataclasses.replace(executor.function, function=self._regated(executor.function.function))
            executor = dataclasses.replace(executor, function=wrong)
        self.executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        if not self.switch.on:
            return self.executor(weights, inputs)
        if spoil := self.injection.weights:
            weights = {name: spoil(w, self.size) for name, w in weights.items()}
        if self.injection.gradient:
            weights = {name: self._with_gradient(w) for name, w in weights.items()}
        outputs = self.executor(weights, inputs)
        return self.injection.outputs(outputs, self.size) if self.injection.outputs else outputs

    def _with_gradient(self, weight: Any) -> Any:
        """The same value, whose gradient is spoilt on its way back."""
        spoil = self.injection.gradient
        assert spoil is not None

        def identity(w: Any) -> tuple[Any, Callable[..., Any]]:
            return w * 1, lambda *given, upstream=None: spoil(given[-1] if upstream is None else upstream, self.size)

        return ops.custom_gradient(identity)(weight)

    def _regated(self, function: Callable[[Any, Any], list[Any]]) -> Callable[[Any, Any], list[Any]]:
        rewrite = self.injection.gates
        assert rewrite is not None

        def run(weights: Any, inputs: Any) -> list[Any]:
            if not self.switch.on:
                return function(weights, inputs)
            with qml.queuing.AnnotatedQueue() as queue:
                function(weights, inputs)
            tape = qml.tape.QuantumScript.from_queue(queue)
            with qml.QueuingManager.stop_recording():
                operations, measurements = rewrite(list(tape.operations), list(tape.measurements))
            for operation in operations:
                qml.apply(operation)
            return [qml.apply(measurement) for measurement in measurements]

        return run


# Circuits


def _change_first(which: Callable[[Any], bool], change: Callable[[Any, int], list[Any]]) -> Gates:
    """Replace the first operation that fits; `change` gets it and the number of wires."""

    def rewrite(operations: list[Any], measurements: list[Any]) -> tuple[list[Any], list[Any]]:
        k = next(k for k, operation in enumerate(operations) if which(operation))
        wires = 1 + max(wire for operation in operations for wire in operation.wires)
        return [*operations[:k], *change(operations[k], wires), *operations[k + 1 :]], measurements

    return rewrite


def _onto_next_wire(operation: Any, wires: int) -> list[Any]:
    return [qml.map_wires(operation, {wire: (wire + 1) % wires for wire in range(wires)})]


def _measured_on_next_wire(operations: list[Any], measurements: list[Any]) -> tuple[list[Any], list[Any]]:
    wires = sorted({wire for operation in operations for wire in operation.wires})
    turn = dict(zip(wires, [*wires[1:], wires[0]], strict=True))
    return operations, [qml.map_wires(measurement, turn) for measurement in measurements]


def _rotates(operation: Any) -> bool:
    return operation.name in ("RX", "RY", "Rot") and len(operation.wires) == 1


def _entangles(operation: Any) -> bool:
    return operation.name == "CNOT"


# Tensors


def rounded(tensor: Any, bits: int) -> Any:
    """To `bits` bits of mantissa, by Veltkamp's splitting in the tensor's own precision."""
    mantissa = {"float64": 53, "float32": 24}[ops.dtype(tensor)]
    large = tensor * float(2 ** (mantissa - bits) + 1)
    return large - (large - tensor)


def _float32(tensor: Any, size: float = 0.0) -> Any:
    return ops.cast(ops.cast(tensor, "float32"), tensor.dtype)


def _scaled(tensor: Any, size: float) -> Any:
    return tensor * (1 + size)


def _one_scaled(tensor: Any, size: float) -> Any:
    """The largest element alone."""
    sizes = ops.abs(tensor)
    return ops.where(sizes == ops.max(sizes), tensor * (1 + size), tensor)


def _rolled(tensor: Any, size: float = 0.0) -> Any:
    return ops.reshape(ops.roll(ops.reshape(tensor, (-1,)), 1), tensor.shape)


def _last_forgotten(y: Any, predictions: Any) -> Any:
    """The last sample adds nothing to the loss."""
    return ops.concatenate([predictions[:-1], ops.cast(y[-1:], predictions.dtype)], axis=0)


# Around a step: a context manager each


def _hyperparameter(name: str) -> Callable[[Any, History, float], AbstractContextManager[None]]:
    """Another value of an optimizer's number while the step is taken (and traced), so that setup does not see it."""

    @contextmanager
    def around(model: Any, history: History, size: float) -> Iterator[None]:
        before = getattr(model.optimizer, name)
        setattr(model.optimizer, name, type(before)(size))
        yield
        setattr(model.optimizer, name, before)

    return around


@contextmanager
def _other_rate(model: Any, history: History, size: float) -> Iterator[None]:
    rate = model.optimizer.learning_rate
    before = read(rate)
    rate.assign(before * (1 + size))
    yield
    rate.assign(before)


@contextmanager
def _counter_ahead(model: Any, history: History, size: float) -> Iterator[None]:
    counter = model.optimizer.iterations
    counter.assign(counter + 1)
    yield
    counter.assign(counter - 1)


@contextmanager
def _counter_stuck(model: Any, history: History, size: float) -> Iterator[None]:
    yield
    model.optimizer.iterations.assign(model.optimizer.iterations - 1)


@contextmanager
def _moments_forgotten(model: Any, history: History, size: float) -> Iterator[None]:
    for slot in getattr(model.optimizer, "_momentums", ()) or getattr(model.optimizer, "momentums", ()):
        slot.assign(np.zeros(slot.shape))
    yield


@contextmanager
def _stale_weights(model: Any, history: History, size: float) -> Iterator[None]:
    _assign(model, history[-2])
    yield


@contextmanager
def _update_lost(model: Any, history: History, size: float) -> Iterator[None]:
    yield
    _assign(model, history[-1])


@contextmanager
def _float32_update(model: Any, history: History, size: float) -> Iterator[None]:
    yield
    _assign(model, [read(w).astype(np.float32) for w in model.trainable_weights])


def _assign(model: Any, values: list[np.ndarray]) -> None:
    for weight, value in zip(model.trainable_weights, values, strict=True):
        weight.assign(value.astype(weight.dtype))


# Setup: seen in what is recorded of the data, the start and the optimizer


def _reversed_from(epochs: list[np.ndarray], epoch: int, row: int) -> list[np.ndarray]:
    epochs[epoch][row:] = epochs[epoch][row:][::-1].copy()
    return epochs


def _without_row(epochs: list[np.ndarray], epoch: int, row: int) -> list[np.ndarray]:
    return [np.delete(rows, row) if k == epoch else rows for k, rows in enumerate(epochs)]


def _without_last_batch(epochs: list[np.ndarray], epoch: int, row: int) -> list[np.ndarray]:
    return [rows[:row] if k == epoch else rows for k, rows in enumerate(epochs)]


def _start_exchanged(model: Any, size: float) -> None:
    _assign(model, [read(w).reshape(-1)[::-1].reshape(w.shape) for w in model.trainable_weights])


def _start_nudged(model: Any, size: float) -> None:
    _assign(model, [np.nextafter(value := read(w), value.dtype.type(9)) for w in model.trainable_weights])


def _openly(name: str) -> Callable[[Any, float], None]:
    return lambda model, size: setattr(model.optimizer, name, type(getattr(model.optimizer, name))(size))


FAULTS: dict[str, Injection] = {
    "wrong-wire": Injection(gates=_change_first(_rotates, _onto_next_wire)),
    "wrong-axis": Injection(gates=_change_first(lambda o: o.name == "RX", lambda o, _: [qml.RY(*o.data, o.wires)])),
    "cnot-reversed": Injection(gates=_change_first(_entangles, lambda o, _: [qml.CNOT(o.wires[::-1])])),
    "cnot-missing": Injection(gates=_change_first(_entangles, lambda o, _: [])),
    "measured-wire": Injection(gates=_measured_on_next_wire),
    "off-by-one": Injection(weights=_rolled),
    "float32-weights": Injection(weights=_float32),
    "stale-weights": Injection(around=_stale_weights),
    "shuffled-inputs": Injection(inputs=lambda x: x[::-1].copy()),
    "forward-scaled": Injection(outputs=_scaled),
    "forward-float32": Injection(outputs=_float32),
    "forward-tf32": Injection(outputs=lambda f, _: rounded(f, 11)),
    "sum-for-mean": Injection(loss=lambda loss, rows, _: loss * rows),
    "dropped-sample": Injection(seen=_last_forgotten),
    "loss-scaled": Injection(loss=lambda loss, _, size: _scaled(loss, size)),
    "loss-float32": Injection(loss=lambda loss, *_: _float32(loss)),
    "gradient-double": Injection(gradient=lambda g, _: g * 2),
    "gradient-sign": Injection(gradient=lambda g, _: -g),
    "gradient-zero": Injection(gradient=lambda g, _: g * 0),
    "gradient-scaled": Injection(gradient=_scaled),
    "gradient-one-scaled": Injection(gradient=_one_scaled),
    "gradient-rolled": Injection(gradient=_rolled),
    "gradient-tf32": Injection(gradient=lambda g, _: rounded(g, 11)),
    "gradient-float32": Injection(gradient=_float32),
    "adam-epsilon": Injection(around=_hyperparameter("epsilon"), size=1e-8),
    "adam-beta-2": Injection(around=_hyperparameter("beta_2"), size=0.9991),
    "learning-rate": Injection(around=_other_rate),
    "counter-ahead": Injection(around=_counter_ahead),
    "moments-forgotten": Injection(around=_moments_forgotten),
    "update-lost": Injection(around=_update_lost),
    "update-float32": Injection(around=_float32_update),
    "batch-reversed": Injection(order=_reversed_from),
    "sample-left-out": Injection(order=_without_row),
    "last-batch-dropped": Injection(order=_without_last_batch),
    "counter-stuck": Injection(around=_counter_stuck),
    "start-exchanged": Injection(start=_start_exchanged),
    "start-nudged": Injection(start=_start_nudged),
    "beta-2-declared": Injection(start=_openly("beta_2"), size=0.9991),
}
