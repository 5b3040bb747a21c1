"""A juror: a backend that computes the recorded steps of another's cell anew, at that cell's weights and batches.

It says what predictions, loss and gradients come to there, and measures how far the cell's rounding may move each: it
repeats itself in the cell's dtype with every input, weight and layer output disturbed by a few roundings. So what is
measured holds the real rounding of a forward and a backward pass, and what each kind of number here makes of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from qparity.circuit.execution import UnsupportedError
from qparity.circuit.model import build_model
from qparity.records import requests
from qparity.records.document import Table
from qparity.records.trace import Trace
from qparity.scenario.schema import DATA, Scenario
from qparity.worker import draws
from qparity.worker.audit import read
from qparity.worker.backends.base import Backend, is_number
from qparity.worker.steps import first_and_last_first, joined
from qparity.worker.training import loss_of, sample_loss_of
from qparity.worker.walk import intercepted

DISTURBANCE = 4.0
"""How large a disturbance is, in the cell's unit roundoff: so near that what jumps within rounding is seen to jump."""
PAIRS = 2
"""How many disturbances there are, each of either sign: what has a kink moves one way or the other."""

Arrays = Sequence[np.ndarray]
Answer = tuple[Table, dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Computed:
    """One step: `predictions` (rows, outputs), `loss`, a gradient a trainable weight, and the state after it."""

    predictions: np.ndarray
    loss: float
    gradients: list[np.ndarray]
    state: list[np.ndarray]


@dataclass(frozen=True, slots=True)
class Models:
    """How a scenario's model is built here, and run."""

    scenario: Scenario
    features: Any
    outputs: int
    backend: Backend
    mode: str

    def built(self, dtype: str, model: keras.Model | None = None) -> Juror:
        """A model in a dtype (`model`, where it is there already), ready to be run."""
        scenario = self.scenario.model_copy(update={"dtype": dtype})
        keras.config.set_floatx(dtype)
        model = model or build_model(scenario, self.features, self.outputs)
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),  # what an update leaves is set anew before the next step
            loss=loss_of(scenario),
            auto_scale_loss=False,
            **self.backend.compile_options(self.mode, 1),
        )
        return Juror(model, dtype, self.backend.stepper(model, self.mode, sample_loss_of(scenario)))


