"""What a circuit or a layer says when it cannot work: one line."""

import sys
import traceback
from pathlib import Path

in_callbacks: list[Exception] = []
"""The last error of a Python function inside a graph or a compiled program, which tells nothing of its kind."""


class CircuitError(ValueError):
    """A circuit that cannot work, said in one line."""


class UnsupportedError(CircuitError):
    """A device, method or mode that cannot run this circuit, said in one line before PennyLane says it obscurely."""


def one_line(error: BaseException) -> str:
    """An exception as one line for a user."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def fails_in_pennylane(error: Exception) -> bool:
    """Whether PennyLane itself broke: of the code that is no other library's, its own is what was running.

    A quantum function that breaks while PennyLane runs it is the function's own fault.
    """
    if isinstance(error, MemoryError | RecursionError | AssertionError) or "memory" in str(error).lower():
        return False
    pennylane = _folder("pennylane")
    installed = "site-packages", "dist-packages"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if pennylane in file.parents:
            return True
        library = any(name in file.parts for name in installed) or frame.filename.startswith((sys.base_prefix, "<"))
        if not library or "qparity" in file.parts:
            return False
    return False


def _folder(package: str) -> Path | None:
    """Where an imported package lies."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return Path(file).parent if file else None
