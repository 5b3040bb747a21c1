"""Text from anywhere is harmless on a terminal, and what people can read stays as it is."""

import sys
import unicodedata

import pytest

from qparity.scenario.text import printable, printable_lines

HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_every_control_and_format_character_is_escaped_and_nothing_that_is_seen():
    harmful = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in HARMFUL]
    for character in harmful:
        for escape in (printable, printable_lines):
            shown = escape(character)
            assert (shown.isascii() and shown.isprintable()) or (escape is printable_lines and shown in "\n\t")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb\x1b[31m", "a\\u202eb\\x1b[31m"),
        ("one\ntwo\r\n", "one\\ntwo\\r\\n"),
        ("1.2× [0, 1] ≈ 日本 😀 e\u0301", "1.2× [0, 1] ≈ 日本 😀 e\u0301"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_shown(text, shown):
    assert printable(text) == shown


def test_lines_stay_lines():
    assert printable_lines("0: ──RX\n1: ──\t\u202e\r") == "0: ──RX\n1: ──\t\\u202e\\r"
    assert printable_lines("1\N{NO-BREAK SPACE}000 steps\n") == "1\N{NO-BREAK SPACE}000 steps\n"
