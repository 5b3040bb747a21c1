"""What a model is, beyond its layers: what it overrides, in which precision it computes, what it draws at random."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from qparity.circuit.model import example_batch

# what a subclass may replace of Keras' training, and what the audit then does not follow or cannot know
TRAINING = ("train_step", "make_train_function", "fit", "compute_loss", "compute_metrics")
DRAWS = ("normal", "uniform", "truncated_normal", "gamma", "beta", "binomial", "categorical", "randint")
BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


def overridden(model: keras.Model) -> list[str]:
    """The parts of Keras' training that the model replaces by its own."""
    own = [name for name in TRAINING if name in vars(model)]
    kept = {name: getattr(keras.Model, name) for name in TRAINING if hasattr(keras.Model, name)}
    return own + [name for name, usual in kept.items() if getattr(type(model), name) is not usual]


def lowest_precision(model: keras.Model) -> str:
    """The coarsest floating-point type that a layer of the model computes in."""
    found = {keras.backend.standardize_dtype(layer.compute_dtype) for layer in model._flatten_layers()}
    return min((dtype for dtype in found if dtype in BITS), key=lambda dtype: BITS[dtype], default="float32")


def constraint_of(variable: Any) -> dict[str, Any] | None:
    """What Keras does to a variable after each update: {name, config of plain values}; None where nothing is done."""
    constraint = getattr(variable, "constraint", None)
    if constraint is None:
        return None
    if not type(constraint).__module__.startswith("keras."):
        return {"name": f"{type(constraint).__module__}.{type(constraint).__name__}", "config": {}}
    config = {key: value for key, value in constraint.get_config().items() if isinstance(value, int | float | list)}
    return {"name": type(constraint).__name__, "config": config}


def sample_shape(model: keras.Model, features: int | Sequence[int]) -> list[int]:
    """What a model returns for one sample. Raises ValueError unless it is one output of known shape."""
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):  # a subclassed model does not know before it has run
        outputs = model(example_batch(features, keras.config.floatx()))
        shape = getattr(outputs, "shape", outputs)
    shape = tuple(shape) if isinstance(shape, tuple | list) or hasattr(shape, "__len__") else shape
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape[1:]):
        raise ValueError(f"the model returns {shape}: expected one output of known shape")
    return list(shape[1:])


def drawn_at_random(model: keras.Model, build: Callable[[], keras.Model]) -> set[str]:
    """Which variables start at random values: `weights/<k>` and `state/<j>` that differ when the model is built anew.

    Keras' random numbers are made other ones for that, so that a seeded initializer, whose numbers each backend makes
    for itself, is found too. What a user's code sets (pretrained or constant weights) stays the same.
    """
    with _other_draws():
        twin = build()
    found = set()
    for kind in ("weights", "state"):
        attribute = {"weights": "trainable_weights", "state": "non_trainable_variables"}[kind]
        pairs = zip(getattr(model, attribute), getattr(twin, attribute), strict=True)
        for number, (mine, other) in enumerate(pairs):
            a, b = (np.asarray(keras.ops.convert_to_numpy(each)) for each in (mine, other))
            if a.shape != b.shape or not np.array_equal(a, b):
                found.add(f"{kind}/{number}")
    return found


@contextlib.contextmanager
def _other_draws() -> Iterator[None]:
    """Keras' random numbers, each moved a little."""
    from keras.src import backend

    usual = {name: getattr(backend.random, name) for name in DRAWS if hasattr(backend.random, name)}

    def moved(draw: Callable[..., Any]) -> Callable[..., Any]:
        def drawn(*arguments: Any, **options: Any) -> Any:
            numbers = draw(*arguments, **options)
            real = "float" in keras.backend.standardize_dtype(numbers.dtype)
            return numbers * numbers * 0.5 + numbers * 0.25 + 0.1 if real else numbers + 1  # no scale: QR drops that

        return drawn

    for name, draw in usual.items():
        setattr(backend.random, name, moved(draw))
    try:
        yield
    finally:
        for name, draw in usual.items():
            setattr(backend.random, name, draw)
