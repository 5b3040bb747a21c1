"""Loss and optimizer of a scenario, in one of two channels.

`exact`: a loss of ours written in the declared dtype and hyper-parameters passed in it. `stock`: Keras' own loss and
plain Python floats, which is what a user of `model.fit` gets; Keras computes parts of that in float32.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from qparity.circuit.compiled import optimizer_table, schedule_table
from qparity.circuit.script import captured
from qparity.oracle.optimizers import LAWS
from qparity.oracle.schedules import SCHEDULES
from qparity.scenario.backends import BACKENDS
from qparity.scenario.losses import LOSSES
from qparity.scenario.optimizer import Optimizer
from qparity.scenario.schema import Scenario, Training
from qparity.worker.losses import SampleLoss, keras_loss, mean_of_rest, sample_loss


class ExactLoss(keras.losses.Loss):
    """Mean over the batch of a per-sample loss, times its weight, in the dtype of the predictions."""

    def __init__(self, sample_loss: Callable[[Any, Any], Any], name: str) -> None:
        super().__init__(name=name)
        self.sample_loss = sample_loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Scalar loss; bypasses Keras' own reduction, which is the float32 `mean`."""
        each = self.sample_loss(y_true, y_pred)
        if sample_weight is not None:
            each = each * ops.reshape(ops.cast(sample_weight, each.dtype), (-1,))
        return ops.sum(each) / ops.cast(ops.shape(each)[0], each.dtype)


def loss_of(scenario: Scenario) -> Any:
    """What a scenario's model is compiled with: a script's own loss as the script has it, else `make_loss`."""
    return captured().loss if scenario.script and "loss" in scenario.script.own else make_loss(scenario.training)


def optimizer_of(scenario: Scenario) -> Any:
    """A fresh optimizer of a scenario; a script's own as it would be at the beginning.

    A script whose optimizer is another one on this backend is trained with that: the setup stage finds it.
    """
    if scenario.script is None:
        return make_optimizer(scenario.training, scenario.dtype)
    mine = captured().optimizer
    if "optimizer" in scenario.script.own:
        return type(mine).from_config(mine.get_config())
    table = optimizer_table(mine)
    if table is None:
        return type(mine).from_config(mine.get_config())
    update = {"optimizer": Optimizer.model_validate(table), "schedule": schedule_table(mine)}
    here = scenario.training.model_copy(update=update)
    return make_optimizer(here, scenario.dtype)


def make_loss(training: Training) -> Any:
    """The Keras loss of a scenario's channel; a user's own function is the loss of each sample, its mean is taken."""
    if training.loss not in LOSSES:
        return ExactLoss(_each_sample(load_function(training.loss)), training.loss.rpartition(":")[2])
    if training.numerics == "stock" and LOSSES[training.loss].keras:
        return keras_loss(training.loss, training.loss_options or {})
    return ExactLoss(sample_loss(training.loss, training.loss_options or {}), training.loss)


def load_function(name: str) -> Callable[..., Any]:
    """The function of a `"package.module:function"`."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def sample_loss_of(scenario: Scenario) -> SampleLoss:
    """The loss of each sample, for the record."""
    training = scenario.training
    if scenario.script and "loss" in scenario.script.own:
        own = captured().loss
        return _each_sample(own.call if isinstance(own, keras.losses.Loss) else own)
    if training.loss not in LOSSES:
        return _each_sample(load_function(training.loss))
    return sample_loss(training.loss, training.loss_options or {})


def _each_sample(function: Any) -> SampleLoss:
    """One number a sample from whatever a user's loss returns; zeros where it is no function of single samples."""

    def compute(y: Any, f: Any) -> Any:
        rows = ops.shape(f)[0]
        if not callable(function):
            return ops.zeros((rows,), dtype=f.dtype)
        each = ops.convert_to_tensor(function(ops.cast(y, f.dtype), f))
        if not len(each.shape):
            return ops.zeros((rows,), dtype=f.dtype) + each
        return mean_of_rest(each)

    return compute


class Double(np.float64):
    """A number that TensorFlow does not narrow, and that leaves its product with a variable to the variable.

    NumPy would ask the variable for its values, which a graph does not have (Keras' Adadelta: `rho * accumulated_grad`,
    the one such product in its optimizers).
    """

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.Variable) else super().__mul__(other)


def make_optimizer(training: Training, dtype: str) -> Any:
    """The Keras optimizer of a scenario's channel.

    TensorFlow casts a Python float to float32 on its way to float64; a `Double` keeps its digits there. The other
    backends keep them anyhow (and `torch.compile` cannot take NumPy scalars).
    """
    options = training.optimizer.arguments
    careful = training.numerics == "exact" and dtype == "float64" and BACKENDS[keras.backend.backend()].narrows_floats
    if careful:
        options = {k: Double(v) if isinstance(v, float) else v for k, v in options.items()}
    if "ema_overwrite_frequency" in options:
        options = {**options, "use_ema": True}
    if training.schedule:
        options = {**options, "learning_rate": _schedule(training.schedule, options["learning_rate"], careful)}
    return getattr(keras.optimizers, LAWS[training.optimizer.name].keras)(**options)


def _schedule(table: dict[str, Any], rate: Any, careful: bool) -> Any:
    """The Keras schedule of a table; `careful` as in `make_optimizer`."""
    law = SCHEDULES[table["name"]]
    arguments = {key: value for key, value in table.items() if key != "name"}
    if careful:
        arguments = {k: Double(v) if isinstance(v, float) else v for k, v in arguments.items()}
    if law.rate:
        arguments[law.rate] = rate
    return getattr(keras.optimizers.schedules, law.keras)(**arguments)


def hyperparameters_as_read(optimizer: Any, scenario: Scenario) -> dict[str, Any]:
    """What the backend makes of each number: cast to the variables' dtype by the backend's own cast, read back.

    Nothing is declared of a script's own optimizer.
    """
    read: dict[str, Any] = {}
    dtype = scenario.dtype
    if scenario.script and "optimizer" in scenario.script.own:
        return read
    for name, declared in scenario.training.optimizer.arguments.items():
        if name == "learning_rate" and scenario.training.schedule:
            read[name] = declared  # the rate of each step is recorded, and judged by itself
            continue
        value = getattr(optimizer, name, None)
        if isinstance(declared, bool) or value is None:
            read[name] = value
        else:
            read[name] = float(ops.convert_to_numpy(ops.cast(value, dtype)))
    return read
