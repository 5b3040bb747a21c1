"""What is expected of a cell: what its scenario says, or an entry of an expectations file (docs/expectations.md).

An entry stands for a fault that is known and still there: a verdict, or how a cell ends that does not finish. One that
has expired, fits no cell, is exceeded, or whose fault has gone makes the gate fail: the file cannot rot.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf, isfinite, isnan
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from qparity.parity.types import PASSES, STAGES, Judgement, Verdict
from qparity.scenario.errors import ScenarioError
from qparity.scenario.suggest import one_of
from qparity.scenario.text import decoded, printable


@dataclass(frozen=True, slots=True)
class Expectation:
    """One entry of an expectations file; `place` says which, for messages.

    It has a `verdict`, or a `status` and a part of the `message` that the cell ends with.
    """

    scenario: str
    reason: str
    expires: datetime.date
    verdict: Verdict | None = None
    status: str | None = None
    message: str | None = None
    variant: str = "*"
    stage: str | None = None
    largest_r: float | None = None
    link: str | None = None
    versions: tuple[Requirement, ...] = ()
    place: str = ""

    @property
    def expected(self) -> str:
        """The verdict or the status."""
        return str(self.verdict or self.status)

    def selects(self, scenario: str, variant: str) -> bool:
        """Whether a cell of this name is meant, whatever versions it ran on."""
        return fnmatchcase(scenario, self.scenario) and fnmatchcase(variant, self.variant)

    def recorded(self, versions: Mapping[str, str]) -> bool:
        """Whether the worker recorded a version of every package that the entry asks about."""
        return {canonicalize_name(each.name) for each in self.versions} <= set(map(canonicalize_name, versions))

    def holds_for(self, versions: Mapping[str, str]) -> bool:
        """Whether the worker's versions (package -> version) are those that the entry speaks of."""
        found = {canonicalize_name(name): version for name, version in versions.items()}
        try:
            return all(
                each.specifier.contains(found[canonicalize_name(each.name)], prereleases=True) for each in self.versions
            )
        except (KeyError, InvalidVersion):
            return False

    def objection(self, status: str, message: str | None, judgement: Judgement | None) -> str | None:
        """Why a cell is not what the entry allows, in a few words; None if it is, or has no judgement to object to."""
        if self.status is not None:
            if status == self.status and str(self.message) in (message or ""):
                return None
            gone = "the fault has gone, remove the expectation: " if status == "ok" else ""
            return f"{gone}expected {self.status} with {self.message!r}"
        if judgement is None:
            return None
        if judgement.verdict != self.verdict:
            gone = "the fault has gone, remove the expectation: " if judgement.verdict in PASSES else ""
            return f"{gone}expected {self.verdict}"
        if self.stage is not None and judgement.stage != self.stage:
            return f"expected at stage {self.stage}"
        if self.largest_r is not None and not self._largest(judgement) <= self.largest_r:
            return f"expected r of at most {self.largest_r:.3g}"
        return None

    def _largest(self, judgement: Judgement) -> float:
        """The largest r at the entry's stage, or at all, over all steps: the judgement's own is the first one over."""
        stages = judgement.stages.items()
        found = [float(np.nanmax(s.r, initial=0.0)) for stage, s in stages if self.stage in (None, stage)]
        return max([*found, inf if judgement.r is None or isnan(judgement.r) else judgement.r])

    def __str__(self) -> str:
        return printable(f"{self.place} ({self.scenario} on {self.variant}: {self.expected})")


def expected_verdict(expect: str | Mapping[str, str] | None, variant: str) -> Verdict:
    """The verdict a scenario expects of a variant: its `expect`, or a table's entry, or ROUNDING.

    A table's key is a variant's name or `default`. Raises ValueError for a word that is no verdict.
    """
    word = expect if isinstance(expect, str) else (expect or {}).get(variant, (expect or {}).get("default"))
    return Verdict(word or Verdict.ROUNDING)


