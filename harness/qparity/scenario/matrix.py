"""The `[matrix]`, `[[exclude]]` and `[[scenarios]]` of a scenario file: one table becomes many.

Everything here works on plain tables, before validation: an excluded combination need not be possible.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

from qparity.scenario.errors import ScenarioError
from qparity.scenario.fields import Path, is_table_of_fields, names_in, node_at, schema
from qparity.scenario.schema import Scenario
from qparity.scenario.suggest import did_you_mean

MAX_SCENARIOS = 100_000
_LONGEST_PATH = 16
_GENERATED = "no name here: it is made from the values (a table of values may have a label)"


class Setting(NamedTuple):
    """One assignment, and how the key was written in the file."""

    path: Path
    value: Any
    where: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an axis: its part of the name, and what it sets."""

    label: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """One entry times one choice of each axis: a name, the merged table, and what set each value."""

    name: str
    table: dict[str, Any]
    settings: tuple[Setting, ...]

    def origin(self, key: str) -> str:
        """The key as written in the file, for an error about `key`."""
        for setting in reversed(self.settings):
            dotted = ".".join(setting.path)
            if key == dotted or key.startswith(dotted + "."):
                return f"{setting.where}{key[len(dotted) :]}"
        return key


Axis = tuple[Choice, ...]


def read_matrix(matrix: Any) -> list[Axis]:
    """The axes of a `[matrix]` table, in the order written."""
    if not isinstance(matrix, dict) or not matrix:
        raise ScenarioError("a table: field = [value, ...]", key="matrix", value=matrix)
    axes = [_axis(path, values) for path, values in _lists(matrix, ())]
    taken: list[tuple[Path, str]] = []
    for axis in axes:
        settings = list({setting.path: setting for choice in axis for setting in choice.settings}.values())
        for path, _, where in settings:
            for other, other_where in taken:
                if path[: len(other)] == other[: len(path)]:
                    raise ScenarioError(f"another field: {other_where} sets it already", key=where)
        taken += [(setting.path, setting.where) for setting in settings]
    return axes


def read_excludes(excludes: Any) -> list[tuple[Setting, ...]]:
    """What each `[[exclude]]` table demands of a combination."""
    if not isinstance(excludes, list) or not all(isinstance(each, dict) and each for each in excludes):
        raise ScenarioError("non-empty [[exclude]] tables", key="exclude", value=excludes)
    read = [tuple(_settings(each, f"exclude[{number}]")) for number, each in enumerate(excludes, 1)]
    for setting in (setting for each in read for setting in each):
        _must_exist(setting)
    return read


def read_entries(entries: Any) -> list[tuple[Setting, ...]]:
    """What each `[[scenarios]]` table sets."""
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise ScenarioError("[[scenarios]] tables", key="scenarios", value=entries)
    read = [tuple(_settings(each, f"scenarios[{number}]")) for number, each in enumerate(entries, 1)]
    for path, value, where in (setting for each in read for setting in each):
        if path[0] == "name" and not (len(path) == 1 and isinstance(value, str)):
            raise ScenarioError("a string", key=where, value=value)
    return read


def expand(
    stem: str,
    base: dict[str, Any],
    entries: Sequence[tuple[Setting, ...]],
    axes: Sequence[Axis],
    excludes: Sequence[tuple[Setting, ...]],
) -> Iterator[Combination]:
    """Every combination not excluded; ScenarioError for too many, none, or an exclude without effect."""
    size = max(len(entries), 1) * prod(map(len, axes))
    if size > MAX_SCENARIOS:
        raise ScenarioError(f"at most {MAX_SCENARIOS} scenarios, got {size}", key="matrix")
    matched, kept = [False] * len(excludes), 0
    for number, entry in enumerate(entries or [()], 1):
        start = _apply(base, entry)
        given = start.pop("name", None)
        first = given if isinstance(given, str) else f"{stem}-{number}" if entries else stem
        for choices in product(*axes):
            settings = tuple(setting for choice in choices for setting in choice.settings)
            table = _apply(start, settings)
            name = "-".join([first, *(choice.label for choice in choices if choice.label)])
            table["name"] = name
            hits = [all(_matches(table, setting) for setting in exclude) for exclude in excludes]
            matched = [before or hit for before, hit in zip(matched, hits, strict=True)]
            if not any(hits):
                kept += 1
                yield Combination(name, table, (*entry, *settings))
    for number, hit in enumerate(matched, 1):
        if not hit:
            value = {".".join(setting.path): setting.value for setting in excludes[number - 1]}
            raise ScenarioError("at least one combination that matches", key=f"exclude[{number}]", value=value)
    if not kept:
        raise ScenarioError("at least one combination left", key="exclude")


