"""What a backend must answer: its environment, its compile options, and one uniform training step.

Adding a backend is one file with a subclass of `Backend` and one line in `backends.REGISTRY`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.worker.backends.taps import Pass


@dataclass(frozen=True)
class Step:
    """One training step: what was computed, after the optimizer has been applied.

    `loss` is (), `predictions` (batch, outputs...), `sample_loss` (batch,), `gradients` one array a trainable weight,
    all in the backend's own dtype.
    """

    loss: np.ndarray
    predictions: np.ndarray
    sample_loss: np.ndarray
    gradients: list[np.ndarray]


class Backend(ABC):
    """One Keras backend inside its server process."""

    name: ClassVar[str]
    modes: ClassVar[tuple[str, ...]]

    def __init__(self, accelerator: str, threads: int) -> None:
        """Import the framework; execute nothing (the server forks)."""
        self.accelerator, self.threads = accelerator, threads

    @staticmethod
    def environment(accelerator: str, threads: int) -> dict[str, str]:
        """Environment variables that must stand before the framework is imported."""
        raise NotImplementedError

    def start(self, dtype: str) -> None:  # noqa: B027 (nothing to do is a fine answer)
        """Prepare a forked child for cells of this dtype, before its first operation."""

    @abstractmethod
    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Keyword arguments of `model.compile` for a mode."""

    @abstractmethod
    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[[Any, Any], Step]:
        """The uniform step of a mode on a compiled model: `(x, y) -> Step`, having updated the model.

        `whole_batches` says that all batches have one size; where not, `fit` may run another program (TensorFlow).
        """

    @abstractmethod
    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[[Any, Any], Pass]:
        """What crosses the quantum layers' boundaries: `(x, y) -> Pass`, computed as a step is, updating nothing."""

    @abstractmethod
    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`, where the tensor lies."""

    @abstractmethod
    def flags(self) -> dict[str, Any]:
        """Settings that change numerics or speed, as the framework reads them."""

    def compilations(self) -> int:
        """How many programs have been traced or compiled so far; an eager backend compiles none."""
        return 0

    def sync(self) -> None:  # noqa: B027 (a synchronous backend has nothing to wait for)
        """Wait until everything dispatched has been computed."""