class Noise:
    """Every number times 1 + size * (something in -1..1): inputs, weights, state, what layers return.

    The same for two evaluations with one seed, but for the sign of `size`.
    """

    def __init__(self, size: float, seed: Sequence[int]) -> None:
        self.size, self.seed = size, list(seed)

    def restart(self) -> None:
        """From the first number on again."""
        self.rng = np.random.Generator(np.random.PCG64(self.seed))

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """Floating-point numbers disturbed, all else as it is."""
        return np.asarray(value * self._factors(value.shape)) if value.dtype.kind == "f" else value

    def at_layers(self, model: keras.Model) -> contextlib.AbstractContextManager[None]:
        """While this holds, what the model's layers return is disturbed."""
        return intercepted(model, self._called)

    def _called(self, layer: Any, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return keras.tree.map_structure(self._tensor, call(*arguments, **options))

    def _tensor(self, leaf: Any) -> Any:
        if not is_number(leaf):
            return leaf
        return leaf * ops.convert_to_tensor(self._factors(tuple(size or 1 for size in leaf.shape)), leaf.dtype)

    def _factors(self, shape: tuple[int, ...]) -> np.ndarray:
        return 1 + self.size * self.rng.uniform(-1, 1, shape)


class Juror:
    """A model in one dtype; nothing of a step is kept for the next."""

    def __init__(self, model: keras.Model, dtype: str, step: Callable[..., Any]) -> None:
        self.model, self.dtype, self.step = model, dtype, step

    def refuse_another(self, given: Trace) -> None:
        """Raise ValueError where the model has other variables than the recorded one."""
        kinds = (("weights", self.model.trainable_weights), ("state", self.model.non_trainable_variables))
        for kind, variables in kinds:
            there = [list(given[f"{kind}/{k}"].shape[1:]) for k in range(sum(n.startswith(f"{kind}/") for n in given))]
            here = [list(variable.shape) for variable in variables]
            if here != there:
                raise ValueError(f"{kind} have shapes {here} here, {there} where they were recorded")

    def at(
        self, weights: Arrays, state: Arrays, batch: Sequence[np.ndarray | None], noise: Noise | None = None
    ) -> Computed:
        """One step at these weights and this state, over inputs, targets, and weights of samples or None."""
        keras.config.set_floatx(self.dtype)  # user's code may ask when it is called
        disturbed: Callable[[Any], Any] = noise or (lambda value: value)
        if noise:
            noise.restart()
        x, y, weight = batch
        assert x is not None
        x = _but_whole(disturbed, x)
        weight = None if weight is None else disturbed(weight)
        for variable, value in zip(self.model.trainable_weights, weights, strict=True):
            variable.assign(disturbed(value))
        for variable, value in zip(self.model.non_trainable_variables, state, strict=True):
            variable.assign(_but_whole(disturbed, value))
        with noise.at_layers(self.model) if noise else contextlib.nullcontext():
            taken = self.step(*(self._in_my_dtype(array) for array in (x, y, weight)))
        gradients = [gradient.astype(np.float64) for gradient in taken.gradients]
        after = [read(variable) for variable in self.model.non_trainable_variables]
        predictions = np.asarray(taken.predictions, np.float64)
        return Computed(predictions.reshape(len(predictions), -1), float(taken.loss), gradients, after)

    def _in_my_dtype(self, array: np.ndarray | None) -> np.ndarray | None:
        return array.astype(self.dtype) if array is not None and array.dtype.kind == "f" else array


def _but_whole(disturbed: Callable[[Any], Any], value: np.ndarray) -> np.ndarray:
    """Disturbed, but for whole numbers: one may be an index, or count something."""
    return np.where(value == np.rint(value), value, disturbed(value)) if value.dtype.kind == "f" else value


def testimony(models: Models, first: keras.Model | None, asked: requests.Swear, given: Trace) -> Answer:
    """What the steps given come to, by the names of a juror in a trace (docs/architecture.md) after `jury_<backend>_`.

    Args:
        models: how the model is built.
        first: one in the scenario's dtype that has never run, or None.
        asked: what the cell computes in, and how long this may take.
        given: `weights/<k>` and `state/<j>` (steps, ...), `x` and `y` (rows, ...), perhaps `sample_weight` (rows,),
            `offsets` (steps + 1,), `reference_steps` (steps,), the numbers of the steps.

    Raises:
        ValueError: the model here has other variables.
        UnsupportedError: it draws random numbers that are this backend's own.
    """
    start, used = time.perf_counter(), time.process_time()
    exact = models.built(models.scenario.dtype, first)
    exact.refuse_another(given)
    rough = exact if asked.dtype == exact.dtype else models.built(asked.dtype)
    steps, offsets = given.reference_steps, given.offsets
    order = first_and_last_first(len(steps))
    found: list[dict[str, np.ndarray]] = []
    for number in order:
        if found and time.process_time() - used > asked.seconds:
            break
        rows = slice(offsets[number], offsets[number + 1])
        weights = [given[f"weights/{k}"][number] for k in range(len(exact.model.trainable_weights))]
        state = [given[f"state/{j}"][number] for j in range(len(exact.model.non_trainable_variables))]
        batch = [given[name][rows] if name in given else None for name in DATA]
        right = exact.at(weights, state, batch)
        noises = [
            Noise(sign * DISTURBANCE * asked.unit, (asked.seed, int(steps[number]), pair))
            for pair in range(PAIRS)
            for sign in (1, -1)
        ]
        found.append(_said(right, [rough.at(weights, state, batch, noise) for noise in noises], state, asked.unit))
        if draws.drawn_by_backend:
            names = ", ".join(sorted(draws.drawn_by_backend))
            raise UnsupportedError(f"layers draw numbers that are other ones on every backend ({names})")
    taken = order[: len(found)]
    arrays = joined(found, taken) | {"steps": np.array([steps[number] for number in sorted(taken)], np.int64)}
    about: Table = {"steps": len(found), "evaluations": len(found) * (1 + 2 * PAIRS)}
    return about | {"seed": asked.seed, "wall_s": time.perf_counter() - start}, arrays


def _said(right: Computed, moved: Sequence[Computed], state: Arrays, unit: float) -> dict[str, np.ndarray]:
    """A step's numbers, and how far a disturbance of everything by a relative 1 would move the furthest of each."""

    def condition(of: Callable[[Computed], Any]) -> np.ndarray:
        here = np.asarray(of(right), np.float64)
        moves = [np.abs(np.asarray(of(each), np.float64) - here).max(initial=0.0) for each in moved]
        return np.array(max(moves) / (DISTURBANCE * unit))  # NaN stays, and is no tolerance

    said = {
        "predictions": right.predictions,
        "loss": np.array(right.loss),
        "predictions_condition": condition(lambda each: each.predictions),
        "loss_condition": condition(lambda each: each.loss),
    }
    said |= {f"gradients/{k}": gradient for k, gradient in enumerate(right.gradients)}
    said["gradients_condition"] = np.stack(
        [condition(lambda each, k=k: each.gradients[k]) for k in range(len(right.gradients))]  # type: ignore[misc]
    )
    for j, (value, before) in enumerate(zip(right.state, state, strict=True)):
        if value.dtype.kind == "f" and not np.array_equal(value, before):
            said[f"state/{j}"] = value.astype(np.float64)
            said[f"state_condition/{j}"] = condition(lambda each, j=j: each.state[j])  # type: ignore[misc]
    return said
