"""Whether a command printed what its block shows, figures aside that another run or machine has otherwise."""

from __future__ import annotations

import re

MASKS = (
    (r", not to be relied on \([^)]*\)", ""),
    (r"\b\d{8}-\d{6}-[0-9a-f]{4}\b", "RUN"),
    (r"\b[0-9a-f]{16}\b", "HASH"),
    (r"(?<=-)[0-9a-f]{8}(?=/)", "HASH"),
    (r"\b\d+ cores\b", "CORES"),
    (r"\[\d+(?=/\d+\])", "[NTH"),
    (r"\b\d+ of (?=\d+ leading bits)", "BITS of "),
    (r"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)? (?:s|ms|µs|min|GB)\b", "TIME"),
    (r"(?<![\w.])-?\d+(?:\.\d+)+(?:e[+-]?\d+)?(?:\+\w+)?|(?<![\w.])\d+e[+-]?\d+", "NUMBER"),
)
"""What is another one each time: what a busy machine adds, ids, times, the order in which cells end, bits (of another
processor), and every number that is no integer."""


def masked(text: str) -> str:
    """The text on one line, with those figures masked."""
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def missing(shown: str, printed: str) -> list[str]:
    """What is shown and was not printed: line by line, and where a line is cut with `...`, piece by piece."""
    there = masked(printed)
    pieces = [piece.strip(" ;,") for line in shown.splitlines() for piece in re.split(r"(?<!\.)\.\.\.(?!\.)", line)]
    return [piece for piece in pieces if masked(piece) not in there]
