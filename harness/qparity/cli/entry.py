"""From the command line to an exit code: bad input, interrupts and closed pipes end without a traceback."""

from __future__ import annotations

import os
import signal
import sys

import typer

from qparity.cli.commands import INTERRUPTED, app
from qparity.cli.problems import problem
from qparity.cli.values import split_script_arguments


def main() -> None:
    """Run the command line; bad input is one line and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        words, script_words = split_script_arguments(sys.argv[1:])
        code = app(words or ["--help"], standalone_mode=False, obj=script_words)
        raise SystemExit(code if isinstance(code, int) else 0)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        line = problem(error)
        if line is None:
            raise
        typer.echo(f"qparity: {line}", err=True)
        raise SystemExit(2) from None


def _terminate(*_: object) -> None:
    """End as Ctrl-C does, also where a background shell has Ctrl-C ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
