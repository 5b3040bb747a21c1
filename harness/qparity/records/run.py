"""A run: `run.json`, whose plan is read by `plan.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, cast

from qparity.records.document import Document, Part
from qparity.records.kinds import Count, Kind, Name, Number, Scalar, Text, matches

Id = Annotated[str, Kind("the id of a run", matches(r"[A-Za-z0-9][A-Za-z0-9._-]*", 120))]


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor."""

    model: Text | None = None
    count: Count | None = None
    affinity: tuple[Count, ...] | None = None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that ran it."""

    version: Scalar = None
    implementation: Scalar = None


@dataclass(frozen=True, slots=True)
class Platform:
    """The operating system, and for which kind of machine."""

    system: Scalar = None
    release: Scalar = None
    machine: Scalar = None


@dataclass(frozen=True, slots=True)
class Git:
    """The state of the sources."""

    commit: Text | None = None
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """What a run ran on (store/fingerprint.py); `host` is no name, but a hash of it.

    `requirements` are those of `--with`; `packages` is then what the environments made for them have.
    """

    packages: Mapping[Text, Text] = field(default_factory=dict)
    requirements: tuple[Text, ...] = ()
    python: Interpreter = field(default_factory=Interpreter)
    platform: Platform = field(default_factory=Platform)
    cpu: Processor | None = None
    memory_bytes: Count | None = None
    gpu: tuple[Mapping[Text, Text], ...] = ()
    blas: Text | None = None
    flags: Mapping[Text, Text] = field(default_factory=dict)
    git: Git | None = None
    host: Text | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker server, as it describes itself."""

    versions: Mapping[Text, Text] = field(default_factory=dict)
    interpreter: Text | None = None
    python: Text | None = None
    import_s: Number | None = None
    imports: Count | None = None
    threads: Count | None = None
    accelerator: Name | None = None
    gpus: tuple[Text, ...] = ()


LONGEST_BUDGET_S = 365 * 24 * 3600.0


def _budget(value: object) -> bool:
    return type(value) in (float, int) and 0 < cast(float, value) <= LONGEST_BUDGET_S


def _spent(value: object) -> bool:
    return type(value) in (float, int) and 0 <= cast(float, value) < inf


@dataclass(frozen=True, slots=True)
class Budget:
    """Wall-clock seconds for the timing of the run: given, and spent so far."""

    given_s: Annotated[float, Kind("seconds above 0, at most a year", _budget)]
    spent_s: Annotated[float, Kind("seconds from 0", _spent)]


@dataclass(frozen=True, slots=True)
class Source:
    """A run that others were merged from."""

    id: Text = ""
    created: Text | None = None
    command: Text | tuple[Text, ...] | None = None
    environment: Environment = field(default_factory=Environment)
    nodes: Mapping[Text, Environment] | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What a run was merged from, and a line on each difference between those runs."""

    runs: tuple[Source, ...] = ()
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True, eq=False)
class RunRecord(Document):
    """A run but for its plan: what it ran on, and what ran it."""

    id = Part[Id | None]()
    state = Part[Name | None]()
    """`running`, `finished` or `interrupted`."""
    created = Part[Text | None]()
    finished = Part[Text | None]()
    command = Part[Text | tuple[Text, ...] | None]()
    environment = Part[Environment]()
    workers = Part[Mapping[Text, Worker]]()
    nodes = Part[Mapping[Text, Environment]]()
    """Of a cluster: node -> what it is."""
    budget = Part[Budget | None]()
    """Of its timing; None where it has all the time it needs."""
    merged = Part[Merged | None]()