def as_expected(judgement: Judgement, expect: str | Mapping[str, str] | None, variant: str) -> bool:
    """Whether the judgement carries the expected verdict; where a pass is expected, either is one."""
    expected = expected_verdict(expect, variant)
    return judgement.verdict in PASSES if expected in PASSES else judgement.verdict == expected


def load_expectations(path: Path) -> tuple[Expectation, ...]:
    """The entries of an expectations file; ScenarioError, one line with file, key and value, if anything is wrong."""
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise ScenarioError(f"an expectations file: {error.strerror}", file=path) from None
    except ValueError as error:
        raise ScenarioError(str(error), file=path) from None
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML, numbers of thousands of digits
        raise ScenarioError(f"TOML: {error}", file=path) from None
    entries = raw.pop("expectations", [])
    if raw:
        key = next(iter(raw))
        raise ScenarioError("[[expectations]] tables alone", file=path, key=key, value=raw[key])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ScenarioError("[[expectations]] tables", file=path, key="expectations", value=entries)
    return tuple(_entry(entry, f"expectations.{k}", path) for k, entry in enumerate(entries))


def _entry(raw: dict[str, Any], place: str, path: Path) -> Expectation:
    fields: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in _FIELDS:
            raise ScenarioError(one_of("a key", key, _FIELDS), file=path, key=f"{place}.{key}", value=value)
        words, read = _FIELDS[key]
        try:
            fields[key] = read(value)
        except (TypeError, ValueError, InvalidRequirement):
            raise ScenarioError(words, file=path, key=f"{place}.{key}", value=value) from None
    for key in ("scenario", "reason", "expires"):
        if key not in fields:
            raise ScenarioError(f"the key {key}", file=path, key=place)
    if ("verdict" in fields) == ("status" in fields):
        raise ScenarioError("the key verdict, or status and message", file=path, key=place)
    if ("status" in fields) != ("message" in fields):
        raise ScenarioError("both status and message, or neither", file=path, key=place)
    for key in ("stage", "largest_r"):
        if key in fields and "status" in fields:
            raise ScenarioError(f"no {key} beside status: it is of a verdict", file=path, key=f"{place}.{key}")
    return Expectation(**fields, place=f"{path}: {place}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return printable(value)


def _verdict(value: Any) -> Verdict:
    if value in PASSES:
        raise ValueError  # that is what is expected anyhow
    return Verdict(value)


def _status(value: Any) -> str:
    return _text(value) if value in STATUSES else _text(None)


def _stage(value: Any) -> str:
    return _text(value) if value in STAGES else _text(None)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and value > 0):
        raise TypeError
    return float(value)


def _date(value: Any) -> datetime.date:
    if isinstance(value, str):
        return datetime.date.fromisoformat(value)
    if isinstance(value, datetime.datetime) or not isinstance(value, datetime.date):
        raise TypeError
    return value


def _requirements(value: Any) -> tuple[Requirement, ...]:
    found = tuple(map(Requirement, [value] if isinstance(value, str) else map(_text, value)))
    if not all(each.specifier for each in found):
        raise ValueError
    return found


STATUSES = ("failed", "timeout", "crashed", "unsupported", "diverged")
_VERDICTS = ", ".join(verdict for verdict in Verdict if verdict not in PASSES)

# key -> what it must be, in words, and how it is read
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "scenario": ("a glob of scenario names", _text),
    "variant": ("a glob of variants", _text),
    "verdict": (f"one of {_VERDICTS} (how a cell ends that does not finish is its status)", _verdict),
    "status": (f"one of {', '.join(STATUSES)}", _status),
    "message": ("a part of the cell's reason", _text),
    "stage": (f"one of {', '.join(STAGES)}", _stage),
    "largest_r": ("a finite number > 0", _positive),
    "versions": ('a version range such as "keras<3.17", or a list of such', _requirements),
    "reason": ("a reason in words", _text),
    "link": ("a link", _text),
    "expires": ("a date such as 2027-06-30", _date),
}