def slug(text: str) -> str:
    """Text as a part of a name: ASCII letters, digits, dots, underscores, single hyphens."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")


def _lists(table: dict[str, Any], above: Path) -> Iterator[tuple[Path, list[Any]]]:
    for key, value in table.items():
        path = (*above, *_split(key))
        if isinstance(value, dict) and value:
            yield from _lists(value, path)
        elif isinstance(value, list) and value:
            yield path, value
        else:
            raise ScenarioError("a list with at least one value", key=".".join(("matrix", *path)), value=value)


def _axis(path: Path, values: list[Any]) -> Axis:
    where = ".".join(("matrix", *path))
    tables = all(isinstance(value, dict) and value for value in values)
    if path == ("name",):
        raise ScenarioError(_GENERATED, key=where, value=values)
    if len(set(map(repr, values))) < len(values):
        raise ScenarioError("each value once", key=where, value=values)
    if node_at(path) is not None:
        return tuple(_choice(path, value, where) for value in values)
    if tables and len(path) == 1:
        return tuple(_choice((), value, where) for value in values)
    hint = did_you_mean(path[-1], names_in(node_at(path[:-1]) or schema()))
    raise ScenarioError(f"a field of a scenario{hint}, or a list of tables that set fields", key=where, value=values)


def _choice(path: Path, value: Any, where: str) -> Choice:
    """`path` is empty for an axis whose tables set several fields."""
    if not isinstance(value, dict) or (path and not is_table_of_fields(path)):
        return Choice(slug(_label(path, value)), (Setting(path, value, where),))
    label = value.get("label")
    if label is not None and not (isinstance(label, str) and slug(label)):
        raise ScenarioError("a string for the name", key=f"{where}.label", value=label)
    settings = tuple(_settings({key: each for key, each in value.items() if key != "label"}, where, path))
    for setting in settings:
        if setting.path == ("name",):
            raise ScenarioError(_GENERATED, key=setting.where, value=setting.value)
        _must_exist(setting)
    return Choice(slug(label or "-".join(_label(each.path, each.value) for each in settings)), settings)


def _label(path: Path, value: Any) -> str:
    """Text speaks for itself; anything else needs its key: `layers2`, `shuffle-true`."""
    match value:
        case bool():
            return f"{path[-1]}-{str(value).lower()}"
        case int() | float():
            return f"{path[-1]}{value}"
        case str():
            return value
        case dict():
            return "-".join(_label((key,), each) for key, each in value.items()) or path[-1]
        case list():
            return "-".join([path[-1], "x".join(str(each) for each in value)])
    return str(value)


def _settings(table: dict[str, Any], where: str, above: Path = ()) -> Iterator[Setting]:
    """`data`, `training` and `training.optimizer` are set key by key; any other value is set whole."""
    for key, value in table.items():
        path = (*above, *_split(key))
        if isinstance(value, dict) and is_table_of_fields(path):
            yield from _settings(value, f"{where}.{key}", path)
        else:
            yield Setting(path, value, f"{where}.{key}")


def _split(key: str) -> Path:
    path = tuple(key.split("."))
    if len(path) > _LONGEST_PATH:
        raise ScenarioError(f"at most {_LONGEST_PATH} keys deep", key=key)
    return path


def _must_exist(setting: Setting) -> None:
    if node_at(setting.path) is None:
        hint = did_you_mean(setting.path[-1], names_in(node_at(setting.path[:-1]) or schema()))
        raise ScenarioError(f"a field of a scenario{hint}", key=setting.where, value=setting.value)


def _apply(table: dict[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    for path, value, _ in settings:
        table = _assign(table, path, value)
    return dict(table)


def _assign(table: Any, path: Path, value: Any) -> dict[str, Any]:
    old = table if isinstance(table, dict) else {}
    return {**old, path[0]: _assign(old.get(path[0]), path[1:], value) if path[1:] else value}


_DEFAULTS = Scenario(name="defaults").model_dump()


def _matches(table: dict[str, Any], setting: Setting) -> bool:
    value = _lookup(table, setting.path, _lookup(_DEFAULTS, setting.path, None))
    return value == setting.value and isinstance(value, bool) == isinstance(setting.value, bool)


def _lookup(table: Any, path: Path, default: Any) -> Any:
    for key in path:
        if not isinstance(table, dict) or key not in table:
            return default
        table = table[key]
    return table
