"""A juror: a backend that computes the recorded steps of another's cell anew, at that cell's weights and batches.

It says what predictions, loss and gradients come to there, and measures how far the cell's rounding may move each: it
repeats itself in the cell's dtype with every input, weight and layer output disturbed by a few roundings. So what is
measured holds the real rounding of a forward and a backward pass, and what each kind of number here makes of it.
"""

from __future__ import annotations

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
from qparity.worker.inspection import lowest_precision
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
        declare(dtype)
        model = model or build_model(scenario, self.features, self.outputs)
        noise = Noise(model)
        model.compile(
            optimizer=keras.optimizers.SGD(0.0),  # what an update leaves is set anew before the next step
            loss=loss_of(scenario),
            auto_scale_loss=False,
            **self.backend.compile_options(self.mode, 1),
        )
        return Juror(model, dtype, self.backend.stepper(model, self.mode, sample_loss_of(scenario)), noise)


def declare(dtype: str) -> None:
    """Make a dtype Keras' default; a policy that a user's code has set (mixed precision) stays."""
    keras.config.set_floatx(dtype)
    if keras.config.dtype_policy().name in ("float32", "float64"):  # it stays at the first one, whatever floatx becomes
        keras.config.set_dtype_policy(dtype)


class Noise:
    """Every number times 1 + size * (something in -1..1): inputs, weights, state, what layers return.

    What layers return is disturbed by a variable of the model, so that a compiled step is compiled once for all sizes.
    """

    def __init__(self, model: keras.Model) -> None:
        model._tracker.unlock()  # of a model that is built
        self.sizes = model.add_weight(shape=(PAIRS,), initializer="zeros", trainable=False, name="qparity_noise")
        model._tracker.lock("the model is built")
        self.none()

    def none(self) -> None:
        """From now on nothing is disturbed."""
        self._begin([0], 0, 0.0)

    def by(self, size: float, seed: Sequence[int], pair: int) -> None:
        """From now on all is; the same for two sizes but for their sign, so long as seed and pair are the same."""
        self._begin([*seed, pair], pair, size)

    def _begin(self, seed: Sequence[int], pair: int, size: float) -> None:
        self.size = size
        self.rng, self.patterns = (np.random.Generator(np.random.PCG64(each)) for each in (seed, 0))
        self.sizes.assign([size if k == pair else 0.0 for k in range(PAIRS)])

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """Floating-point numbers disturbed, all else as it is."""
        if not self.size or value.dtype.kind != "f":
            return value
        return np.asarray(value * (1 + self.size * self.rng.uniform(-1, 1, value.shape)))

    def but_whole(self, value: np.ndarray) -> np.ndarray:
        """Likewise, but for whole numbers: one may be an index, or count something."""
        return np.where(value == np.rint(value), value, self(value)) if value.dtype.kind == "f" else value

    def called(self, layer: Any, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What a layer returns, disturbed: for `walk.intercepted`."""
        return keras.tree.map_structure(self._tensor, call(*arguments, **options))

    def _tensor(self, leaf: Any) -> Any:
        if not is_number(leaf):
            return leaf
        pattern = self.patterns.uniform(-1, 1, (PAIRS, *(size or 1 for size in leaf.shape)))
        sizes = ops.cast(self.sizes.value, leaf.dtype)
        moves = ops.tensordot(sizes, ops.convert_to_tensor(pattern, leaf.dtype), axes=1)
        return leaf + leaf * moves


class Juror:
    """A model in one dtype; nothing of a step is kept for the next."""

    def __init__(self, model: keras.Model, dtype: str, step: Callable[..., Any], noise: Noise) -> None:
        self.model, self.dtype, self.step, self.noise = model, dtype, step, noise

    @property
    def state(self) -> list[Any]:
        """Its variables that are not trained, without the noise's own."""
        return [v for v in self.model.non_trainable_variables if v is not self.noise.sizes]

    def refuse_another(self, given: Trace) -> None:
        """Raise ValueError where the model has other variables than the recorded one."""
        kinds = (("weights", self.model.trainable_weights), ("state", self.state))
        for kind, variables in kinds:
            there = [list(given[f"{kind}/{k}"].shape[1:]) for k in range(sum(n.startswith(f"{kind}/") for n in given))]
            here = [list(variable.shape) for variable in variables]
            if here != there:
                raise ValueError(f"{kind} have shapes {here} here, {there} where they were recorded")

    def at(self, weights: Arrays, state: Arrays, batch: Sequence[np.ndarray | None]) -> Computed:
        """One step at these weights and this state, over inputs, targets, and weights of samples or None."""
        declare(self.dtype)  # user's code may ask when it is called
        x, y, weight = batch
        assert x is not None
        x = self.noise.but_whole(x)
        weight = None if weight is None else self.noise(weight)
        for variable, value in zip(self.model.trainable_weights, weights, strict=True):
            variable.assign(self.noise(value))
        for variable, value in zip(self.state, state, strict=True):
            variable.assign(self.noise.but_whole(value))
        with intercepted(self.model, self.noise.called):
            taken = self.step(*(self._in_my_dtype(array) for array in (x, y, weight)))
        gradients = [gradient.astype(np.float64) for gradient in taken.gradients]
        after = [read(variable) for variable in self.state]
        predictions = np.asarray(taken.predictions, np.float64)
        return Computed(predictions.reshape(len(predictions), -1), float(taken.loss), gradients, after)

    def _in_my_dtype(self, array: np.ndarray | None) -> np.ndarray | None:
        return array.astype(self.dtype) if array is not None and array.dtype.kind == "f" else array


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
    start, used = time.perf_counter(), 0.0
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
        state = [given[f"state/{j}"][number] for j in range(len(exact.state))]
        batch = [given[name][rows] if name in given else None for name in DATA]
        exact.noise.none()
        right = exact.at(weights, state, batch)
        moved = []
        for pair in range(PAIRS):
            for size in (DISTURBANCE, -DISTURBANCE):
                rough.noise.by(size * asked.unit, (asked.seed, int(steps[number])), pair)
                moved.append(rough.at(weights, state, batch))
        found.append(_said(right, moved, state, asked.unit))
        used = used or time.process_time()  # the first step compiles, and is taken in any case
        if draws.drawn_by_backend:
            names = ", ".join(sorted(draws.drawn_by_backend))
            raise UnsupportedError(f"layers draw numbers that are other ones on every backend ({names})")
    taken = order[: len(found)]
    arrays = joined(found, taken) | {"steps": np.array([steps[number] for number in sorted(taken)], np.int64)}
    about: Table = {"steps": len(found), "evaluations": len(found) * (1 + 2 * PAIRS)}
    about["precision"] = lowest_precision(exact.model)
    return about | {"seed": asked.seed, "wall_s": time.perf_counter() - start}, arrays


def _said(right: Computed, moved: Sequence[Computed], state: Arrays, unit: float) -> dict[str, np.ndarray]:
    """A step's numbers, and how far a disturbance of everything by a relative 1 would move the furthest of each."""

    def condition(of: Callable[[Computed], Any]) -> np.ndarray:
        here = np.asarray(of(right), np.float64)
        moves = [np.abs(np.asarray(of(each), np.float64) - here).max(initial=0.0) for each in moved]
        return np.asarray(np.max(moves) / (DISTURBANCE * unit))  # NaN stays, and is no tolerance

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
