"""Taps around the quantum layers of a model: what a backend's boundary pass reads, and what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Crossing:
    """One quantum layer's boundary in a step: inputs (rows, features), outputs (rows, outputs), and their gradients.

    `cotangents` is the loss's gradient with respect to the outputs. `input_gradients` is None where no trainable
    weight stands before the layer, so that training never asks for it.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    cotangents: np.ndarray
    input_gradients: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Pass:
    """A boundary pass: the model's predictions, and one crossing a quantum layer."""

    predictions: np.ndarray
    crossings: list[Crossing]


class NotTapped(Exception):
    """A layer that is not called exactly once with the model's rows has no one boundary."""


class Tap:
    """Stands in for a layer's executor and keeps what passes, in the backend's tensors.

    It sits inside the layer, so that a subclass that scales its inputs first is tapped where the circuit begins.
    `shifts`, a pair of zero arrays, are added to inputs and outputs where autodiff needs something to differentiate.
    """

    def __init__(self, executor: Any) -> None:
        self.executor = executor
        self.shifts: tuple[Any, Any] | None = None
        self.calls = 0

    def __call__(self, weights: Any, inputs: Any) -> Any:
        """Run the circuit."""
        self.calls += 1
        self.inputs = inputs
        if self.shifts is None or self.shifts[1].shape[0] != inputs.shape[0]:
            self.outputs = self.executor(weights, inputs)
            return self.outputs
        into, out_of = self.shifts
        self.outputs = self.executor(weights, inputs if into is None else inputs + into)
        return self.outputs + out_of

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@contextmanager
def tapped(layers: Sequence[Any]) -> Iterator[list[Tap]]:
    """The layers with a tap each, which is taken away again.

    Raises:
        NotTapped: on leaving, if a layer was not called exactly once.
    """
    taps = [Tap(layer.executor) for layer in layers]
    try:
        for layer, tap in zip(layers, taps, strict=True):
            layer._executor = tap
        yield taps
    finally:
        for layer, tap in zip(layers, taps, strict=True):
            layer._executor = tap.executor
    for layer, tap in zip(layers, taps, strict=True):
        if tap.calls != 1:
            raise NotTapped(f"{layer.name} is called {tap.calls} times a step: it has no one boundary")
