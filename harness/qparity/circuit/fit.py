"""What a `fit` was given: the arguments that decide what is trained, and the data as arrays, as Keras takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

import keras
import numpy as np

from qparity.circuit.several import Unlike, joined
from qparity.scenario.schema import DATA

MOST_BATCHES = 5_000
"""Of one epoch of a generator or data set: what yields more is taken for endless."""
MOST_BYTES = 2 * 2**30


class ScriptError(Exception):
    """A training that cannot be taken; one line that says why, and what to do."""


@dataclass(frozen=True)
class FitArguments:
    """The arguments of Keras' `fit` that decide what is trained, by their names there."""

    x: Any
    y: Any
    batch_size: Any
    epochs: Any
    callbacks: Any
    validation_split: Any
    validation_data: Any
    shuffle: Any
    class_weight: Any
    sample_weight: Any
    initial_epoch: Any
    steps_per_epoch: Any

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> FitArguments:
        """Of all its arguments, those left out included."""
        return cls(**{field.name: arguments[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Amount:
    """How much is trained: samples a step, passes over the data, and whether each has an order of its own."""

    batch_size: int
    epochs: int
    shuffle: bool = False


@dataclass(frozen=True)
class FitData:
    """The data of a `fit`, and how much is trained on them.

    `x` and `y` are (samples, ...), `weight` (samples,) or None. Of several inputs or targets they are (samples,
    numbers), side by side, and `inputs` or `targets` the structure of their `several.Part`.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    amount: Amount
    inputs: Any = None
    targets: Any = None


def data_and_amount(given: FitArguments, notes: list[str]) -> FitData:
    """The data, and how much is trained on them; what that leaves out goes to the notes.

    Raises:
        ScriptError: they cannot be taken.
    """
    x, y, weight = given.x, given.y, given.sample_weight
    if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape"):
        x = x[0]
    if isinstance(y, list | tuple) and len(y) == 1 and hasattr(y[0], "shape"):
        y = y[0]
    first, last = int(given.initial_epoch), int(given.epochs)
    if cap := keras.config.max_epochs():
        last = min(last, cap)
    if last <= first:
        raise ScriptError(f"fit trains nothing: it is given epochs={last} and initial_epoch={first}")
    epochs = last - first
    from keras.src.trainers.data_adapters import array_data_adapter

    if array_data_adapter.can_convert_arrays((x, y)) or isinstance(x, list | dict):
        return _arrays(x, y, weight, given, epochs, notes)
    return _generated(x, y, weight, given, epochs, notes)


def _arrays(x: Any, y: Any, weight: Any, given: FitArguments, epochs: int, notes: list[str]) -> FitData:
    """As Keras' array adapter and its epoch iterator take them."""
    if y is None:
        raise ScriptError("fit is given no targets: expected y")
    if weight is not None and given.class_weight is not None:
        raise ScriptError("fit is given sample_weight and class_weight: expected one of them")
    (x, inputs), (y, targets) = _joined(x, "x"), _joined(y, "y")
    weight = None if weight is None else _array(weight, "sample_weight")
    if len(x) != len(y):
        raise ScriptError(f"fit is given {len(x)} samples and {len(y)} targets")
    if (share := given.validation_split) and given.validation_data is None:
        kept = math.floor(len(x) * (1.0 - share))
        if not 0 < kept < len(x):
            raise ScriptError(f"validation_split={share!r} leaves {kept} of {len(x)} samples: expected some for both")
        notes.append(f"validation_split: trained on the first {kept} of {len(x)} samples, as fit does")
        x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
    weight = _weights(y, weight, given.class_weight)
    steps, size = given.steps_per_epoch, given.batch_size
    size = min(int(size or (math.ceil(len(x) / steps) if steps else 32)), len(x))
    if given.shuffle == "batch":
        notes.append("shuffle='batch' is overruled: all samples are shuffled")
    if steps and steps < (batches := math.ceil(len(x) / size)):
        # fit goes on in the next epoch where it has stopped in this one, from the data's beginning after their end
        spread = math.ceil(batches / steps)
        whole, rest = divmod(epochs, spread)
        if not whole:
            kept = min(len(x), epochs * steps * size)
            notes.append(f"steps_per_epoch: fit comes to {kept} of {len(x)} samples, here the first ones")
            x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
        elif rest:
            notes.append(f"steps_per_epoch: fit ends inside a pass over the data, here after {whole} whole ones")
        else:
            notes.append(f"steps_per_epoch: {spread} epochs of fit are one pass over the data, here one epoch")
        epochs = max(1, whole)
    return FitData(x, y, weight, Amount(size, epochs, bool(given.shuffle)), inputs, targets)


def _generated(x: Any, y: Any, weight: Any, given: FitArguments, epochs: int, notes: list[str]) -> FitData:
    """The batches of the first epoch of something that yields them."""
    from keras.src.trainers.data_adapters import get_data_adapter

    if given.validation_split and given.validation_data is None:
        raise ScriptError("fit is given validation_split and no arrays to split: Keras refuses that too")
    try:
        adapter = get_data_adapter(x=x, y=y, sample_weight=weight, steps_per_epoch=given.steps_per_epoch)
    except ValueError as error:
        raise ScriptError(f"fit is given data that Keras refuses: {' '.join(str(error).split())[:200]}") from None
    found = _batches(adapter.get_numpy_iterator(), given.steps_per_epoch)
    weight = _weights(found.y, found.weight, given.class_weight)
    shuffles = isinstance(given.x, keras.utils.PyDataset) and given.shuffle
    if epochs > 1 or shuffles:
        notes.append(f"the first epoch's batches are each epoch's{', unshuffled' if shuffles else ''}")
    return replace(found, weight=weight, amount=replace(found.amount, epochs=epochs))


def _weights(y: np.ndarray, weight: np.ndarray | None, classes: dict[int, float] | None) -> np.ndarray | None:
    """The samples' weights in the loss, (samples,); those of their classes become so as in Keras."""
    if classes is not None:
        if weight is not None:
            raise ScriptError("fit is given sample_weight and class_weight: expected one of them")
        from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

        if not isinstance(classes, dict):
            raise ScriptError("fit is given a class_weight that is no table: expected {class: weight}")
        weight = np.asarray(class_weight_to_sample_weights(y, classes))
    if weight is None:
        return None
    if weight.shape not in ((len(y),), (len(y), 1)):
        shapes = f"of shape {list(weight.shape)} for {len(y)} samples"
        raise ScriptError(f"fit is given sample weights {shapes}: expected one number a sample")
    return weight.reshape(-1)


def _batches(batches: Iterator[Any], steps: int | None) -> FitData:
    """The first epoch of something that yields batches."""
    columns: list[list[np.ndarray]] = []
    parts: list[Any] = [None, None]
    held = 0
    for batch in islice(batches, steps or MOST_BATCHES + 1):
        if not isinstance(batch, list | tuple) or len(batch) < 2 or batch[1] is None:
            raise ScriptError("the data yield no (inputs, targets): expected pairs")
        pairs = [_joined(each, name) for each, name in zip(batch, DATA, strict=False) if each is not None]
        row, parts = [array for array, _ in pairs], [structure for _, structure in pairs]
        held += sum(array.nbytes for array in row)
        if held > MOST_BYTES:
            raise ScriptError(f"an epoch of the data is more than {MOST_BYTES // 2**30} GiB: give steps_per_epoch")
        if columns and len(row) != len(columns[0]):
            raise ScriptError("the data yield sample weights with some batches alone: expected all or none")
        columns.append(row)
    if not columns:
        raise ScriptError("the data yield nothing")
    if len(columns) > MOST_BATCHES and not steps:
        raise ScriptError(f"the data yield more than {MOST_BATCHES} batches an epoch: give steps_per_epoch")
    sizes = [len(row[0]) for row in columns]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise ScriptError(f"the batches have {min(sizes)} to {max(sizes)} samples: expected one size, but for the last")
    x, y, *weight = (np.concatenate(arrays) for arrays in zip(*columns, strict=True))
    return FitData(x, y, weight[0] if weight else None, Amount(sizes[0], 1), *parts[:2])


def _joined(value: Any, name: str) -> tuple[np.ndarray, Any]:
    """See `several.joined`."""
    try:
        return joined(value, lambda each: _array(each, name))
    except Unlike as error:
        raise ScriptError(f"fit is given {name} of {error}") from None


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else keras.ops.convert_to_numpy(value))
    except Exception:
        array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise ScriptError(f"fit is given {name} of type {array.dtype}: expected an array of real numbers")
    return array
