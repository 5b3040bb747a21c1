"""Scenario files: TOML in, scenarios out, or one line that says what is wrong and where."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from math import isfinite
from pathlib import Path
from typing import Any

from qparity.scenario.errors import ScenarioError
from qparity.scenario.identity import canonical, family, search_path, source_hash_of
from qparity.scenario.matrix import (
    Axis,
    Combination,
    Setting,
    expand,
    read_entries,
    read_excludes,
    read_matrix,
    slug,
)
from qparity.scenario.own_data import Given, with_file_read
from qparity.scenario.registry import CIRCUITS, DEVICES
from qparity.scenario.schema import ABOUT, NAME, WAYS, Scenario
from qparity.scenario.select import selector
from qparity.scenario.shipped import resolve
from qparity.scenario.suggest import did_you_mean, one_of
from qparity.scenario.text import decoded
from qparity.scenario.validate import field_error, validate
from qparity.scenario.variant import DEFAULT_VARIANTS, Variant, asked_for

MAX_BYTES = 1_000_000
MAX_DEPTH = 12
_RELEASE = r"oldest|newest|[0-9][A-Za-z0-9.!+_-]{0,60}"
SLIP = 0.92  # one letter of a device's name
_FILE_KEYS = ("description", "variants", "versions", "matrix", "exclude", "scenarios")


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario file, resolved: scenarios with their defaults filled in, and the variants to run each on."""

    path: Path
    description: str
    variants: tuple[Variant, ...]
    scenarios: tuple[Scenario, ...]
    versions: Mapping[str, tuple[str, ...]]
    """Package -> releases that `qparity versions` runs the scenarios with."""


@dataclass(frozen=True, slots=True)
class Block:
    """One scenario with all its variants, and the file it came from (beside which user modules lie).

    `given` is what was found out by running the user's code: data, and the start of a script's model.
    """

    scenario: Scenario
    variants: tuple[Variant, ...]
    file: Path
    given: Given | None = None


def load_files(paths: Sequence[Path | str], k: str | None = None, variants: Sequence[str] | None = None) -> list[Block]:
    """The blocks of several files.

    `variants` replaces those of the files (`all`: every mode of every backend); `k` keeps cells by scenario name and
    variant (see select.py).
    ScenarioError if two scenarios share a name or are the same experiment, or if nothing is left.
    """
    chosen = variants_asked_for(variants)
    keep = selector(k) if k is not None else None
    blocks: list[Block] = []
    seen: dict[object, Path] = {}
    for file in map(load_file, paths):
        for scenario in file.scenarios:
            _unique(scenario, file.path, seen)
            wanted = chosen or file.variants
            left = tuple(each for each in wanted if keep is None or keep(scenario.name, str(each)))
            if left:
                blocks.append(Block(scenario, left, file.path))
    if not blocks:
        if k is None:
            raise ScenarioError("at least one scenario file")
        raise ScenarioError("an expression that matches a scenario name or a variant", key="-k", value=k)
    return blocks


def load_file(path: Path | str) -> ScenarioFile:
    """Read one file, or a shipped one by its name; ScenarioError if it cannot be read or is wrong."""
    path = resolve(path)
    try:
        if path.is_dir():
            raise ScenarioError("a scenario file, got a directory", file=path)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ScenarioError(f"a scenario file: {reason}", file=path) from None
    return parse(content, path)


def parse(content: bytes, path: Path) -> ScenarioFile:
    """The scenarios of a file's content; `path` names it in errors, and user modules lie beside it."""
    try:
        return _resolve(_toml(content), path)
    except ScenarioError as error:
        raise error.at(file=path) from None


def _toml(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise ScenarioError(f"at most {MAX_BYTES} bytes")
    try:
        text = decoded(content)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"TOML: {error}") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        raise ScenarioError(f"TOML with sane numbers and nesting ({type(error).__name__})") from None
    _plain(raw, ())
    return raw


