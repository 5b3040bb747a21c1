"""What an environment says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qparity.records.document import Table
from qparity.records.kinds import Text


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an environment says of itself.

    `installed` are the releases that lie on top of the interpreter `below`, name -> version; `without` is what was left
    out because it does not go with them, name -> why; `packages` is all that is to be found in it.
    """

    requirements: tuple[Text, ...] = ()
    below: Text = ""
    python: Text = ""
    created: Text = ""
    installed: Mapping[Text, Text] = field(default_factory=dict)
    without: Mapping[Text, Text] = field(default_factory=dict)
    packages: Mapping[Text, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment: its folder, and what it says of itself."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """Its name in the cache."""
        return self.path.name

    @property
    def interpreter(self) -> str:
        """The path of its Python."""
        return str(self.path / "bin" / "python")

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {"key": self.key, "interpreter": self.interpreter, **asdict(self.manifest)}
