"""The one error of this room: one line that says file, key, value, and what was expected."""

from pathlib import Path
from typing import Self

from qparity.scenario.text import printable

_NOTHING = object()
_LONGEST = 80


class ScenarioError(ValueError):
    """Bad input. `str(error)` is one printable line: `x.toml: layers = "many": expected an integer ...`."""

    def __init__(
        self,
        expected: str,
        *,
        file: Path | str | None = None,
        key: str | None = None,
        value: object = _NOTHING,
    ) -> None:
        self.expected, self.file, self.key, self.value = expected, file, key, value
        super().__init__(str(self))

    def at(self, *, file: Path | str | None = None, key: str | None = None) -> Self:
        """The same error with its place filled in."""
        return type(self)(
            self.expected,
            file=self.file if file is None else file,
            key=self.key if key is None else key,
            value=self.value,
        )

    def __str__(self) -> str:
        subject = "" if self.key is None else shorten(self.key, 2 * _LONGEST)
        if self.value is not _NOTHING:
            subject += f" = {show(self.value)}" if subject else show(self.value)
        place = "" if self.file is None else str(self.file)
        return printable(": ".join(part for part in (place, subject, f"expected {self.expected}") if part))


def show(value: object, depth: int = 3) -> str:
    """A value as TOML would write it, shortened."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = '"' + shorten(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        case int() if value.bit_length() > 4 * _LONGEST:  # Python refuses to print a huge integer
            text = "an integer of " + str(value.bit_length()) + " bits"
        case list() | tuple() | dict() if depth == 0:
            text = "..."
        case list() | tuple():
            text = "[" + ", ".join(show(each, depth - 1) for each in value[:5]) + (", ..." if value[5:] else "") + "]"
        case dict():
            shown = [f"{key} = {show(each, depth - 1)}" for key, each in list(value.items())[:5]]
            text = "{" + ", ".join(shown) + (", ..." if len(value) > 5 else "") + "}"
        case None:
            text = "none"
        case _:
            text = str(value)
    return shorten(text)


def shorten(text: str, longest: int = _LONGEST) -> str:
    """At most `longest` characters, the cut marked."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
