"""Models of several inputs or outputs as models of one: arrays side by side, (samples, numbers), and one loss.

What records, trains and judges knows one array of inputs, one of predictions and one loss. A `fit` of several hands
over a model around its own that takes the arrays apart and puts the outputs together; the layers within stay what they
are, so each is recorded and judged as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common.masking import get_keras_mask
from keras.src.trainers.compile_utils import get_loss


class Unlike(Exception):
    """Arrays or losses that do not belong to a model's inputs or outputs; one line that says why."""


def is_several(value: Any) -> bool:
    """Whether data are a dict, list or tuple of arrays, and not one array (a list of numbers is one)."""
    if isinstance(value, dict):
        return True
    return isinstance(value, list | tuple) and any(hasattr(each, "shape") for each in value)


@dataclass(frozen=True)
class Part:
    """One array of several: the shape of a sample, and whether it holds whole numbers."""

    shape: tuple[int, ...]
    whole: bool

    @classmethod
    def of(cls, array: np.ndarray) -> Part:
        """Of an array (samples, ...)."""
        return cls(array.shape[1:], array.dtype.kind in "biu")


def side_by_side(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of (samples, ...) as one of (samples, numbers).

    Raises:
        Unlike: they have different numbers of samples.
    """
    counts = {len(array) for array in arrays}
    if len(counts) != 1:
        raise Unlike(f"arrays of {' and '.join(map(str, sorted(counts)))} samples: expected as many in each")
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def joined(value: Any, as_array: Callable[[Any], np.ndarray]) -> tuple[np.ndarray, Any]:
    """Data as one array, and the structure of their Parts where there are several; None where there is one.

    Raises:
        Unlike: they have different numbers of samples.
    """
    if not is_several(value):
        return as_array(value), None
    arrays = [as_array(each) for each in keras.tree.flatten(value)]
    return side_by_side(arrays), keras.tree.pack_sequence_as(value, [Part.of(array) for array in arrays])


def taken_apart(joined: Any, parts: Sequence[Part]) -> list[Any]:
    """The inverse of `side_by_side`, of tensors; whole numbers become int32."""
    found, start = [], 0
    for part in parts:
        end = start + math.prod(part.shape)
        tensor = ops.reshape(joined[:, start:end], (-1, *part.shape))
        found.append(ops.cast(tensor, "int32") if part.whole else tensor)
        start = end
    return found


class OneOfSeveral(keras.Model):
    """A model of one input and one output around a model of several.

    Args:
        model: the model; it is not changed.
        inputs: the Parts of its inputs in the structure that `fit` was given; None for one, handed through as it is.
        several: whether it has several outputs; the only one of another is handed through.
    """

    def __init__(self, model: keras.Model, inputs: Any, several: bool) -> None:
        # not the policy of its layers: half precision would round whole numbers on their way in, and outputs
        super().__init__(name=f"{model.name}_as_one", dtype=keras.config.floatx())
        self.model, self.several = model, several
        self._taken_apart = None if inputs is None else _Structure(inputs)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Predictions, (batch, ...); of several outputs (batch, numbers)."""
        out = self.model(x if self._taken_apart is None else self._taken_apart(x), training=training)
        if not self.several:
            return out
        each = [ops.cast(one, self.compute_dtype) for one in keras.tree.flatten(out)]
        return ops.concatenate([ops.reshape(one, (-1, math.prod(one.shape[1:]))) for one in each], axis=1)


class _Structure:
    """The inverse of `joined`. An object of its own, since Keras makes lists and dicts of its own of a layer's."""

    def __init__(self, parts: Any) -> None:
        self.parts = parts

    def __call__(self, x: Any) -> Any:
        return keras.tree.pack_sequence_as(self.parts, taken_apart(x, keras.tree.flatten(self.parts)))


class LossOfSeveral(keras.losses.Loss):
    """The weighted sum of the losses of several outputs, (batch,), from predictions and targets side by side.

    Keras takes the mean of each over the batch, then the weighted sum: up to rounding the mean of this.

    Args:
        losses: a Keras loss of each output; None for one that is not trained on.
        weights: of each in the sum.
        outputs: the Part of each output.
        targets: the Parts of the targets as they stand side by side.
        which: the number of each output's target.
    """

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss | None],
        weights: Sequence[float],
        outputs: Sequence[Part],
        targets: Sequence[Part],
        which: Sequence[int],
    ) -> None:
        super().__init__(name="loss_of_several")
        self.losses, self.weights, self.outputs = losses, weights, outputs
        self.targets, self.which = [Part(part.shape, False) for part in targets], which

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One number a sample."""
        ys, total = taken_apart(y_true, self.targets), 0.0
        for k, f in enumerate(taken_apart(y_pred, self.outputs)):
            if (loss := self.losses[k]) is not None:
                each = loss.call(ys[self.which[k]], f)
                rest = math.prod(each.shape[1:])
                total = total + ops.sum(ops.reshape(each, (-1, rest)), axis=-1) / rest * self.weights[k]
        return total


def loss_of_several(model: keras.Model, x: np.ndarray, inputs: Any, targets: Any, loss: Any, weights: Any) -> Any:
    """The loss of a model of several outputs on targets side by side.

    Args:
        model: the model as the script has it, built.
        x: two samples, side by side where there are several inputs.
        inputs, targets: the structures of their Parts; None where there is one.
        loss, weights: what `compile` was given as `loss` and `loss_weights`.

    Raises:
        Unlike: targets, losses or weights are not those of the outputs.
    """
    head = ops.convert_to_tensor(x)
    out = model(head if inputs is None else _Structure(inputs)(head))
    if not isinstance(out, dict | list | tuple):
        raise Unlike(f"{len(keras.tree.flatten(targets))} targets for 1 output: expected one array of targets")
    keys = list(out) if isinstance(out, dict) else None
    every = [out[key] for key in sorted(out)] if keys else list(out)
    names = sorted(keys) if keys else [str(name) for name in getattr(model, "output_names", range(len(every)))]
    if targets is None:
        raise Unlike(f"one array of targets for {len(every)} outputs: expected one for each")
    if masked := [name for name, one in zip(names, every, strict=True) if get_keras_mask(one) is not None]:
        raise Unlike(f"several outputs, and {', '.join(masked)} has a mask: expected none, or one output")
    parts = keras.tree.flatten(targets)
    numbered = keras.tree.pack_sequence_as(targets, list(range(len(parts))))
    which = of_outputs(numbered, names, "targets")
    single = not isinstance(loss, dict | list | tuple)
    losses = [loss] * len(every) if single else of_outputs(loss, names, "losses")
    shares = [1.0] * len(every) if weights is None else of_outputs(weights, names, "loss_weights")
    made: list[keras.losses.Loss | None] = []
    for k, (name, one) in enumerate(zip(names, losses, strict=True)):
        if one is not None and which[k] is None:
            raise Unlike(f"no targets of the output {name}")
        made.append(None if one is None else get_loss(one, np.zeros((2, *parts[which[k]].shape)), every[k]))
        if made[-1] is not None and made[-1].reduction not in ("sum_over_batch_size", "mean"):
            raise Unlike(f"the loss of {name} has reduction={made[-1].reduction!r}: expected the mean over the batch")
    outputs = [Part(tuple(one.shape[1:]), False) for one in every]
    return LossOfSeveral(made, [1.0 if share is None else float(share) for share in shares], outputs, parts, which)


def of_outputs(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """`value` for each output: of a dict that of its name (or None), of a list in order.

    Raises:
        Unlike: it names other outputs, or another number of them.
    """
    if isinstance(value, dict):
        if unknown := sorted(set(map(str, value)) - set(names)):
            raise Unlike(f"{what} of {', '.join(unknown)}: expected those of the outputs {', '.join(names)}")
        return [value.get(name) for name in names]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        count = len(value) if isinstance(value, list | tuple) else 1
        raise Unlike(f"{count} {what} for {len(names)} outputs: expected one for each")
    return list(value)
