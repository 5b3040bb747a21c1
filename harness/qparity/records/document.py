"""A document of a run folder: what was read of it as it was, and its parts as records, each read when it is asked for.

So one entry that is not what it should be costs whoever asks for its part, unless the whole is `checked`, as the store
does with all that it hands out; and what this version knows nothing of survives in `raw`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, is_dataclass, replace
from functools import cache, cached_property
from types import NoneType
from typing import Generic, Self, TypeVar, cast, get_args, get_origin, overload

from qparity.records.kinds import Reader, Unreadable, reader, remembered

T = TypeVar("T")
Table = dict[str, object]


class Part(Generic[T]):
    """An entry of a document, `name = Part[its type]()`. Missing or null, it is None, or a record with nothing in it.

    Raises:
        Unreadable: it is not of its type.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, document: None, owner: type) -> Self: ...
    @overload
    def __get__(self, document: Document, owner: type) -> T: ...
    def __get__(self, document: Document | None, owner: type) -> T | Self:
        """Read once; from then on the document has it itself."""
        if document is None:
            return self
        found = self.read(document)
        document.__dict__[self.name] = found
        return found

    def read(self, document: Document) -> T:
        """The entry as it is in a document."""
        value = document.raw.get(self.name)
        if value is None and self.name not in document.needed:
            return self._nothing
        try:
            return cast(T, self._reader(value))
        except Unreadable as error:
            raise error.inside(self.name).of(document.file) from None

    @cached_property
    def _kind(self) -> Hashable:
        return cast(Hashable, get_args(getattr(self, "__orig_class__"))[0])  # noqa: B009 (set by typing)

    @cached_property
    def _reader(self) -> Reader:
        return remembered(reader(self._kind)) if is_dataclass(self._kind) else reader(self._kind)

    @cached_property
    def _nothing(self) -> T:
        """What is read where nothing is written."""
        empty: dict[str, object] | list[object] | None = None
        if NoneType not in get_args(self._kind):
            empty = [] if get_origin(self._kind) is tuple else {}
        return cast(T, self._reader(empty))


@dataclass(frozen=True, eq=False)
class Document:
    """One JSON document: `raw` as it was read or is to be written, `file` the name it has in its run's folder."""

    raw: Table
    file: str = ""
    needed = frozenset[str]()
    """The entries that must be there."""

    def checked(self) -> Self:
        """The document, every part of which has been read. Raises `Unreadable` for the first that is odd."""
        for name in _parts(cast(Hashable, type(self))):
            getattr(self, name)
        return self

    def table(self, name: str) -> Table:
        """A table as it was written, to be shown or handed on entry by entry; an empty one where there is none."""
        found = self.raw.get(name)
        return found if isinstance(found, dict) else {}

    def changed(self, **entries: object) -> Self:
        """With other entries, in their place or behind the others."""
        return replace(self, raw=self.raw | entries)


@cache
def _parts(kind: Hashable) -> list[str]:
    return [
        name
        for each in reversed(cast(type, kind).__mro__)
        for name, value in vars(each).items()
        if isinstance(value, Part)
    ]
