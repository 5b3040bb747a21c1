"""From a plain table to a `Scenario`, and from pydantic's complaints to one line for the user."""

from typing import Any

from pydantic import ValidationError

from qparity.scenario.errors import ScenarioError
from qparity.scenario.fields import describe, names_in, node_at, schema
from qparity.scenario.schema import Scenario
from qparity.scenario.suggest import did_you_mean


def validate(raw: dict[str, Any]) -> Scenario:
    """The scenario a table describes; ScenarioError, without a file, for the first fault in its order."""
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise _first(error, raw)[1] from None


def field_error(raw: dict[str, Any]) -> ScenarioError | None:
    """The first fault in one field alone; combinations are not looked at, so `raw` may be incomplete."""
    try:
        Scenario.model_validate({"name": "any", **raw})
    except ValidationError as error:
        alone = [each for each in error.errors() if each["type"] != "value_error"]
        return _first(error, raw, alone)[1] if alone else None
    return None


def _first(error: ValidationError, raw: Any, details: list[Any] | None = None) -> tuple[Any, ScenarioError]:
    found = [_translate(each, raw) for each in (details if details is not None else error.errors())]
    return min(found, key=lambda each: each[0])


def _translate(detail: Any, raw: Any) -> tuple[tuple[float, ...], ScenarioError]:
    """The position in the file and the error. Paths end with infinity: deeper is more precise, so first."""
    path, position, value = _locate(detail["loc"], raw)
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ScenarioError):
        _, deeper, _ = _locate(cause.key.split(".") if cause.key else [], value)
        inner = ".".join([*map(str, path), *([cause.key] if cause.key else [])])
        found = ScenarioError(cause.expected, key=inner, value=cause.value)
        return (*position, *deeper, float("inf")), found
    key = ".".join(map(str, path)) or None
    if detail["type"] == "extra_forbidden":
        names = names_in(node_at(path[:-1]) or schema())
        expected = f"a known key{did_you_mean(path[-1], names) or ': ' + ', '.join(names)}"
    elif detail["type"] == "missing":
        return (*position, float("inf")), ScenarioError(f"the key {detail['loc'][-1]}", key=key)
    else:
        expected = describe(node_at(path)) or detail["msg"]
    return (*position, float("inf")), ScenarioError(expected, key=key, value=value)


def _locate(loc: Any, raw: Any) -> tuple[tuple[str | int, ...], tuple[float, ...], Any]:
    """Follow a location through the table; pydantic mixes names of types into it, which are no keys."""
    path: list[str | int] = []
    position: list[float] = []
    for key in loc:
        if isinstance(raw, dict) and key in raw:
            position.append(list(raw).index(key))
        elif isinstance(raw, list) and isinstance(key, int) and key < len(raw):
            position.append(key)
        else:
            continue
        path.append(key)
        raw = raw[key]
    return tuple(path), tuple(position), raw
