"""Text from anywhere: read from bytes, and made harmless to print.

No character of what is printed moves a cursor, changes a colour or turns the direction of a line.
"""

import codecs
import re

KEPT = "\n\t\N{NO-BREAK SPACE}"


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. ValueError, what is wrong, for any other."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError("UTF-8 text, got UTF-16") from None
        raise ValueError(f"UTF-8 text, got byte 0x{content[error.start]:02x} at offset {error.start}") from None
    if "\0" in text[:4]:
        raise ValueError("UTF-8 text, got UTF-16 or UTF-32")
    return text


def uncoloured(text: str) -> str:
    """Text without the escape sequences that colour it on a terminal."""
    return _COLOURS.sub("", text)


def printable(text: str) -> str:
    """The text on one line: what is not seen (escape sequences, changes of direction, half characters) as escapes."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """The same for text of several lines: line breaks, tabs and no-break spaces stay."""
    seen = text
    for each in KEPT:
        seen = seen.replace(each, "")
    return text if seen.isprintable() else "".join(each if each in KEPT else _shown(each) for each in text)


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
