"""The schedule of a learning rate in a scenario: a name, and the arguments of Keras' class of that name."""

from __future__ import annotations

from typing import Any

from qparity.oracle.schedules import SCHEDULES, rate_at
from qparity.scenario.errors import ScenarioError
from qparity.scenario.suggest import one_of


def checked_schedule(table: dict[str, Any]) -> dict[str, Any]:
    """The table, checked.

    Raises:
        ScenarioError: with the argument that is missing, unknown or out of range.
    """
    name = table.get("name")
    law = SCHEDULES.get(name) if isinstance(name, str) else None
    if law is None:
        raise ScenarioError(one_of("a schedule", name, SCHEDULES), key="name", value=name)
    for key, value in table.items():
        if key != "name" and key not in law.arguments:
            raise ScenarioError(one_of(f"an argument of {name}", key, law.arguments), key=key, value=value)
    for key, default in law.arguments.items():
        if key not in table and default is ...:
            raise ScenarioError(f"the argument {key} of {name}", key="name", value=name)
        if key in table and not _fits(table[key], default, key):
            expected = "true or false" if isinstance(default, bool) else "a positive number"
            raise ScenarioError("a list of numbers" if key in LISTS else expected, key=key, value=table[key])
    if name == "piecewise_constant_decay" and len(table["values"]) != len(table["boundaries"]) + 1:
        raise ScenarioError("one value more than boundaries", key="values", value=table["values"])
    try:
        for step in (0, 1, 1000):
            rate_at(table, 0.1, step)
    except (ArithmeticError, ValueError) as error:
        raise ScenarioError(f"arguments that give a rate ({error})", key="name", value=name) from None
    return table


LISTS = ("boundaries", "values")
MAY_BE_ZERO = ("alpha", "end_learning_rate", "warmup_steps", "decay_rate")


def _fits(value: Any, default: Any, key: str) -> bool:
    if key in LISTS:
        return isinstance(value, list) and bool(value) and all(_number(each) for each in value)
    if isinstance(default, bool):
        return isinstance(value, bool)
    return _number(value) and (value > 0 or (value == 0 and key in MAY_BE_ZERO))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
