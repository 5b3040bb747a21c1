"""What a backend must answer: its compile options, and one uniform training step.

Adding a backend that PennyLane has an interface for is one file, `worker/backends/<name>.py` with a subclass of
`Backend`, and one entry, in `_FACTS` of `scenario/backends.py`. With these its variants are parsed, started, trained,
judged, timed and drawn. Two things more are optional: an entry in `SNIPPETS` of `diagnose/snippets.py`, without which
`qparity reproduce` says that it has no script for this backend, and in `TRACERS` of `circuit/tensors.py`, without which
nobody notices a quantum function that loses gradients by computing with NumPy. Cures for what PennyLane does wrong on a
framework stand in `circuit/execution.py` and `circuit/on_device.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qparity.worker.backends.taps import Pass


@dataclass(frozen=True)
class Step:
    """One training step: what was computed, after the optimizer has been applied.

    `loss` is (), `predictions` (batch, outputs...), `sample_loss` (batch,), `gradients` one array a trainable weight,
    all in the backend's own dtype. `devices` says where each of them lay, by name: `gradients/0` is `cpu` or `gpu`.
    `without_gradient` are the weights that the loss does not depend on, as far as the framework knows: their gradient
    is given as zero here, and the optimizer leaves them out.
    """

    loss: np.ndarray
    predictions: np.ndarray
    sample_loss: np.ndarray
    gradients: list[np.ndarray]
    devices: dict[str, str]
    without_gradient: tuple[int, ...] = ()


class Backend(ABC):
    """One Keras backend inside its server process."""

    name: ClassVar[str]

    def __init__(self, accelerator: str, threads: int) -> None:
        """Import the framework; execute nothing (the server forks)."""
        self.accelerator, self.threads = accelerator, threads

    def start(self, dtype: str, stock: bool = False) -> None:  # noqa: B027 (nothing to do is a fine answer)
        """Prepare a child for cells of this dtype, before its first operation.

        TF32 (products of float32 matrices with 11 bits, on a GPU) is off, unless `stock`: then the framework decides.
        """

    @abstractmethod
    def compile_options(self, mode: str, steps_per_epoch: int) -> dict[str, Any]:
        """Keyword arguments of `model.compile` for a mode."""

    @abstractmethod
    def stepper(
        self, model: Any, mode: str, sample_loss: Callable[[Any, Any], Any], whole_batches: bool = True
    ) -> Callable[..., Step]:
        """The uniform step of a mode on a compiled model: `(x, y, weight) -> Step`, having updated the model.

        `weight` is that of each sample in the loss, (batch,), or None.

        `whole_batches` says that all batches have one size; where not, `fit` may run another program (TensorFlow).
        """

    @abstractmethod
    def boundary_pass(self, model: Any, mode: str, layers: Sequence[Any]) -> Callable[..., Pass]:
        """What crosses the quantum layers' boundaries: `(x, y, weight) -> Pass`, as a step is, updating nothing."""

    @abstractmethod
    def hessian_product(self, model: Any, mode: str) -> Callable[..., list[np.ndarray]]:
        """The loss's Hessian times a direction: `(x, y, weight, direction) -> one array a trainable weight`.

        `direction` has an array for each trainable weight, in its dtype. The gradient is differentiated backwards
        again, in the mode of a step, and nothing is updated. Raises what the framework raises where it cannot.
        """

    @abstractmethod
    def layer_slopes(
        self,
        layer: Any,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        cotangents: list[np.ndarray],
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """Gradients of `sum(cotangent * output)` of one call of a layer, uncompiled: of its inputs, of its weights.

        Inputs are the floating-point tensors among `arguments` and `options`, weights the layer's trainable variables.
        """

    @abstractmethod
    def device_of(self, tensor: Any) -> str:
        """`cpu` or `gpu`, where the tensor lies."""

    def devices_of(self, loss: Any, predictions: Any, sample_loss: Any, gradients: Sequence[Any]) -> dict[str, str]:
        """Where the tensors of a step lie, by the names of `Step`."""
        named = {"loss": loss, "predictions": predictions, "sample_loss": sample_loss}
        named |= {f"gradients/{k}": gradient for k, gradient in enumerate(gradients)}
        return {name: self.device_of(tensor) for name, tensor in named.items()}

    def gpus(self) -> list[str]:
        """Names of the GPUs that the framework sees. Initialises CUDA: never to be asked in a server that forks."""
        return []

    def gpu_peak_bytes(self) -> int | None:
        """The most GPU memory that tensors have held so far; None on the CPU, or where the framework does not count."""
        return None

    @abstractmethod
    def flags(self) -> dict[str, Any]:
        """Settings that change numerics or speed, as the framework reads them.

        Every backend has `tf32` and `deterministic`; TF32 is a matter of GPUs, so that on the CPU it is never on.
        """

    @staticmethod
    @abstractmethod
    def mode_of(model: Any) -> str:
        """How a model was compiled, as the backend's modes are called: `compile_options` the other way round."""

    @staticmethod
    def kept_beside(model: Any) -> list[tuple[Callable[[Any], object], Any]]:
        """(function that puts a state back, the state) of what the framework keeps that a training changes.

        Beside the variables of model and optimizer: its random numbers, say.
        """
        return []

    @staticmethod  # noqa: B027 (most have no such switch)
    def to_training(model: Any) -> None:
        """Switch a model to training, where the framework has a switch of its own."""

    def compilations(self) -> int:
        """How many programs have been traced or compiled so far; an eager backend compiles none."""
        return 0

    def sync(self) -> None:  # noqa: B027 (a synchronous backend has nothing to wait for)
        """Wait until everything dispatched has been computed."""


def plain(array: np.ndarray) -> np.ndarray:
    """As it is, but for bfloat16, of which NumPy itself knows nothing: float32 holds the same numbers."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def loss_scale(optimizer: Any) -> Any:
    """What an optimizer multiplies the loss by before it is differentiated, as of now; None where by nothing.

    Gradients are recorded without it: the optimizer divides by it again before it does anything.
    """
    import keras

    dynamic = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.scale_loss(1.0) if dynamic or optimizer.loss_scale_factor else None


def added_to_loss(model: Any) -> Any:
    """The sum of what regularizers, activity regularizers and `add_loss` add to the loss; None where nothing does.

    To be asked where the loss is computed: on JAX a model knows its losses only there.
    """
    losses = model.losses
    return sum(model._aggregate_additional_loss(loss) for loss in losses) if losses else None


def weight_places(model: Any, layers: Sequence[Any]) -> dict[int, tuple[int, str]]:
    """The quantum layers' trainable weights: place among the model's -> (number of the layer, name in the layer)."""
    place = {id(w): k for k, w in enumerate(model.trainable_weights)}
    named = [(j, name, weight) for j, layer in enumerate(layers) for name, weight in layer._named_weights.items()]
    return {place[id(weight)]: (j, name) for j, name, weight in named if id(weight) in place}


def split(
    arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[list[Any], Callable[[Callable[..., Any], Sequence[Any]], list[Any]]]:
    """A call's floating-point tensors, and how to call with others in their place.

    Returns:
        the tensors, and a function of (call, tensors) that returns the floating-point tensors of the outputs.
    """
    import keras

    leaves = keras.tree.flatten((arguments, options))
    places = [k for k, leaf in enumerate(leaves) if is_number(leaf)]

    def call_with(call: Callable[..., Any], tensors: Sequence[Any]) -> list[Any]:
        filled = list(leaves)
        for k, tensor in zip(places, tensors, strict=True):
            filled[k] = tensor
        given, named = keras.tree.pack_sequence_as((arguments, options), filled)
        return [leaf for leaf in keras.tree.flatten(call(*given, **named)) if is_number(leaf)]

    return [leaves[k] for k in places], call_with


def is_number(tensor: Any) -> bool:
    """Whether it is a tensor of floating-point numbers."""
    import keras

    tensors = hasattr(tensor, "dtype") and hasattr(tensor, "shape")
    return tensors and "float" in keras.backend.standardize_dtype(tensor.dtype)
