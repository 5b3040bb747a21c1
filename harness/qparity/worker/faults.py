"""Faults on purpose: a real worker made to compute something wrong, to test that the gate finds it. Test only.

A fault comes in the `prepare` request alone (the runner puts it there where `QPARITY_FAULT` is set, and into the
outcome); the user's `fit` is never spoilt. A new fault is a function and one line of `FAULTS`; how it gets into the
step is in `injection`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pennylane as qml
from keras import ops

from qparity.records import outcome as records
from qparity.worker.audit import read
from qparity.worker.backends.base import Backend
from qparity.worker.injection import Faulty, Gates, History, Injection


@dataclass(frozen=True, slots=True)
class Fault:
    """A named injection from audit step `step` (counted from 0) on, with its size."""

    name: str
    step: int
    size: float

    @classmethod
    def of(cls, asked: records.Fault | None) -> Fault | None:
        """The fault that is asked for; raises ValueError for a name that is none."""
        if asked is None:
            return None
        if asked.name not in FAULTS:
            raise ValueError(f"fault {asked.name!r}: expected one of {', '.join(FAULTS)}")
        return cls(asked.name, asked.step or 0, FAULTS[asked.name].size if asked.size is None else float(asked.size))

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
    return Faulty(backend, fault.injection, fault.step, fault.size), epochs  # type: ignore[return-value]


# Circuits


def _change_first(which: Callable[[Any], bool], change: Callable[[Any, int], list[Any]]) -> Gates:
    """Replace the first operation that fits, if one does; `change` gets it and the number of wires."""

    def rewrite(operations: list[Any], measurements: list[Any]) -> tuple[list[Any], list[Any]]:
        k = next((k for k, operation in enumerate(operations) if which(operation)), None)
        if k is None:
            return operations, measurements
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


def _other_angles(which: Callable[[Any], bool], change: Callable[[Any], Any]) -> Gates:
    """Other angles for every operation that fits; plain numbers stay."""

    def changed(o: Any) -> Any:
        if not which(o):
            return o
        angles = [angle if isinstance(angle, float | int) else change(angle) for angle in o.data]
        return type(o)(*angles, wires=o.wires)

    return lambda operations, measurements: ([changed(o) for o in operations], measurements)


def _turned_back(angle: Any) -> Any:
    """The same number, of which the derivative has the other sign."""
    return 2 * ops.stop_gradient(angle) - angle


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
    optimizer = model.optimizer
    if isinstance(schedule := optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        optimizer._get_current_learning_rate = lambda: schedule(optimizer._iterations) * (1 + size)
        yield
        del optimizer._get_current_learning_rate
        return
    rate = optimizer.learning_rate
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
    "angle-modulus": Injection(gates=_other_angles(lambda o: o.name == "RX", qml.math.abs)),
    "angle-float32": Injection(gates=_other_angles(_rotates, lambda angle: _float32(angle))),
    "angle-gradient-sign": Injection(gates=_other_angles(_rotates, _turned_back)),
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
