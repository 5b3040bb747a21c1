"""The recorded training: every number of every step, in native dtypes, as docs/architecture.md lists them."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops, optimizers

from qparity.circuit.execution import UnsupportedError
from qparity.circuit.model import quantum_layers
from qparity.oracle.optimizers import LAWS
from qparity.scenario.schema import SAMPLE_WEIGHT, Scenario
from qparity.worker.backends.base import Backend, Step, plain
from qparity.worker.boundary import Boundaries
from qparity.worker.protocol import digest
from qparity.worker.training import hyperparameters_as_read, sample_loss_of


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on.

    `x` and `y` (samples, ...), `order` the rows of each epoch, `weight` (samples,) that of each sample in the loss.
    """

    x: np.ndarray
    y: np.ndarray
    order: Any
    weight: np.ndarray | None = None

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """`x`, `y` and `weight` of these rows."""
        return self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows]

    def batches(self, size: int) -> tuple[list[np.ndarray], bool]:
        """The rows of every step, and whether all have one size."""
        batches = [epoch[i : i + size] for epoch in self.order for i in range(0, len(epoch), size)]
        return batches, len({len(batch) for batch in batches}) == 1

    def arrays(self) -> dict[str, np.ndarray]:
        """By their names in a trace."""
        weight = {} if self.weight is None else {SAMPLE_WEIGHT: self.weight}
        return {"x": self.x, "y": self.y, **weight}


def record(
    model: Any,
    backend: Backend,
    mode: str,
    scenario: Scenario,
    data: Data,
    progress: Callable[[int, str], None],
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[float]]:
    """Train `model` over the batches of `data` and record each step.

    Returns:
        what was read once (hashes, dtypes, devices, ...), the trace arrays, and the seconds each step took.
    """
    weights = model.trainable_weights
    recorder = Recorder(model)
    boundaries = Boundaries(model, backend, mode, quantum_layers(model)) if scenario.recorded_at_layers else None
    seconds = []
    batches, whole = data.batches(scenario.training.batch_size)
    step = backend.stepper(model, mode, sample_loss_of(scenario), whole)
    start_hashes = [digest(read(w)) for w in weights]
    state_hashes = [digest(read(v)) for v in model.non_trainable_variables]
    for number, rows in enumerate(batches):
        progress(number, "compiling" if number == 0 and mode != "eager" else "audit")
        recorder.before(rows)
        if boundaries:
            boundaries.before(*data.batch(rows))
        start = time.perf_counter()
        taken = step(*data.batch(rows))
        backend.sync()
        seconds.append(time.perf_counter() - start)
        assert_placed(taken.devices, backend.accelerator, f"step {number}: ")
        recorder.after(taken)
        if boundaries:
            boundaries.after(taken.predictions)
        if not all(np.isfinite(array).all() for array in (taken.loss, *taken.gradients)):
            if np.isfinite(taken.loss).all() and isinstance(model.optimizer, optimizers.LossScaleOptimizer):
                raise UnsupportedError(
                    f"step {number}: a gradient overflowed and the optimizer skipped the step, as loss scaling does: "
                    "such steps are not judged (mixed_bfloat16 needs no scale, a smaller initial_scale overflows less)"
                )
            break
    kept = {w.path: w.value for w in (*weights, *slot_variables(model.optimizer))}
    places = {path: backend.device_of(value) for path, value in kept.items()}
    assert_placed(places, backend.accelerator, "after training: ")
    arrays = {**recorder.arrays(), **(boundaries.arrays() if boundaries else {}), **data.arrays()}
    about = {
        "hashes": {
            **{name: digest(array) for name, array in data.arrays().items()},
            "weights": start_hashes,
            "state": state_hashes,
            "order": digest(arrays["batch_index"]),
        },
        "hyperparameters": hyperparameters_as_read(model.optimizer, scenario),
        "dtypes": {
            "weights": [read(w).dtype.name for w in weights],
            **{key: arrays[key].dtype.name for key in ("predictions", "loss", "sample_loss")},
            "gradients": [arrays[f"gradients/{k}"].dtype.name for k in range(len(weights))],
        },
        "devices": {"weights": [places[w.path] for w in weights], **taken.devices},
        "nonfinite": {key: count for key, a in arrays.items() if (count := int(a.size - np.isfinite(a).sum()))},
        "without_gradient": list(taken.without_gradient),
        "compiled": mode != "eager",
        "boundaries": (boundaries.reason or "recorded") if boundaries else "the whole model is one quantum layer",
    }
    return about, arrays, seconds


