"""Taps around the quantum layers of a model: what a backend's boundary pass reads, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    """A layer that is not called exactly once a step with the model's rows has no one boundary."""


class Tap:
    """Stands in for a layer's executor and keeps what passes, in the backend's tensors.

    It sits inside the layer, so that a subclass that scales its inputs first is tapped where the circuit begins.
    Autodiff that needs an argument to differentiate puts it in by `enter` and `leave`.
    """

    def __init__(self, executor: Any, rows: int) -> None:
        self.executor, self.rows = executor, rows
        self.enter: Callable[[Any], Any] = _unchanged
        self.leave: Callable[[Any], Any] = _unchanged
        self.calls: list[int | None] = []

    def __call__(self, weights: Any, inputs: Any) -> Any:
        """Run the circuit."""
        self.calls.append(inputs.shape[0])
        whole = inputs.shape[0] in (self.rows, None)
        self.inputs = self.enter(inputs) if whole else inputs
        self.outputs = self.executor(weights, self.inputs)
        return self.leave(self.outputs) if whole else self.outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@contextmanager
def tapped(layers: Sequence[Any], rows: int) -> Iterator[list[Tap]]:
    """The layers with a tap each, which is taken away again; `rows` is the number of samples.

    Raises:
        NotTapped: on leaving, if a layer was not called exactly once with as many rows.
    """
    taps = [Tap(layer.executor, rows) for layer in layers]
    try:
        for layer, tap in zip(layers, taps, strict=True):
            layer._executor = tap
        yield taps
    finally:
        for layer, tap in zip(layers, taps, strict=True):
            layer._executor = tap.executor
    for layer, tap in zip(layers, taps, strict=True):
        if tap.calls not in ([rows], [None]):
            sizes = ", ".join(map(str, tap.calls)) or "no"
            raise NotTapped(f"{layer.name} is called with {sizes} rows in a step of {rows}: it has no one boundary")


def _unchanged(tensor: Any) -> Any:
    return tensor
