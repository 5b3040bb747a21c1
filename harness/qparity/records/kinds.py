"""How a value of a document is read: checked against the type of its field, with the place of what is not so.

A type is what it says in Python, taken strictly: true is no number, "3" no integer, numbers are finite and integers
fit into 64 bits. `Annotated` types carry a `Kind`, which says more. Lists become tuples, tables of a dataclass become
it (its fields without a default must be there; further entries are left alone), everything else stays as it is.
"""

from __future__ import annotations

import marshal
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, lru_cache
from math import isfinite
from re import compile as pattern
from typing import Annotated, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[object], object]
"""Gives back what a value is read as, or raises `Unreadable`."""
MOST = 2**63
LONGEST = 100_000
KEPT = 8
"""Values of a type that are remembered: those of the cells of a block, or of two."""


class Unreadable(ValueError):
    """An entry of a document that is not what it should be: `file`, `place` in it, what was `expected`; one line."""

    def __init__(self, expected: str, place: str = "", file: str = "") -> None:
        self.expected, self.place, self.file = expected, place, file
        super().__init__(f"{file}: {self.said}" if file else self.said)

    @property
    def said(self) -> str:
        """The line without the file."""
        return f"{self.place or 'it'}: expected {self.expected}"

    def inside(self, key: str | int) -> Unreadable:
        """The same, seen from the table or list that the entry is in."""
        outer = f"[{key}]" if isinstance(key, int) else str(key)
        joint = "." if self.place and not self.place.startswith("[") else ""
        return Unreadable(self.expected, f"{outer}{joint}{self.place}", self.file)

    def of(self, file: str) -> Unreadable:
        """The same, with the file it is in."""
        return Unreadable(self.expected, self.place, file)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be: in words, and the test."""

    words: str
    holds: Callable[[object], bool]


def matches(expression: str, most: int) -> Callable[[object], bool]:
    """A test: text of at most so many characters, all of which an expression matches."""
    found = pattern(expression).fullmatch
    return lambda value: isinstance(value, str) and len(value) <= most and found(value) is not None


def _whole(value: object) -> bool:
    return type(value) is int and -MOST <= value < MOST  # no bool: that is a type of its own


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value < MOST


def _number(value: object) -> bool:
    return (type(value) is float and isfinite(value)) or (type(value) is int and abs(value) < 1 << 1023)


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


Text = Annotated[str, Kind(f"text of at most {LONGEST} characters", _text)]
Name = Annotated[
    str, Kind("a name of letters, digits and ._@+-", matches(r"[A-Za-z0-9_@+][A-Za-z0-9._@+-]*", 120))
]  # fmt: skip
"""Of a device, a method, a dtype: it may become part of a script, and of a file's name."""
Sha = Annotated[str, Kind("a SHA-256 in hex digits", matches(r"[0-9a-f]{64}", 64))]
Number = Annotated[float, Kind("a finite number", _number)]
Float = Annotated[float, Kind("a number", lambda value: type(value) in (float, int))]
"""Also one that is not finite."""
Count = Annotated[int, Kind("an integer from 0 to 2^63 - 1", _count)]
Whole = Annotated[int, Kind("an integer of 64 bits", _whole)]
Scalar = bool | Whole | Number | Text | None
Seconds = Mapping[Text, Number | None]

_PLAIN: dict[object, Kind] = {
    bool: Kind("true or false", lambda value: isinstance(value, bool)),
    int: get_args(Count)[1],
    float: get_args(Number)[1],
    str: get_args(Text)[1],
    type(None): Kind("null", lambda value: value is None),
    object: Kind("anything", lambda value: True),
}


def read(kind: type[T], value: object) -> T:
    """A value as a record of the room. Raises `Unreadable`."""
    return cast(T, reader(cast(Hashable, kind))(value))


