"""The laws of Keras' optimizers. To add one: a file here, its class in the list below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qparity.oracle.optimizers.adadelta import Adadelta
from qparity.oracle.optimizers.adafactor import Adafactor
from qparity.oracle.optimizers.adagrad import Adagrad
from qparity.oracle.optimizers.adam import Adam, AdamW
from qparity.oracle.optimizers.adamax import Adamax
from qparity.oracle.optimizers.ftrl import Ftrl
from qparity.oracle.optimizers.lamb import Lamb
from qparity.oracle.optimizers.law import CLIPS, Argument, Law, State, quantise
from qparity.oracle.optimizers.lion import Lion
from qparity.oracle.optimizers.muon import Muon
from qparity.oracle.optimizers.nadam import Nadam
from qparity.oracle.optimizers.rmsprop import RMSprop
from qparity.oracle.optimizers.sgd import SGD

_ALL: tuple[type[Law], ...] = (
    Adam, SGD, AdamW, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Ftrl, Lion, Lamb, Adafactor, Muon,
)  # fmt: skip
LAWS: dict[str, type[Law]] = {law.name: law for law in _ALL}

__all__ = ["CLIPS", "LAWS", "Argument", "Law", "State", "declared_hyperparameters", "law_of", "quantise"]


def law_of(table: Mapping[str, Any], dtype: str, real: type, unit: float) -> Law:
    """The law of a scenario's optimizer table.

    Args:
        table: `name` (adam if it is left out) and arguments.
        dtype: the declared one.
        real: the NumPy type to compute in.
        unit: the unit roundoff of `dtype`.

    Raises:
        ValueError: there is no law of that name.
    """
    name = str(table.get("name", "adam"))
    if name not in LAWS:
        raise ValueError(f"optimizer {name!r}: there are laws of {', '.join(LAWS)}")
    return LAWS[name](table, dtype, real, unit)


def declared_hyperparameters(table: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The arguments of a scenario's optimizer, Keras' defaults filled in, as the declared dtype holds them.

    Raises:
        ValueError: there is no law of that name.
    """
    return {k: quantise(v, dtype) for k, v in law_of(table, dtype, float, 0.0).declared.items()}
