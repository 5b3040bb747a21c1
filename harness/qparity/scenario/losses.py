"""The losses by name: Keras' class, and its options with their defaults. `energy` is our own: the mean output."""

from __future__ import annotations

from typing import Any, NamedTuple


class LossKind(NamedTuple):
    """A loss: its class in `keras.losses` (none for one of ours) and its options."""

    keras: str | None
    options: dict[str, Any]


_LABELS = {"from_logits": False, "label_smoothing": 0.0}
_FOCAL = {"alpha": 0.25, "gamma": 2.0, **_LABELS}

LOSSES: dict[str, LossKind] = {
    "mse": LossKind("MeanSquaredError", {}),
    "energy": LossKind(None, {}),
    "mae": LossKind("MeanAbsoluteError", {}),
    "mape": LossKind("MeanAbsolutePercentageError", {}),
    "msle": LossKind("MeanSquaredLogarithmicError", {}),
    "huber": LossKind("Huber", {"delta": 1.0}),
    "log_cosh": LossKind("LogCosh", {}),
    "hinge": LossKind("Hinge", {}),
    "squared_hinge": LossKind("SquaredHinge", {}),
    "categorical_hinge": LossKind("CategoricalHinge", {}),
    "kl_divergence": LossKind("KLDivergence", {}),
    "poisson": LossKind("Poisson", {}),
    "cosine_similarity": LossKind("CosineSimilarity", {}),
    "binary_crossentropy": LossKind("BinaryCrossentropy", _LABELS),
    "categorical_crossentropy": LossKind("CategoricalCrossentropy", _LABELS),
    "sparse_categorical_crossentropy": LossKind("SparseCategoricalCrossentropy", {"from_logits": False}),
    "binary_focal_crossentropy": LossKind("BinaryFocalCrossentropy", {"apply_class_balancing": False, **_FOCAL}),
    "categorical_focal_crossentropy": LossKind("CategoricalFocalCrossentropy", _FOCAL),
}
WITH_CLASSES = ("sparse_categorical_crossentropy",)
"""Losses whose targets are the numbers of classes: (samples, 1), whatever the model returns."""
