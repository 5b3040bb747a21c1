"""Loss and optimizer of a scenario, in one of two channels.

`exact`: a loss of ours written in the declared dtype and hyper-parameters passed in it. `stock`: Keras' own loss and
plain Python floats, which is what a user of `model.fit` gets; Keras computes parts of that in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from qparity.oracle.optimizers import LAWS
from qparity.scenario.backends import BACKENDS
from qparity.scenario.losses import LOSSES
from qparity.scenario.schema import Training
from qparity.worker.losses import SampleLoss, keras_loss, sample_loss


class ExactLoss(keras.losses.Loss):
    """Mean over the batch of a per-sample loss, in the dtype of the predictions."""

    def __init__(self, sample_loss: Callable[[Any, Any], Any], name: str) -> None:
        super().__init__(name=name)
        self.sample_loss = sample_loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Scalar loss; bypasses Keras' own reduction, which is the float32 `mean`."""
        each = self.sample_loss(y_true, y_pred)
        return ops.sum(each) / ops.cast(ops.shape(each)[0], each.dtype)


def make_loss(training: Training) -> Any:
    """The Keras loss of a scenario's channel."""
    if training.numerics == "stock" and LOSSES[training.loss].keras:
        return keras_loss(training.loss, training.loss_options or {})
    return ExactLoss(sample_loss_of(training), training.loss)


def sample_loss_of(training: Training) -> SampleLoss:
    """The loss of each sample, for the record."""
    return sample_loss(training.loss, training.loss_options or {})


def make_optimizer(training: Training, dtype: str) -> Any:
    """The Keras optimizer of a scenario's channel.

    TensorFlow casts a Python float to float32 on its way to float64; a NumPy float64 keeps its digits there. The other
    backends keep them anyhow (and `torch.compile` cannot take NumPy scalars).
    """
    options = training.optimizer.arguments
    careful = training.numerics == "exact" and dtype == "float64" and BACKENDS[keras.backend.backend()].narrows_floats
    if careful:
        options = {k: np.float64(v) if isinstance(v, float) else v for k, v in options.items()}
    return getattr(keras.optimizers, LAWS[training.optimizer.name].keras)(**options)


def hyperparameters_as_read(optimizer: Any, training: Training, dtype: str) -> dict[str, Any]:
    """What the backend makes of each number: cast to the variables' dtype by the backend's own cast, read back."""
    read: dict[str, Any] = {}
    for name, declared in training.optimizer.arguments.items():
        value = getattr(optimizer, name)
        if isinstance(declared, bool) or value is None:
            read[name] = value
        else:
            read[name] = float(ops.convert_to_numpy(ops.cast(value, dtype)))
    return read
