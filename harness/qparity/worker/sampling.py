"""Which QNodes of a model's own layers sample: what they give is another number each time, on every backend."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import pennylane as qml


@contextlib.contextmanager
def noticed(names: set[str]) -> Iterator[None]:
    """While this holds, the functions of QNodes that are called with shots are added to `names`.

    Quantum layers are left out: their shots stand in the scenario.
    """
    call = qml.QNode.__call__

    @functools.wraps(call)
    def called(self: Any, *arguments: Any, **options: Any) -> Any:
        owner = type(getattr(self.func, "__self__", None)).__module__
        if self.shots and owner.partition(".")[0] != "qparity":
            names.add(str(getattr(self.func, "__name__", type(self.func).__name__)))
        return call(self, *arguments, **options)

    qml.QNode.__call__ = called
    try:
        yield
    finally:
        qml.QNode.__call__ = call
