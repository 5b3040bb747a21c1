"""The version of the run folder's documents, and how an older one is brought up to date."""

from collections.abc import Callable
from typing import Any

from qparity.records.document import Table

SCHEMA = 1

Migration = Callable[[Table], Table]

# version -> the step from that version to the next, per kind of document ("run", "cell", "timing", "diagnosis")
MIGRATIONS: dict[str, dict[int, Migration]] = {"run": {}, "cell": {}, "timing": {}, "diagnosis": {}}


class SchemaError(ValueError):
    """A document whose version this qparity cannot read."""


def upgrade(document: Any, kind: str) -> Table:
    """The document in today's schema. Raises `SchemaError` for a foreign or newer one."""
    if not isinstance(document, dict):
        raise SchemaError("is not a JSON object")
    version = document.get("schema")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SchemaError("has no schema version")
    if version > SCHEMA:
        raise SchemaError(f"was written by a newer qparity (schema {version}; this one reads up to {SCHEMA})")
    while version < SCHEMA:
        step = MIGRATIONS[kind].get(version)
        if step is None:
            raise SchemaError(f"has schema {version}, which can no longer be read")
        document = step(document)
        version += 1
    return {**document, "schema": SCHEMA}
