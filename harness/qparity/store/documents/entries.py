"""The kinds of entry that documents are made of, and how a document is held against them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

Text = Annotated[str, Field(max_length=100_000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_@+][A-Za-z0-9._@+-]*$", max_length=120)]
"""Of a device, a method, a dtype: it may become part of a script, and of a file's name."""
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Scalar = bool | Whole | Number | Text | None
Seconds = dict[Text, Number | None]
LISTED = Field(strict=False)  # JSON has no tuples: a list is one


table = with_config(ConfigDict(strict=True))
"""A table: every entry may be missing, further ones are left alone, but what is there has its type."""


@lru_cache(maxsize=8)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def fault(document: Any, kind: Any) -> tuple[tuple[str | int, ...], str] | None:
    """The first entry of a document that is not what `kind` (a table above) says: its place, and one line; or None."""
    try:
        _adapter(kind).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = tuple(part for part in first["loc"] if not _is_type(part))
        said = first["msg"].removeprefix("Input ").removeprefix("should be ")
        return place, f"{'.'.join(map(str, place)) or 'it'}: expected {said}"
    return None


def _is_type(part: str | int) -> bool:
    """Whether a part of a place is pydantic's word for one of several types."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str", "none") or "[" in part)
