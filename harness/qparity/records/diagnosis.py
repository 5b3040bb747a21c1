"""What `qparity diagnose` wrote of a cell: `diagnosis/<cell>.json` (docs/architecture.md, "Diagnosis")."""

from __future__ import annotations

from dataclasses import dataclass

from qparity.records.document import Document, Part
from qparity.records.kinds import Text


@dataclass(frozen=True, eq=False)
class Diagnosed(Document):
    """The part of it that is read again: `story` is lines for people."""

    needed = frozenset({"cell", "story"})

    cell = Part[Text]()
    created = Part[Text | None]()
    story = Part[tuple[Text, ...]]()
