"""Text from anywhere, made harmless to print: no character in it moves a cursor, changes a colour or turns a line."""

KEPT = "\n\t\N{NO-BREAK SPACE}"


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
