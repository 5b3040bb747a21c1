"""What a `fit` trained, trained once more with every number kept: the audit of a worker, on the live model.

The model, its loss and its optimizer are the user's own objects, in their process, on their backend and in the mode
that they have compiled; only the order of a shuffled data set is ours, since theirs is gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from qparity.circuit.carried import NotCarried, model_as_json
from qparity.circuit.fit import MOST_BYTES
from qparity.circuit.model import quantum_layers
from qparity.circuit.script import Captured, held, taken
from qparity.recording.begun import Begun, NotRecorded
from qparity.recording.untouched import value_of
from qparity.records import read
from qparity.records.outcome import Fit
from qparity.runner.capture import OWN, cut
from qparity.runner.inputs import Inputs, make_inputs, sent_and_declared
from qparity.scenario.own_data import Given, digest_of
from qparity.scenario.schema import CAPTURED, SAMPLE_WEIGHT, SCRIPTED, Scenario
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant
from qparity.worker import audit, backends, called
from qparity.worker.backends.base import Backend, plain
from qparity.worker.child import Cell
from qparity.worker.warned import pennylane_warnings

COPIES = 8
"""How many times each step's weights are kept: weights before and after, gradients, slots."""


@dataclass(frozen=True)
class Replayed:
    """A recorded training as the run folder has it: the scenario, its one variant, outcome to be, and trace."""

    scenario: Scenario
    variant: Variant
    given: Given
    inputs: Inputs
    parts: dict[str, Any]
    """Of its outcome: `resolved`, `audit`, `expected`, `memory`, `fit`."""
    trace: dict[str, np.ndarray]
    phases: dict[str, float]
    worker: tuple[str, dict[str, Any]]
    unwritten: str | None
    """Why the model cannot be built again by the reference; None where it can."""


def replay(model: keras.Model, begun: Begun, name: str, steps: int | None) -> Replayed:
    """Train again from the start, recording; leaves the model elsewhere, for `untouched` to put back.

    Raises:
        NotRecorded, ScriptError: the training cannot be recorded.
    """
    if not begun.epochs:
        raise NotRecorded("fit trains nothing: no epoch of it has ended")
    fit_s = time.perf_counter() - begun.at
    ended = [audit.read(w) for w in model.trainable_weights]
    start = _Start.of(model, begun)
    start.assign(model)
    found = taken(model, replace(begun.given, epochs=int(begun.given.initial_epoch) + begun.epochs))
    try:
        written, unwritten = model_as_json(model, found.loss), None
    except NotCarried as error:
        written, unwritten = {}, str(error)
    scenario, data, why = _scenario(begun, found, name, steps)
    own = Given(data.x, data.y, found.start, data.weight, written)
    inputs = make_inputs(scenario, own)
    with held(found):
        return _Recording(model, scenario, start, inputs).recorded(own, None if why else ended, fit_s, unwritten)


