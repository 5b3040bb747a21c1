"""An error is one line that keeps its cause; a process that the code under test has copied says nothing."""

import os
import socket

import pytest

from qparity.worker.errors import HEAD, TAIL, one_line
from qparity.worker.protocol import Channel


class Mute(Exception):
    def __str__(self):
        raise KeyError("no message")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\n lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (SystemExit(3), "SystemExit: the code under test ended the program with 3"),
        (SystemExit(), "SystemExit: the code under test ended the program with None"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Mute(), "Mute: its message cannot be read (KeyError)"),
        (RuntimeError("<default.qubit device (wires=1) at 0x7fbb62980bd0> says no"),
         "RuntimeError: <default.qubit device (wires=1)> says no"),
    ],
)  # fmt: skip
def test_one_line(error, said):
    assert one_line(error) == said


def test_a_long_message_keeps_its_beginning_and_its_end():
    said = one_line(ValueError(f"it failed {'x' * 5000} because of this"))
    assert said.startswith("ValueError: it failed x")
    assert said.endswith("x because of this")
    assert " [...] " in said
    assert len(said) < HEAD + TAIL + 40


@pytest.mark.parametrize("act", ["send", "receive"])
def test_a_forked_copy_neither_speaks_nor_listens(act):
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    copy = os.fork()
    if not copy:
        try:
            getattr(channel, act)(*(["done"] if act == "send" else []))
        finally:
            os._exit(0)  # reached only if it did
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 1
    channel.send("done", {"by": "me"})
    theirs.close()
    assert Channel(ours).receive().body == {"by": "me"}
    assert Channel(ours).receive() is None


def test_what_would_steer_a_terminal_is_shown_as_an_escape():
    """The line is stored, and raised to a notebook as it is."""
    assert one_line(ValueError("no\n\x1b[2Jluck\u202e")) == r"ValueError: no \x1b[2Jluck\u202e"
