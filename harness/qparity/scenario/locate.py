"""Where in a scenario file a scenario is described: for messages that point at a line."""

from __future__ import annotations

import re
from pathlib import Path

_ENTRY = re.compile(r"\s*\[\[\s*scenarios\s*\]\]")
_MATRIX = re.compile(r"\s*\[\s*matrix\b")
_TABLE = re.compile(r"\s*\[")
_NAME = re.compile(r"""\s*name\s*=\s*["']([^"']+)["']""")


def line_of(text: str, scenario: str) -> int:
    """The line (from 1) of the `[[scenarios]]` entry a scenario comes from, else of `[matrix]`, else 1.

    A matrix adds to an entry's name, so the entry is the one with the longest name that begins the scenario's.
    """
    best, line, matrix, start = "", 1, 1, 0
    for number, content in enumerate(text.splitlines(), start=1):
        if _ENTRY.match(content):
            start = number
        elif _TABLE.match(content):
            start = 0
            if _MATRIX.match(content):
                matrix = number
        elif start and (found := _NAME.match(content)):
            name = found[1]
            if (scenario == name or scenario.startswith(f"{name}-")) and len(name) > len(best):
                best, line = name, start
    return line if best else matrix


def line_in_file(file: str, scenario: str) -> int | None:
    """The same for a file; None where it cannot be read (a run may be judged on another machine)."""
    try:
        return line_of(Path(file).read_text(encoding="utf-8-sig"), scenario)
    except (OSError, ValueError):
        return None
