"""The reference of a cell's loss, at its recorded predictions."""

from __future__ import annotations

import numpy as np

from qparity import oracle
from qparity.oracle.losses import WITH_LAW, Loss
from qparity.parity.boundary import rows
from qparity.parity.types import Observation


def loss_of(o: Observation, offsets: np.ndarray) -> Loss:
    """The loss of each step by the oracle. Raises `NotCovered` where the model has a loss of its own."""
    if "compute_loss" in o.outcome.resolved.own:
        raise oracle.NotCovered("the model has a compute_loss of its own")
    if o.loss not in WITH_LAW:
        raise oracle.NotCovered(f"the oracle has no law of the loss {o.loss}")
    if o.sample_weights is not None and o.recorded.predictions.ndim == 1:
        raise oracle.NotCovered("Keras weighs outputs without an axis as a whole, not sample by sample")
    _, real = oracle.reference_dtype(o.dtype)
    predictions: np.ndarray = rows(o.recorded.predictions).astype(real)
    weights = o.sample_weights
    weights = None if weights is None else weights.astype(real)
    return oracle.evaluate_loss(o.loss, predictions, o.targets.astype(real), offsets, weights)
