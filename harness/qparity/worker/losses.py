"""The losses of the `exact` channel: Keras' definitions, computed in the dtype of the predictions throughout.

Keras' own take means of float64 in float32 on torch and JAX, and read constants through float32 on TensorFlow. Here
constants enter through operators and `ops.clip`, which keep them, and means are sums divided.
Source of the formulas: `keras/src/losses/losses.py` of Keras 3.15. Probabilities are clipped by 1e-7 on both sides, as
Keras defines it, whatever a backend does with the logits that it finds behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log
from typing import Any

import keras
import numpy as np
from keras import ops

from qparity.scenario.losses import LOSSES

EPSILON = 1e-7
SampleLoss = Callable[[Any, Any], Any]


def keras_loss(name: str, options: dict[str, Any]) -> keras.losses.Loss:
    """Keras' own loss of a name."""
    kind = LOSSES[name].keras
    assert kind is not None
    return getattr(keras.losses, kind)(**options)


def sample_loss(name: str, options: dict[str, Any]) -> SampleLoss:
    """The loss of each sample, `(y, predictions) -> (batch,)`, both (batch, outputs...)."""
    formula = _FORMULAS[name]
    chosen = LOSSES[name].options | options

    def compute(y: Any, f: Any) -> Any:
        y = ops.cast(y, f.dtype)
        if len(y.shape) == len(f.shape) - 1 and name != "sparse_categorical_crossentropy":
            y = ops.expand_dims(y, -1)
        terms = formula(y, f, **chosen)
        return mean_of_rest(terms) if len(terms.shape) == len(f.shape) else terms

    return compute


def mean_of_rest(values: Any) -> Any:
    """Over all axes but the first. Sum and division, never `ops.mean`: on torch and JAX that is float32 in float64."""
    shape = values.shape
    if len(shape) == 1:
        return values
    outputs = int(np.prod(shape[1:]))
    return ops.sum(ops.reshape(values, (-1, outputs)), axis=-1) / outputs


def _at_least(x: Any, least: float) -> Any:
    return ops.clip(x, least, inf)


def _softplus(x: Any) -> Any:
    """log(1 + e^x); torch's own is x itself above 20."""
    return _at_least(x, 0.0) + ops.log1p(ops.exp(-ops.abs(x)))


def _huber(y: Any, f: Any, delta: float) -> Any:
    size = ops.abs(f - y)
    inner = ops.clip(size, 0.0, delta)
    return inner * inner * 0.5 + (size - inner) * delta


def _log_cosh(y: Any, f: Any) -> Any:
    return f - y + _softplus((f - y) * -2.0) - log(2.0)


def _signs(y: Any) -> Any:
    """Labels 0 and 1 become -1 and 1; a batch with any other value is left alone."""
    binary = ops.cast(ops.all(ops.logical_or(y == 0, y == 1)), y.dtype)
    return y + binary * (y - 1)


def _hinge(y: Any, f: Any) -> Any:
    return _at_least(1 - _signs(y) * f, 0.0)


def _squared_hinge(y: Any, f: Any) -> Any:
    return ops.square(_hinge(y, f))


def _categorical_hinge(y: Any, f: Any) -> Any:
    return _at_least(ops.max((1 - y) * f, axis=-1) - ops.sum(y * f, axis=-1) + 1, 0.0)


def _kl_divergence(y: Any, f: Any) -> Any:
    y, f = ops.clip(y, EPSILON, 1.0), ops.clip(f, EPSILON, 1.0)
    return ops.sum(y * ops.log(y / f), axis=-1)


def _cosine_similarity(y: Any, f: Any) -> Any:
    def normal(x: Any) -> Any:
        return x / _at_least(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-12)

    return -ops.sum(normal(y) * normal(f), axis=-1)


def _smoothed(y: Any, label_smoothing: float, classes: int) -> Any:
    return y * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else y


def _probability(f: Any) -> Any:
    return ops.clip(f, EPSILON, 1 - EPSILON)


def _binary(y: Any, f: Any, from_logits: bool, label_smoothing: float) -> Any:
    y = _smoothed(y, label_smoothing, 2)
    if from_logits:
        return _softplus(f) - f * y
    p = _probability(f)
    return -(y * ops.log(p) + (1 - y) * ops.log(1 - p))


def _log_shares(f: Any, from_logits: bool) -> Any:
    """The logarithms of the classes' probabilities."""
    if from_logits:
        shifted = f - ops.max(f, axis=-1, keepdims=True)
        return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))
    return ops.log(_probability(f / ops.sum(f, axis=-1, keepdims=True)))


def _categorical(y: Any, f: Any, from_logits: bool, label_smoothing: float) -> Any:
    return -ops.sum(_smoothed(y, label_smoothing, f.shape[-1]) * _log_shares(f, from_logits), axis=-1)


def _sparse_categorical(y: Any, f: Any, from_logits: bool) -> Any:
    labels = ops.reshape(ops.cast(y, "int32"), (-1,))
    return -ops.sum(ops.one_hot(labels, f.shape[-1], dtype=f.dtype) * _log_shares(f, from_logits), axis=-1)


def _binary_focal(
    y: Any, f: Any, apply_class_balancing: bool, alpha: float, gamma: float, from_logits: bool, label_smoothing: float
) -> Any:
    y = _smoothed(y, label_smoothing, 2)
    f = ops.sigmoid(f) if from_logits else f
    missing = 1 - (y * f + (1 - y) * (1 - f))
    loss = missing**gamma * _binary(y, f, False, 0.0)
    return (y * alpha + (1 - y) * (1 - alpha)) * loss if apply_class_balancing else loss


def _categorical_focal(y: Any, f: Any, alpha: float, gamma: float, from_logits: bool, label_smoothing: float) -> Any:
    logs = _log_shares(ops.softmax(f, axis=-1) if from_logits else f, False)
    terms = (1 - ops.exp(logs)) ** gamma * alpha * _smoothed(y, label_smoothing, f.shape[-1]) * logs
    return -ops.sum(terms, axis=-1)


_FORMULAS: dict[str, Callable[..., Any]] = {
    "mse": lambda y, f: ops.square(f - y),
    "energy": lambda y, f: f,
    "mae": lambda y, f: ops.abs(f - y),
    "mape": lambda y, f: 100 * ops.abs((y - f) / _at_least(ops.abs(y), EPSILON)),
    "msle": lambda y, f: ops.square(ops.log(_at_least(f, EPSILON) + 1) - ops.log(_at_least(y, EPSILON) + 1)),
    "huber": _huber,
    "log_cosh": _log_cosh,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "categorical_hinge": _categorical_hinge,
    "kl_divergence": _kl_divergence,
    "poisson": lambda y, f: f - y * ops.log(f + EPSILON),
    "cosine_similarity": _cosine_similarity,
    "binary_crossentropy": _binary,
    "categorical_crossentropy": _categorical,
    "sparse_categorical_crossentropy": _sparse_categorical,
    "binary_focal_crossentropy": _binary_focal,
    "categorical_focal_crossentropy": _categorical_focal,
}  # fmt: skip