@cache
def reader(kind: Hashable) -> Reader:
    """How a value of a type is read."""
    origin, parts = get_origin(kind), get_args(kind)
    if simple := _simple(kind):
        return _checking(simple)
    if origin in (Union, types.UnionType):
        return _either(parts)
    if origin is tuple and parts[1:] == (...,):
        return _list(reader(parts[0]), _simple(parts[0]))
    if origin is tuple:
        return _fixed(tuple(map(reader, parts)))
    if origin is not None and issubclass(origin, Mapping):
        return _table(reader(parts[0]), reader(parts[1]))
    if isinstance(kind, type) and is_dataclass(kind):
        own = getattr(kind, "reader", None)
        return own() if own else fields_of(kind)
    raise TypeError(f"no document holds {kind}")


def _simple(kind: Hashable) -> Kind | None:
    """What a value must be that is kept as it is; None for a type whose values are made into something else."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return cast(Kind, parts[1])
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin is Literal:
        return Kind(f"one of {', '.join(parts)}", lambda value: isinstance(value, str) and value in parts)
    if origin in (Union, types.UnionType):
        some = [_simple(part) for part in parts]
        kinds = [each for each in some if each is not None]
        if len(kinds) == len(some):
            tests = [each.holds for each in kinds]
            return Kind(" or ".join(each.words for each in kinds), lambda value: any(test(value) for test in tests))
    return None


def fields_of(kind: type) -> Reader:
    """How a table is read as a dataclass, field by field."""
    hints = get_type_hints(kind, include_extras=True)
    readers = [(f.name, reader(hints[f.name])) for f in fields(kind)]
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]

    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise Unreadable("a table")
        found, name = {}, ""
        try:
            for name, each in readers:
                if name in value:
                    found[name] = each(value[name])
        except Unreadable as error:
            raise error.inside(name) from None
        for name in needed:
            if name not in found:
                raise Unreadable("an entry here", name)
        return kind(**found)

    return read


def remembered(read: Reader) -> Reader:
    """The same for what is much alike from cell to cell: a value written as one of the last few is the same again."""
    again = lru_cache(KEPT)(lambda written: read(marshal.loads(written)))

    def one(value: object) -> object:
        try:
            written = marshal.dumps(value, 2)  # type: ignore[arg-type]  # what JSON holds; true is not written as 1
        except ValueError:  # nested too deep, or made here of more than JSON holds
            return read(value)
        return again(written)

    return one


def _checking(kind: Kind) -> Reader:
    holds, words = kind.holds, kind.words

    def read(value: object) -> object:
        if not holds(value):
            raise Unreadable(words)
        return value

    return read


def _either(parts: tuple[object, ...]) -> Reader:
    """One of several types; what is wrong is told of the one that the value comes closest to."""
    nothing = type(None) in parts
    some = [reader(part) for part in parts if part is not type(None)]

    def read(value: object) -> object:
        if value is None and nothing:
            return None
        told: list[Unreadable] = []
        for each in some:
            try:
                return each(value)
            except Unreadable as error:
                told.append(error)
        deepest = max(told, key=lambda error: len(error.place))
        if deepest.place:
            raise deepest
        raise Unreadable(" or ".join([*(error.expected for error in told), *(["null"] if nothing else [])]))

    return read


def _list(each: Reader, simple: Kind | None) -> Reader:
    holds = simple.holds if simple else None

    def read(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise Unreadable("a list")
        if holds and all(map(holds, value)):
            return tuple(value)
        found = []
        for place, item in enumerate(value):
            try:
                found.append(each(item))
            except Unreadable as error:
                raise error.inside(place) from None
        return tuple(found)

    return read


def _fixed(each: tuple[Reader, ...]) -> Reader:
    def read(value: object) -> object:
        if not isinstance(value, list | tuple) or len(value) != len(each):
            raise Unreadable(f"a list of {len(each)}")
        found = []
        for place, item in enumerate(value):
            try:
                found.append(each[place](item))
            except Unreadable as error:
                raise error.inside(place) from None
        return tuple(found)

    return read


def _table(key: Reader, each: Reader) -> Reader:
    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise Unreadable("a table")
        found: dict[object, object] = {}
        for name, item in value.items():
            try:
                found[key(name)] = each(item)
            except Unreadable as error:
                raise error.inside(str(name)) from None
        return found

    return read
