"""An error of the code under test as one readable line."""

from __future__ import annotations

import re

from qparity.scenario.text import printable

HEAD, TAIL = 360, 240
"""Characters that are kept of a long message: what happened stands at its beginning or, of a callback's, at its end."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def one_line(error: BaseException) -> str:
    """The error's name and message, what is not seen in it as escapes; where that is long, its head and its tail."""
    if isinstance(error, SystemExit):
        return f"SystemExit: the code under test ended the program with {error.code!r:.80}"
    try:
        text = printable(" ".join(_ADDRESS.sub("", str(error)).split()))
    except BaseException as other:  # the message is code under test, too
        text = f"its message cannot be read ({type(other).__name__})"
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD].rstrip()} [...] {text[-TAIL:].lstrip()}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
