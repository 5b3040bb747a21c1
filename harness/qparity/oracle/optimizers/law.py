"""What a law of an optimizer is: Keras' class and arguments, the reference computation, and its slots.

The computation is written once, on `Bounded` numbers, so that it gives the update and what rounding allows of it. Its
recorded inputs (weights, gradients) are exact; the slots are the law's own, and carry their error from step to step.

Clipping and weight decay are the same for all (`keras/src/optimizers/base_optimizer.py` of Keras 3.15): clipping by
each norm, else by the global norm, else by value; then `w - w decay rate`; then the update; then, if asked, moving
averages of the weights, and every so many steps these in the weights' place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from qparity.oracle.bounded import Bounded, clipped, maximum, root, size, total


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a Keras optimizer: its default, what it is, and the range of a number (None: no limit)."""

    default: float | bool | int | None
    text: str
    least: float | None = 0.0
    most: float | None = None
    open_least: bool = False
    """Whether the least value itself is refused."""
    open_most: bool = False
    whole: bool = False
    """Whether it is an integer, where the default does not say so."""


def decay(default: float, text: str) -> Argument:
    """A decay rate in [0, 1)."""
    return Argument(default, text, 0.0, 1.0, open_most=True)


def small(default: float = 1e-7, text: str = "keeps a denominator from zero") -> Argument:
    """A positive number that keeps something from vanishing."""
    return Argument(default, text, 0.0, 1e6, open_least=True)


RATE = Argument(0.001, "step size", 0.0, 1e6, open_least=True)
SHARED: dict[str, Argument] = {
    "weight_decay": Argument(None, "decoupled weight decay", 0.0, 1e6),
    "clipnorm": Argument(None, "clip each gradient's norm", 0.0, 1e30, open_least=True),
    "clipvalue": Argument(None, "clip each gradient entry", 0.0, 1e30, open_least=True),
    "global_clipnorm": Argument(None, "clip the norm of all gradients together", 0.0, 1e30, open_least=True),
    "loss_scale_factor": Argument(
        None, "what the loss is multiplied by, and gradients divided", 0.0, 1e30, open_least=True
    ),
    "gradient_accumulation_steps": Argument(
        None, "update with the mean of so many steps' gradients", 2, 1_000_000, whole=True
    ),
    "ema_overwrite_frequency": Argument(
        None, "put moving averages in the weights' place after so many steps (`use_ema`)", 1, 1_000_000, whole=True
    ),
    "ema_momentum": Argument(None, "decay of these averages (none: 0.99)", 0.0, 1.0),
}
EMA_MOMENTUM = 0.99
CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclass(frozen=True, slots=True)
class State:
    """Updates done, and the slots by their names in the trace: an entry a weight.

    `waiting` are the sums of the gradients of the `taken` steps since the last update, where gradients are accumulated,
    `averages` those of the weights, where they come in their place.
    """

    steps: int
    slots: Mapping[str, list[Bounded]]
    taken: int = 0
    waiting: tuple[Bounded, ...] = ()
    averages: tuple[Bounded, ...] = ()


Slots = tuple[Bounded, ...]