def disturbed_end(
    model: Any,
    backend: Backend,
    mode: str,
    scenario: Scenario,
    data: Data,
    seed: int,
) -> list[np.ndarray]:
    """The weights after the same training, each weight being off by one rounding, up or down, before each step."""
    rng = np.random.Generator(np.random.PCG64(seed))
    batches, whole = data.batches(scenario.training.batch_size)
    step = backend.stepper(model, mode, sample_loss_of(scenario), whole)
    for rows in batches:
        for weight in model.trainable_weights:
            value = read(weight)
            unit = np.finfo(value.dtype).eps / 2
            weight.assign((value * (1 + 2 * unit * rng.choice([-1.0, 1.0], value.shape))).astype(value.dtype))
        step(*data.batch(rows))
    return [read(w) for w in model.trainable_weights]


def assert_placed(devices: Mapping[str, str], accelerator: str, when: str = "") -> None:
    """A silent fallback to another device is an error, not a result: every tensor lies where the variant says.

    Raises:
        RuntimeError: with the first tensor that does not.
    """
    for name, device in devices.items():
        if device != accelerator:
            raise RuntimeError(f"{when}{name} lies on the {device}: requested {accelerator}")


def repeated(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Whether a second recording has the same bits, else how far it is off: `{"bitwise", "differences": {name: size}}`.

    Infinitely far where it ended at another step, and so has arrays of another shape.

    On a GPU atomic additions and autotuned kernels may round in another order each time.
    """
    both = {name: (array, second.get(name)) for name, array in first.items()}
    alike = {n: (a, b) for n, (a, b) in both.items() if b is not None and a.shape == b.shape}
    moved = {n: float(np.max(np.abs(a - b), initial=0.0)) for n, (a, b) in alike.items() if a.tobytes() != b.tobytes()}
    other = [name for name in (*both, *second) if name not in alike]
    return {"bitwise": not moved and not other, "differences": moved | dict.fromkeys(other, math.inf)}


class Recorder:
    """Collects the steps of one training."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.columns: dict[str, list[np.ndarray]] = defaultdict(list)
        self.rows: dict[str, list[np.ndarray]] = defaultdict(list)
        self.state = [[read(v)] for v in model.non_trainable_variables]

    def before(self, rows: np.ndarray) -> None:
        """What stands before a step: batch, weights, learning rate, counter."""
        optimizer = self.model.optimizer
        self.rows["batch_index"].append(np.asarray(rows, dtype=np.int64))
        for k, weight in enumerate(self.model.trainable_weights):
            self.columns[f"weights/{k}"].append(read(weight))
        self.columns["learning_rate"].append(read(optimizer.learning_rate))
        self.columns["iterations"].append(np.asarray(read(optimizer.iterations), dtype=np.int64))

    def after(self, step: Step) -> None:
        """What a step computed, and the weights and slots it left."""
        self.rows["predictions"].append(step.predictions)
        self.rows["sample_loss"].append(step.sample_loss)
        self.columns["loss"].append(step.loss)
        for k, (weight, gradient) in enumerate(zip(self.model.trainable_weights, step.gradients, strict=True)):
            self.columns[f"gradients/{k}"].append(gradient)
            self.columns[f"new_weights/{k}"].append(read(weight))
            for slot, value in slots_of(self.model.optimizer, k).items():
                self.columns[f"slots/{k}/{slot}"].append(value)
        for values, variable in zip(self.state, self.model.non_trainable_variables, strict=True):
            value = read(variable)
            values.append(values[-1] if np.array_equal(value, values[-1], equal_nan=True) else value)

    def arrays(self) -> dict[str, np.ndarray]:
        """Steps stacked, batches concatenated."""
        counts = [len(rows) for rows in self.rows["batch_index"]]
        stacked = {name: np.stack(values) for name, values in self.columns.items()}
        for j, values in enumerate(self.state):
            still = all(value is values[0] for value in values)
            stacked[f"state/{j}"] = np.stack(values[:1] if still else values)
        joined = {name: np.concatenate(values) for name, values in self.rows.items()}
        return {"offsets": np.cumsum([0, *counts]).astype(np.int64), **joined, **stacked}


def slots_of(optimizer: Any, k: int) -> dict[str, np.ndarray]:
    """The optimizer's slots of weight k, by the names its law gives them; none where Keras keeps none for it."""
    return {name: read(all_of[k]) for name, all_of in _slots(optimizer).items() if all_of[k] is not None}


def slot_variables(optimizer: Any) -> list[Any]:
    """All slots of all weights."""
    return [variable for all_of in _slots(optimizer).values() for variable in all_of if variable is not None]


def _slots(optimizer: Any) -> dict[str, list[Any]]:
    law = LAWS.get(type(optimizer).__name__.lower())
    found = {name: getattr(optimizer, attribute, None) for name, attribute in (law.slots if law else {}).items()}
    return {name: list(all_of) for name, all_of in found.items() if all_of}


def read(value: Any) -> np.ndarray:
    """A backend variable or tensor as a NumPy array of its own dtype, copied."""
    return plain(np.array(ops.convert_to_numpy(value)))
