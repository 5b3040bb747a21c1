"""A run, but for its plan: `run.json`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from qparity.store.documents.entries import Count, Name, Number, Scalar, Text, table


@table
class Processor(TypedDict, total=False):
    """The processor."""

    model: Text | None
    count: Count | None
    affinity: list[Count] | None


@table
class Git(TypedDict, total=False):
    """The state of the sources."""

    commit: Text | None
    dirty: bool


@table
class Environment(TypedDict, total=False):
    """What a run ran on."""

    packages: dict[Text, Text]
    python: dict[Text, Scalar]
    platform: dict[Text, Scalar]
    cpu: Processor
    memory_bytes: Count | None
    gpu: list[dict[Text, Text]]
    blas: Text | None
    flags: dict[Text, Text]
    git: Git | None
    host: Text


@table
class Worker(TypedDict, total=False):
    """A worker server, as it describes itself."""

    versions: dict[Text, Text]
    interpreter: Text
    python: Text
    import_s: Number
    imports: Count
    threads: Count
    accelerator: Name
    gpus: list[Text]


@table
class Source(TypedDict, total=False):
    """A run that others were merged from."""

    id: Text
    created: Text | None
    command: Text | list[Text] | None
    environment: Environment
    nodes: dict[Text, Environment] | None


@table
class Merged(TypedDict, total=False):
    """What a run was merged from."""

    runs: list[Source]
    notes: list[Text]


@table
class Record(TypedDict, total=False):
    """`run.json`, but for its plan."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
    state: Name
    created: Text
    finished: Text | None
    command: Text | list[Text]
    environment: Environment
    workers: dict[Text, Worker]
    nodes: dict[Text, Environment]
    merged: Merged
