"""What PennyLane warns of while a cell trains: a gradient that it leaves out is often said in a warning alone."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

MOST = 8


@contextlib.contextmanager
def pennylane_warnings() -> Iterator[list[str]]:
    """The different warnings that PennyLane raises while this holds, a line each; all are still shown in the log."""
    found: list[str] = []
    show = warnings.showwarning

    def heard(message, category, filename, lineno, file=None, line=None):  # type: ignore[no-untyped-def]
        text = " ".join(str(message).split())
        deprecated = issubclass(category, DeprecationWarning) or "deprecat" in text.lower()
        if "pennylane" in filename and not deprecated and text not in found and len(found) < MOST:
            found.append(text[:300])
        show(message, category, filename, lineno, file, line)

    warnings.showwarning = heard
    try:
        yield found
    finally:
        warnings.showwarning = show