@dataclass(frozen=True)
class _Start:
    """The values from which a training starts, and those of its optimizer."""

    weights: list[np.ndarray]
    state: list[np.ndarray]
    optimizer: list[np.ndarray]

    @classmethod
    def of(cls, model: keras.Model, begun: Begun) -> _Start:
        mine = model.optimizer
        slots = begun.optimizer
        if slots is None or begun.steps_before:
            fresh = type(mine).from_config(mine.get_config())
            fresh.build(model.trainable_variables)
            rate = mine._learning_rate
            kept = dict(zip(map(id, mine.variables), slots or (), strict=False))
            pairs = zip(mine.variables, fresh.variables, strict=True)
            slots = [kept.get(id(v), value_of(new)) if v is rate else value_of(new) for v, new in pairs]
        weights, state = (
            [begun.start[f"{kind}/{k}"] for k in range(len(variables))]
            for kind, variables in (("weights", model.trainable_weights), ("state", model.non_trainable_variables))
        )
        return cls(weights, state, slots)

    def assign(self, model: keras.Model) -> None:
        """Give the model these values."""
        for variables, values in (
            (model.trainable_weights, self.weights),
            (model.non_trainable_variables, self.state),
            (model.optimizer.variables, self.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        backends.backend_class(keras.backend.backend()).to_training(model)


def _scenario(begun: Begun, found: Captured, name: str, steps: int | None) -> tuple[Scenario, Given, str | None]:
    """The scenario of a recorded training, its data in the declared dtype, and why `fit` cannot be compared, if so."""
    about = found.described()
    amount, training = found.amount, about.training | {"draws": "backend"}
    x, y, weight = (None if a is None else a.astype(found.dtype) for a in (found.x, found.y, found.weight))
    assert x is not None
    assert y is not None
    x = x.reshape(-1, 1) if x.ndim == 1 else x
    whole = steps is None or steps >= amount.epochs * -(-len(x) // amount.batch_size)
    if not whole:
        assert steps is not None
        kept, epochs = cut(len(x), amount.batch_size, steps)
        amount = replace(amount, epochs=epochs)
        x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
    count = amount.epochs * -(-len(x) // amount.batch_size)
    needed = COPIES * count * sum(value.nbytes for value in found.start.values())
    if needed > MOST_BYTES:
        raise NotRecorded(f"{count} steps of it need {needed / 2**30:.0f} GiB: give Recorder(steps=...)")
    why = _why_fit_is_not_compared(begun, found, whole)
    notes = [f"where fit ended is not compared with the recording: {why}"] if why else []
    notes += [*(OWN[part] for part in about.own), *about.notes]
    captured = [array for array in (x, y, weight) if array is not None]
    script = {"file": begun.file.name if begun.file else "notebook", "own": about.own, "given": about.given}
    scenario = validate(
        {
            "name": name,
            "model": SCRIPTED,
            "script": {**script, "notes": [note[:300] for note in notes[:20]], "recorded": True},
            "dtype": found.dtype,
            "data": {
                "name": CAPTURED,
                "samples": len(x),
                "sha256": digest_of(*captured),
                **({} if weight is None else {"weight": SAMPLE_WEIGHT}),
            },
            "training": training | {"epochs": amount.epochs},
        }
    )
    return scenario, Given(x, y, None, weight), why


def _why_fit_is_not_compared(begun: Begun, found: Captured, whole: bool) -> str | None:
    """Why the recording is not the same training to the last bit; None where it should be."""
    if not whole:
        return "it has more steps than were recorded"
    if found.amount.shuffle:
        return "it shuffled in an order of its own, the recording has another"
    if not (hasattr(begun.given.x, "shape") or isinstance(begun.given.x, list)):
        return "its data set was read again for the recording"
    if begun.steps_before:
        return "its optimizer had taken steps before"
    if begun.given.steps_per_epoch:
        return "it has steps_per_epoch"
    if begun.given.callbacks:
        return "its callbacks may have changed the training"
    if getattr(found.optimizer, "use_ema", False):
        return "its optimizer puts averages in the place of weights"
    return None


class _Recording:
    """One recorded training of the live model."""

    def __init__(self, model: keras.Model, scenario: Scenario, start: _Start, inputs: Inputs) -> None:
        self.model, self.scenario, self.start, self.inputs = model, scenario, start, inputs
        backend = backends.backend_class(keras.backend.backend())
        self.backend: Backend = backend("cpu", 1)
        accelerator = self.backend.device_of(model.trainable_weights[0].value) if model.trainable_weights else "cpu"
        self.backend.accelerator = accelerator
        self.variant = Variant(keras.backend.backend(), self.backend.mode_of(model), accelerator)
        self.data = audit.Data(inputs.x, inputs.y, inputs.order, inputs.weight)

    def recorded(self, given: Given, ended: list[np.ndarray] | None, fit_s: float, unwritten: str | None) -> Replayed:
        """The recording, and where `fit` ended beside it, if that can be compared."""
        if not self.model.trainable_weights:
            raise NotRecorded("the model has no trainable weights")
        cell = Cell(None, self.backend)  # type: ignore[arg-type]  # nobody is told anything
        cell.scenario, cell.mode, cell.features = self.scenario, self.variant.mode, self.inputs.shape[0]
        resolved = cell.resolved(self.model, quantum_layers(self.model))
        resolved["flags"] = self.backend.flags()
        begin = time.perf_counter()
        qnodes: dict[str, Any] = {}
        with pennylane_warnings() as warned, called.noticed(qnodes):
            about, arrays, seconds = audit.record(
                self.model, self.backend, self.variant.mode, self.scenario, self.data, lambda *_: None
            )
        about |= {"warnings": warned, "own_draws": [], "qnodes": list(qnodes.values())}
        phases = {"audit_s": time.perf_counter() - begin, "first_step_s": seconds[0], "fit_s": fit_s}
        phases |= {"step_s": float(np.median(seconds[1:]))} if len(seconds) > 1 else {}
        fit: dict[str, Any] = {"history": _numbers(self.model, "loss"), "metrics": _metrics(self.model)}
        if ended is not None:
            arrays |= {f"final_weights/{k}": value for k, value in enumerate(ended)}
            last = [arrays[f"new_weights/{k}"][-1] for k in range(len(ended))]
            gaps = [float(np.abs(np.subtract(a, b)).max(initial=0.0)) for a, b in zip(ended, last, strict=True)]
            fit |= {"equals_audit": not any(gaps), "max_weight_difference": max(gaps)}
            if any(gaps):
                arrays |= self._spread(last)
        weights, state = ([plain(v) for v in values] for values in (self.start.weights, self.start.state))
        parts = {
            "resolved": resolved,
            "audit": about,
            "expected": sent_and_declared(self.scenario, self.inputs, weights, state),
            "memory": cell.memory(),
            "fit": read(Fit, fit),
        }
        key = f"{self.variant.backend}@{self.variant.accelerator} (recorded)"
        worker = key, backends.description(self.backend)
        return Replayed(self.scenario, self.variant, given, self.inputs, parts, arrays, phases, worker, unwritten)

    def _spread(self, last: list[np.ndarray]) -> dict[str, np.ndarray]:
        """How far a rounding more in every step moves the end: `fit_spread/<k>`."""
        moved = []
        for seed in (1, 2):
            self.start.assign(self.model)
            mode = self.variant.mode
            end = audit.disturbed_end(self.model, self.backend, mode, self.scenario, self.data, seed)
            moved.append([np.abs(a - b) for a, b in zip(end, last, strict=True)])
        return {f"fit_spread/{k}": np.max(list(pair), axis=0) for k, pair in enumerate(zip(*moved, strict=True))}


def _metrics(model: keras.Model) -> dict[str, list[float | None]]:
    history = getattr(model.history, "history", {})
    return {name: _numbers(model, name) for name in history if name != "loss"}


def _numbers(model: keras.Model, name: str) -> list[float | None]:
    """What Keras logged, an epoch each; None for what is no finite number."""
    values = [np.asarray(value) for value in getattr(model.history, "history", {}).get(name, ())]
    return [float(v) if v.size == 1 and v.dtype.kind in "fiub" and np.isfinite(v).all() else None for v in values]
