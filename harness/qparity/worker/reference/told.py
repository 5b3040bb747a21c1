"""Which backend a user's own code is told that it is on, where the reference builds the model.

Most code that asks has no entry for NumPy: a table of interfaces by backend, a chain of `if`. Where a model cannot be
built under the reference's own name its code is told another, the first of the trainable ones that works, and its
QNodes get PennyLane's interface "auto" whatever they ask for. Keras and qparity themselves are told the truth, and no
framework can be imported meanwhile. The name does not depend on the cell that is judged: a line of the model that is
another one on some backend is judged by what it is on this one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import pennylane as qml

from qparity.scenario.backends import REFERENCE, trainable

_names = [REFERENCE]
_WITHIN = ("keras", "qparity")


def install() -> None:
    """Make `keras.backend.backend()` and `keras.config.backend()` answer users with the name of the day."""
    truth = keras.backend.backend

    @functools.wraps(truth)
    def backend() -> str:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        return str(truth()) if caller.partition(".")[0] in _WITHIN else _names[-1]

    keras.backend.backend = keras.config.backend = backend
    made = qml.QNode.__init__

    @functools.wraps(made)
    def on_numpy(self: Any, func: Any, device: Any, interface: Any = "auto", *more: Any, **options: Any) -> None:
        made(self, func, device, "auto" if other() else interface, *more, **options)

    qml.QNode.__init__ = on_numpy


def other() -> str | None:
    """The name that users' code is told in place of the reference's own, if it is."""
    return None if _names[-1] == REFERENCE else _names[-1]


def names(search_path: Sequence[str]) -> Iterator[str]:
    """Names to try, one after the other: from each on that name is told. The last one tried is the one that stays.

    Not one whose framework has been imported: the model might compute with it. Between two, modules from `search_path`
    are forgotten, so that what they ask while they are imported is asked again.
    """
    before = set(sys.modules)
    yield REFERENCE
    for facts in trainable():
        if facts.package in sys.modules:
            continue
        for module in [name for name in set(sys.modules) - before if _of_a_user(name, search_path)]:
            del sys.modules[module]
        _names.append(facts.name)
        yield facts.name


def _of_a_user(module: str, search_path: Sequence[str]) -> bool:
    """Whether a module lies in the user's folders, and not among the packages installed below one of them."""
    place = Path(getattr(sys.modules[module], "__file__", None) or "/")
    if module.partition(".")[0] in _WITHIN or {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return any(place.is_relative_to(folder) for folder in search_path)


@contextlib.contextmanager
def without_frameworks() -> Iterator[None]:
    """While another name is told nothing can import a framework: what the model then computes is NumPy's."""
    if not other():
        yield
        return
    finder = _NotHere()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _NotHere(importlib.abc.MetaPathFinder):
    """Finds no framework."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Raises ImportError for a framework or a part of it."""
        if name.partition(".")[0] in {facts.package for facts in trainable()}:
            raise ImportError(f"the reference has no {name}")
