"""Reference optimizers: the formulas of Keras 3's SGD and Adam, in any real dtype.

Source: `keras/src/optimizers/{base_optimizer,sgd,adam}.py` of Keras 3.15. Hyper-parameters are first
quantised to the declared dtype, because Keras holds them so (1 - beta_2^t then cancels, and an unquantised
reference would be the one that is wrong). Adam's epsilon stands outside the bias correction (the
epsilon-hat of Kingma & Ba).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

Arrays: TypeAlias = list[np.ndarray]


@dataclass(frozen=True, slots=True)
class State:
    """Steps done, and the slots by Keras' names in the trace: Adam `m`, `v`, `vhat`; SGD `momentum`."""

    steps: int
    slots: Mapping[str, Arrays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """What both optimizers share: clipping, then weight decay, then the update."""

    learning_rate: np.floating
    weight_decay: np.floating | None = None
    clipnorm: np.floating | None = None
    global_clipnorm: np.floating | None = None
    clipvalue: np.floating | None = None

    slot_names: ClassVar[tuple[str, ...]] = ()

    def start(self, weights: Sequence[np.ndarray]) -> State:
        """The state before the first step, zeros in the weights' shapes and dtypes."""
        return State(0, {name: [np.zeros_like(w) for w in weights] for name in self.slot_names})

    def step(
        self, state: State, weights: Sequence[np.ndarray], gradients: Sequence[np.ndarray]
    ) -> tuple[State, Arrays]:
        """One update: new state and new weights; everything is computed in the dtype of the arguments."""
        clipped = self.clip(gradients)
        if self.weight_decay is not None:
            weights = [w - w * self.weight_decay * self.learning_rate for w in weights]
        columns = [
            self._update(state.steps + 1, w, g, {name: slots[k] for name, slots in state.slots.items()})
            for k, (w, g) in enumerate(zip(weights, clipped, strict=True))
        ]
        slots = {name: [column[1][name] for column in columns] for name in state.slots}
        return State(state.steps + 1, slots), [column[0] for column in columns]

    def clip(self, gradients: Sequence[np.ndarray]) -> Arrays:
        """Clip as Keras does: by each norm, else by the global norm, else by value."""
        if self.clipnorm:
            return [g * self.clipnorm / max(np.sqrt((g * g).sum()), self.clipnorm) for g in gradients]
        if self.global_clipnorm:
            norm = np.sqrt(sum((g * g).sum() for g in gradients))
            return [g * (self.global_clipnorm / max(norm, self.global_clipnorm)) for g in gradients]
        if self.clipvalue:
            return [np.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return list(gradients)

    def _update(
        self, t: int, w: np.ndarray, g: np.ndarray, slots: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent with momentum: m = mu m - lr g; w += m, or mu m - lr g (Nesterov)."""

    momentum: np.floating
    nesterov: bool = False

    slot_names: ClassVar[tuple[str, ...]] = ("momentum",)

    def _update(
        self, t: int, w: np.ndarray, g: np.ndarray, slots: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        m = self.momentum * slots["momentum"] - self.learning_rate * g
        move = self.momentum * m - self.learning_rate * g if self.nesterov else m
        return w + move, {"momentum": m}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba, arXiv:1412.6980), w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps).

    The gains are 1 - beta as Keras makes them: in double from the number declared, then in the variables' dtype. In
    float32 that is 1.3e-5 (relative) away from 1 minus the quantised beta_2, 108 units of rounding in every update.
    """

    beta_1: np.floating
    beta_2: np.floating
    gain_1: np.floating
    gain_2: np.floating
    epsilon: np.floating
    amsgrad: bool = False

    slot_names: ClassVar[tuple[str, ...]] = ("m", "v", "vhat")

    def rate(self, t: int) -> np.floating:
        """The bias-corrected learning rate of step t, counted from 1."""
        return self.learning_rate * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def _update(
        self, t: int, w: np.ndarray, g: np.ndarray, slots: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        m = slots["m"] + (g - slots["m"]) * self.gain_1
        v = slots["v"] + (g * g - slots["v"]) * self.gain_2
        top = np.maximum(slots["vhat"], v) if self.amsgrad else v
        return w - m * self.rate(t) / (np.sqrt(top) + self.epsilon), {"m": m, "v": v, "vhat": top}


NAMES = ("adam", "sgd")
ADAM_DEFAULTS = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}
SGD_DEFAULTS = {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False}


def declared_hyperparameters(table: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The hyper-parameters of a scenario's optimizer table, Keras' defaults filled in.

    Numbers are quantised to the declared dtype (and then held as Python floats); None stays None.
    Raises ValueError for an optimizer there is no reference of.
    """
    name = str(table.get("name", "adam"))
    if name not in NAMES:
        raise ValueError(f"optimizer {name!r}: the oracle has {', '.join(NAMES)}")
    defaults: dict[str, Any] = ADAM_DEFAULTS if name == "adam" else SGD_DEFAULTS
    shared = dict.fromkeys(("weight_decay", "clipnorm", "global_clipnorm", "clipvalue"))
    values = {key: table.get(key) for key in (defaults | shared)}
    merged = {key: defaults.get(key) if value is None else value for key, value in values.items()}
    return {key: quantise(value, dtype) for key, value in merged.items()}


def reference_optimizer(table: Mapping[str, Any], dtype: str, real: type) -> Optimizer:
    """The reference of a scenario's optimizer: `dtype` is the declared one, `real` the one to compute in."""
    values = declared_hyperparameters(table, dtype)
    typed: dict[str, Any] = {k: v if v is None or isinstance(v, bool) else real(v) for k, v in values.items()}
    if table.get("name", "adam") == "sgd":
        return SGD(**typed)
    for k in (1, 2):
        declared = table.get(f"beta_{k}")
        declared = ADAM_DEFAULTS[f"beta_{k}"] if declared is None else declared
        typed[f"gain_{k}"] = real(quantise(1 - declared, dtype))
    return Adam(**typed)


def quantise(value: Any, dtype: str) -> Any:
    """A number as the declared dtype holds it, as a Python float; booleans and None unchanged."""
    return value if value is None or isinstance(value, bool | str) else float(np.dtype(dtype).type(value))
