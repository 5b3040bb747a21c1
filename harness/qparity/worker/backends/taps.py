"""Taps around the quantum layers of a model: what a backend's boundary pass reads, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Crossing:
    """One quantum layer's boundary in a step: inputs (rows, features), outputs (rows, outputs), and their gradients.

    The rows are those of all the layer's calls in the step, one call after the other. `cotangents` is the loss's
    gradient with respect to the outputs. `input_gradients` is what comes back through the layer alone, whoever else
    reads the same tensor; None where no trainable weight stands before the layer, so that training never asks for it.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    cotangents: np.ndarray
    input_gradients: np.ndarray | None
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Extra:
    """What Keras adds to a model's loss: regularizers, activity regularizers, `add_loss`.

    `loss` is their sum; `gradients` (place among the trainable weights -> array) is what they add to the gradients of
    the quantum layers' weights directly, not through a circuit.
    """

    loss: np.ndarray
    gradients: dict[int, np.ndarray]


@dataclass(frozen=True, slots=True)
class Pass:
    """A boundary pass: the model's predictions, one crossing a quantum layer, and what Keras adds to the loss."""

    predictions: np.ndarray
    crossings: list[Crossing]
    extra: Extra | None = None


class NotTapped(Exception):
    """A layer that is not called in a step has no boundary."""


@dataclass(slots=True)
class Call:
    """One call of a tapped layer, in the backend's tensors: its own copies of inputs and weights, and its outputs."""

    inputs: Any
    weights: dict[str, Any]
    outputs: Any


@dataclass
class Tap:
    """Stands in for a layer's executor and keeps what passes.

    It sits inside the layer, so that a subclass that scales its inputs first is tapped where the circuit begins. What
    enters is a copy of the layer's own (`copy`): the gradient of the tensor itself holds what comes back through every
    other layer that reads it.
    """

    executor: Any
    copy: Callable[[Any], Any]
    calls: list[Call] = field(default_factory=list)

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """Run the circuit."""
        call = Call(self.copy(inputs), {name: self.copy(w) for name, w in weights.items()}, None)
        call.outputs = self.executor(call.weights, call.inputs)
        self.calls.append(call)
        return call.outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@contextmanager
def tapped(layers: Sequence[Any], tap: Callable[[Any], Tap]) -> Iterator[list[Any]]:
    """The layers with a tap each (made from the layer's executor), which is taken away again.

    Raises:
        NotTapped: on leaving, if a layer was not called.
    """
    before = [layer.executor for layer in layers]
    taps = [tap(executor) for executor in before]
    try:
        for layer, each in zip(layers, taps, strict=True):
            layer._executor = each
        yield taps
    finally:
        for layer, executor in zip(layers, before, strict=True):
            layer._executor = executor
    for layer, each in zip(layers, taps, strict=True):
        if not each.calls:
            raise NotTapped(f"{layer.name} is not called in a step")


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all calls, one call after the other."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