class Law:
    """An optimizer. A subclass says what is declared below and overrides `update`. It does not change.

    Args:
        declared: the arguments by name, as Python numbers; what is left out has Keras' default.
        dtype: the dtype of the variables, in which Keras holds the arguments.
        real: the NumPy type to compute in, finer than `dtype`.
        unit: the unit roundoff of `dtype`.
    """

    name: ClassVar[str]
    """In a scenario file; Keras' name in lower case."""
    keras: ClassVar[str]
    """The class in `keras.optimizers`."""
    rate: ClassVar[Argument] = RATE
    arguments: ClassVar[dict[str, Argument]] = {}
    """What it takes besides the learning rate and `SHARED`."""
    slots: ClassVar[dict[str, str]] = {}
    """Name in the trace -> the Keras optimizer's attribute, a list with an entry a weight."""
    shared: ClassVar[dict[str, Argument]] = SHARED
    reach: ClassVar[float | None] = 4.0
    """How far one step may move a weight whose gradient is noise, over the rate; None: as far as the gradient says."""
    whole: ClassVar[bool] = False
    """Whether it looks at a weight as a whole (its shape, its norm, its path), not at each entry alone."""

    def __init__(self, declared: Mapping[str, Any], dtype: str, real: type, unit: float) -> None:
        self.declared: dict[str, Any] = {name: declared.get(name) for name in self.all_arguments()}
        for name, argument in self.all_arguments().items():
            if self.declared[name] is None:
                self.declared[name] = argument.default
        self.dtype, self.real, self.unit = dtype, real, unit

    @classmethod
    def all_arguments(cls) -> dict[str, Argument]:
        """Every argument, the learning rate first."""
        return {"learning_rate": cls.rate, **cls.arguments, **cls.shared}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Keras' defaults of all arguments that are not none."""
        return {name: a.default for name, a in cls.all_arguments().items() if a.default is not None}

    @property
    def by_entry(self) -> bool:
        """Whether an entry of a weight moves as it would alone, whatever the others are."""
        return not self.whole and not self.declared["clipnorm"] and not self.declared["global_clipnorm"]

    def number(self, name: str) -> Any:
        """An argument as Keras holds it: a number rounded to the variables' dtype, in the dtype to compute in."""
        value = self.declared[name]
        return value if value is None or isinstance(value, bool | str) else self.real(quantise(value, self.dtype))

    def gain(self, name: str) -> Any:
        """One minus an argument, as Keras makes it of Python numbers: in double, then rounded.

        In float32 that is 1.3e-5 (relative) away from 1 minus the rounded 0.999, 108 roundings in every update.
        """
        return self.real(quantise(1 - float(self.declared[name]), self.dtype))

    def constant(self, value: float) -> Bounded:
        """A number of the optimizer's own, without an error."""
        return Bounded.exact(np.asarray(self.real(value)), self.unit)

    def start(self, weights: Sequence[np.ndarray]) -> State:
        """The state before the first step."""
        return State(0, {name: [self.start_slot(name, w) for w in weights] for name in self.slots})

    def start_slot(self, name: str, weight: np.ndarray) -> Bounded:
        """A slot before the first step: zeros of the weight's shape."""
        return Bounded.exact(np.zeros(weight.shape, self.real), self.unit)

    def kept(self) -> tuple[str, ...]:
        """The slots that Keras keeps with these arguments; the others stay as they started."""
        return tuple(self.slots)

    def step(
        self,
        state: State,
        weights: Sequence[np.ndarray],
        gradients: Sequence[np.ndarray],
        paths: Sequence[str] = (),
        rate: float | None = None,
    ) -> tuple[State, list[Bounded]]:
        """One update of all weights.

        Args:
            state: as `start` or the step before gave it.
            weights: as they stood before the step, in `real`.
            gradients: as they were handed to the optimizer.
            paths: the weights' names, for optimizers that treat some of them otherwise.
            rate: the learning rate of this step, where a schedule changes it.

        Returns:
            The state after the step, and the new weights with the error that rounding explains.
        """
        if rate is not None:
            now = copy(self)
            now.declared = self.declared | {"learning_rate": rate}
            return now.step(state, weights, gradients, paths)
        t = state.steps + 1
        exact = [Bounded.exact(np.asarray(w, self.real), self.unit) for w in weights]
        found = self.unscaled(gradients)
        if several := self.declared["gradient_accumulation_steps"]:
            sums = [(a + g).stored() for a, g in zip(state.waiting, found, strict=True)] if state.taken else found
            if state.taken + 1 < several:
                kept = replace(state, taken=state.taken + 1, waiting=tuple(sums))
                return self.averaged(state, kept, exact)
            found = [g / self.real(several) for g in sums]
        columns: list[tuple[Bounded, Slots]] = []
        for k, (w, g) in enumerate(zip(exact, self.clip(found), strict=True)):
            path = paths[k] if k < len(paths) else ""
            factor = self.decay_of(w, path)
            if factor is not None:
                w = (w - w * factor * self.number("learning_rate")).stored()
            new, slots = self.update(t, w, g, tuple(state.slots[name][k] for name in self.slots), path)
            columns.append((new.stored(), slots))
        slots_after = {name: [slots[i] for _, slots in columns] for i, name in enumerate(self.slots)}
        return self.averaged(state, State(t, slots_after), [new for new, _ in columns])

    def averaged(self, before: State, after: State, weights: list[Bounded]) -> tuple[State, list[Bounded]]:
        """The state with the moving averages of the weights, and these in the weights' place where it is time.

        The first average is the weights themselves; updates done count, not steps, where gradients are accumulated.
        """
        every = self.declared["ema_overwrite_frequency"]
        if not every:
            return after, weights
        averages = tuple(weights)
        if before.steps:
            declared = self.declared["ema_momentum"]
            m = self.constant(self.real(quantise(EMA_MOMENTUM if declared is None else declared, self.dtype)))
            averages = tuple((m * a + (1 - m) * w).stored() for a, w in zip(before.averages, weights, strict=True))
        overwritten = (before.steps + 1) % every == 0
        return replace(after, averages=averages), list(averages) if overwritten else weights

    def decay_of(self, weight: Bounded, path: str) -> Any:
        """The weight decay of a weight, or None."""
        return self.number("weight_decay")

    def unscaled(self, gradients: Sequence[np.ndarray]) -> list[Bounded]:
        """The gradients as recorded: of a scaled loss, divided by its factor, which a compiler may do otherwise."""
        found = [Bounded.exact(np.asarray(g, self.real), self.unit) for g in gradients]
        if self.declared["loss_scale_factor"] is None:
            return found
        return [replace(g, error=g.error + 2 * size(g.value)) for g in found]

    def clip(self, found: list[Bounded]) -> list[Bounded]:
        """The gradients as the update sees them."""
        if most := self.number("clipnorm"):
            return [g * most / maximum(root(total(g * g)), most) for g in found]
        if most := self.number("global_clipnorm"):
            squares = [total(g * g) for g in found]
            norm = root(sum(squares[1:], squares[0]))
            return [g * (most / maximum(norm, most)) for g in found]
        if most := self.number("clipvalue"):
            return [clipped(g, -most, most) for g in found]
        return found

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The new weight and its new slots.

        Args:
            t: the step, counted from 1.
            w: the weight, decayed.
            g: its gradient, clipped.
            slots: its slots, in the order in which they are declared.
            path: its name.
        """
        raise NotImplementedError


def quantise(value: Any, dtype: str) -> Any:
    """A number as a dtype holds it, as a Python float; booleans and None unchanged."""
    if value is None or isinstance(value, bool | str):
        return value
    if dtype == "bfloat16":  # NumPy has none: the upper half of a float32, rounded to even
        bits = int(np.float32(value).view(np.uint32))
        return float(np.uint32((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32))
    return float(np.dtype(dtype).type(value))