def _plain(value: Any, path: tuple[str, ...]) -> None:
    """What TOML allows and a scenario never has: dates, infinities, huge integers, deep nesting."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if inner and len(path) >= MAX_DEPTH:
        raise ScenarioError(f"tables nested at most {MAX_DEPTH} deep", key=".".join(path[:3]) + "...")
    for key, each in inner:
        _plain(each, (*path, str(key)))
    good = isinstance(value, dict | list | str) or (isinstance(value, int) and abs(value) < 2**63)
    if not good and not (isinstance(value, float) and isfinite(value)):
        raise ScenarioError(
            "a finite number, 64-bit integer, string, boolean, list or table", key=".".join(path), value=value
        )


def _resolve(raw: dict[str, Any], path: Path) -> ScenarioFile:
    stem, description = slug(path.stem) or "scenario", ""
    variants, versions = DEFAULT_VARIANTS, dict[str, tuple[str, ...]]()
    axes: list[Axis] = []
    excludes: list[tuple[Setting, ...]] = []
    entries: list[tuple[Setting, ...]] = []
    base: dict[str, Any] = {}
    for key, value in raw.items():  # in the order written, so that the first fault is the one reported
        match key:
            case "description":
                if not isinstance(value, str):
                    raise ScenarioError("a string", key=key, value=value)
                description = value
            case "variants":
                variants = parse_variants(value)
            case "versions":
                versions = _versions(value)
            case "matrix":
                axes = read_matrix(value)
            case "exclude":
                excludes = read_excludes(value)
            case "scenarios":
                entries = read_entries(value)
            case "script":
                raise ScenarioError("no such key here: qparity run takes the script itself", key=key, value=value)
            case _:
                if key not in Scenario.model_fields:
                    raise ScenarioError(
                        one_of("a key", key, (*Scenario.model_fields, *_FILE_KEYS)), key=key, value=value
                    )
                if error := field_error({key: value}):
                    raise error
                base[key] = value
    stem = base.pop("name", stem)
    scenarios: list[Scenario] = []
    checked = set(CIRCUITS.values())
    seen: dict[object, Path] = {}
    for combination in expand(stem, base, entries, axes, excludes):
        scenario = with_file_read(_validate(combination), path.parent)
        _check_device(scenario.device)
        for key, source in _sources(scenario):
            if source not in checked:
                _check_source(key, source, path)
                checked.add(source)
        _unique(scenario, path, seen)
        scenarios.append(scenario)
    _compared(scenarios)
    return ScenarioFile(path, description, variants, tuple(scenarios), versions)


def _versions(value: Any) -> dict[str, tuple[str, ...]]:
    """The table `[versions]`."""
    if not isinstance(value, dict) or not value:
        expected = 'a table of lists of releases, such as keras = ["3.12.0", "newest"]'
        raise ScenarioError(expected, key="versions", value=value)
    for package, releases in value.items():
        plain = isinstance(releases, list) and releases and all(isinstance(each, str) for each in releases)
        if not plain or not all(re.fullmatch(_RELEASE, each) for each in releases):
            expected = 'a list of releases, "oldest" or "newest"'
            raise ScenarioError(expected, key=f"versions.{package}", value=releases)
    return {package: tuple(releases) for package, releases in value.items()}


def _validate(combination: Combination) -> Scenario:
    try:
        return validate(combination.table)
    except ScenarioError as error:
        if error.key == "name":
            raise ScenarioError(
                f"a shorter or plainer name of {NAME} (give a label)", key="name", value=error.value
            ) from None
        raise error.at(key=combination.origin(error.key)) if error.key else error from None


def _sources(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The keys and values that name a `module:function`."""
    yield ("model" if scenario.model else "circuit"), scenario.source
    if scenario.own_loss:
        yield "training.loss", scenario.own_loss


def _check_source(key: str, source: str, path: Path) -> None:
    try:
        source_hash_of(source, search_path(path.parent))
    except ScenarioError as error:
        raise ScenarioError(error.expected, key=key, value=source) from None


def _unique(scenario: Scenario, path: Path, seen: dict[object, Path]) -> None:
    """Names are file names (even where case does not count); equal experiments would share their cells."""
    name = scenario.name.lower()
    if name in seen:
        other = "" if seen[name] == path else f": {seen[name]} has one of that name"
        raise ScenarioError(f"no duplicate name{other}", file=path, key="name", value=scenario.name)
    shipped = scenario.source in CIRCUITS.values() and not scenario.own_loss and scenario.data.shipped
    folder = "" if shipped else str(path.parent.resolve())
    content = folder, canonical(scenario.model_dump(mode="json", exclude=set(ABOUT)))
    if content in seen:
        raise ScenarioError(
            f"an experiment of its own: {seen[content]} has the same under another name",
            file=path,
            key="name",
            value=scenario.name,
        )
    seen[name] = seen[content] = path


def _compared(scenarios: Sequence[Scenario]) -> None:
    """Refuse a comparison of methods that has nothing to compare."""
    asking = [scenario for scenario in scenarios if scenario.judged_by_methods]
    sizes = Counter(map(family, asking))
    for scenario in asking:
        if sizes[family(scenario)] < 2:
            expected = f"another scenario that differs from {scenario.name} in {', '.join(sorted(WAYS))} alone"
            raise ScenarioError(expected, key="judge", value=scenario.judge)


@lru_cache(maxsize=64)
def _check_device(name: str) -> None:
    """Refuse a misspelt device; another unknown name may be a plugin's in the worker's environment, which will tell."""
    known = {*DEVICES, *(plugin.name for plugin in entry_points(group="pennylane.plugins"))}
    if name not in known and (close := did_you_mean(name, known, SLIP)):
        raise ScenarioError(f"a PennyLane device{close}", key="device", value=name)


def variants_asked_for(names: Sequence[str] | None) -> tuple[Variant, ...] | None:
    """What `-v` asks for in place of a file's variants; None where it is not given."""
    try:
        return asked_for(names) if names else None
    except ScenarioError as error:
        raise error.at(key="-v") from None


def parse_variants(value: Any) -> tuple[Variant, ...]:
    """A file's variants by name, each once."""
    key = "variants"
    if not isinstance(value, list) or not value:
        raise ScenarioError('a list such as ["torch", "jax-jit"]', key=key, value=value)
    try:
        found = tuple(map(Variant.parse, value))
    except ScenarioError as error:
        raise error.at(key=key) from None
    if len(set(found)) < len(found):
        raise ScenarioError("each variant once", key=key, value=value)
    return found
