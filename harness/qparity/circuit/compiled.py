"""What a model was compiled with, as the tables of a scenario say it: loss and optimizer by name and arguments.

Only what a scenario can say exactly has a table: Keras' own losses, optimizers and schedules, with numbers as
arguments. All else (functions of one's own) is the script's own, and trained with as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from qparity.oracle.optimizers import LAWS
from qparity.oracle.schedules import SCHEDULES
from qparity.scenario.errors import ScenarioError
from qparity.scenario.losses import LOSSES
from qparity.scenario.optimizer import Optimizer
from qparity.scenario.schedule import checked_schedule

Schedule = keras.optimizers.schedules.LearningRateSchedule
RATE_AS_GIVEN = "_rate_as_given"
AVERAGES = ("ema_overwrite_frequency", "ema_momentum")
EXCLUDED = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")


@contextlib.contextmanager
def rates_kept() -> Iterator[None]:
    """Keep the learning rate that an optimizer is made with: Keras holds it in a variable, which may round it."""
    kind = keras.optimizers.Optimizer
    own = vars(kind).get("__init__")
    usual = kind.__init__

    def init(self: Any, learning_rate: Any, *arguments: Any, **options: Any) -> None:
        usual(self, learning_rate, *arguments, **options)
        object.__setattr__(self, RATE_AS_GIVEN, learning_rate)

    kind.__init__ = init
    try:
        yield
    finally:
        if own is None:
            del kind.__init__
        else:
            kind.__init__ = own


def optimizer_table(optimizer: Any) -> dict[str, Any] | None:
    """`{"name", "learning_rate", ...}` of one of Keras' optimizers; None where that does not say all of it.

    Averages of the weights (`use_ema`) that never take their place do not enter a training, and are left out.
    """
    law = LAWS.get(type(optimizer).__name__.lower())
    if law is None or not type(optimizer).__module__.startswith("keras."):
        return None
    if any(getattr(optimizer, name, None) for name in EXCLUDED):
        return None
    if isinstance(optimizer._learning_rate, Schedule) and schedule_table(optimizer) is None:
        return None
    averages = optimizer.use_ema and optimizer.ema_overwrite_frequency
    table: dict[str, Any] = {"name": law.name, "learning_rate": _rate(optimizer)}
    for name in law.all_arguments():
        if name == "learning_rate" or (name in AVERAGES and not averages):
            continue
        value = getattr(optimizer, name, None)
        if isinstance(value, np.floating | np.integer):
            value = value.item()
        if value is not None:
            table[name] = value
    try:
        return Optimizer.model_validate(table).model_dump(mode="json")
    except (ValueError, ScenarioError):
        return None


def schedule_table(optimizer: Any) -> dict[str, Any] | None:
    """`{"name", ...}` of one of Keras' schedules, without the initial rate; None for any other learning rate."""
    found = optimizer._learning_rate
    for name, law in SCHEDULES.items():
        if type(found) is getattr(keras.optimizers.schedules, law.keras):
            held = {key: getattr(found, key, getattr(found, f"_{key}", None)) for key in law.arguments}
            told = {key: _plain(value) for key, value in held.items() if value != law.arguments[key]}
            try:
                return checked_schedule({"name": name, **told})
            except ScenarioError:
                return None
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.floating | np.integer) else value


def _rate(optimizer: Any) -> Any:
    """The learning rate as it was given, or as it has been set since; of a schedule the initial one."""
    given = getattr(optimizer, RATE_AS_GIVEN, None)
    if isinstance(optimizer._learning_rate, Schedule):
        values = getattr(optimizer._learning_rate, "values", None)
        return float(values[0] if values else optimizer._learning_rate.initial_learning_rate)
    if not isinstance(optimizer._learning_rate, keras.Variable):
        return None
    now = float(keras.ops.convert_to_numpy(optimizer._learning_rate))
    if isinstance(given, int | float | np.floating) and np.float32(given) == np.float32(now):
        return float(given)
    return now


def loss_table(loss: Any) -> dict[str, Any] | None:
    """`{"loss", "loss_options"}` of one of Keras' losses, given as it is to `compile`; None for any other."""
    try:
        found = keras.losses.get(loss) if isinstance(loss, str | dict) else loss
    except ValueError:
        return None
    for name, kind in LOSSES.items():
        if kind.keras is None:
            continue
        usual = getattr(keras.losses, kind.keras)
        if found is usual or found is usual().fn:
            return {"loss": name}
        if type(found) is usual:
            return _with_options(name, found, usual())
    return None


def _with_options(name: str, loss: Any, usual: Any) -> dict[str, Any] | None:
    """The table of an instance of a loss; None where it has an option that a scenario has not."""
    if loss.reduction != usual.reduction or loss.dtype != usual.dtype:
        return None
    options: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, value in loss._fn_kwargs.items():
        (options if key in LOSSES[name].options else others)[key] = value
    if any(value != usual._fn_kwargs.get(key) for key, value in others.items()):
        return None
    changed = {key: value for key, value in options.items() if value != LOSSES[name].options[key]}
    return {"loss": name, **({"loss_options": changed} if changed else {})}
