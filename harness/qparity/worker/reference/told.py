"""Which backend a user's own code is told that it is on, where the reference builds the model.

Most code that asks has no entry for NumPy: a table of interfaces by backend, a chain of `if`. Where a model cannot be
built and run under the reference's own name its code is told another, the first of the trainable ones that works, and
its QNodes get PennyLane's interface "auto" whatever they ask for. Keras and qparity themselves are told the truth. In
place of a framework an empty shell is imported meanwhile (`shells`), with which nothing can be computed. The name does
not depend on the cell that is judged: a line of the model that is another one on some backend is judged by what it is
on this one.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import pennylane as qml

from qparity.scenario.backends import REFERENCE, trainable
from qparity.worker.reference.shells import TRANSPARENT, Shells, standing_in

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


def tell(name: str) -> None:
    """From now on this name is told."""
    _names.append(name)


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
        tell(facts.name)
        yield facts.name


def _of_a_user(module: str, search_path: Sequence[str]) -> bool:
    """Whether a module lies in the user's folders, and not among the packages installed below one of them."""
    place = Path(getattr(sys.modules[module], "__file__", None) or "/")
    if module.partition(".")[0] in _WITHIN or {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return any(place.is_relative_to(folder) for folder in search_path)


@contextlib.contextmanager
def without_frameworks() -> Iterator[None]:
    """While another name is told no framework can be imported: what the model then computes is NumPy's."""
    if not other():
        yield
        return
    there = {facts.package for facts in trainable()} & set(sys.modules)
    absent = [facts.package for facts in trainable() if facts.package not in there]
    with standing_in(Shells(absent, TRANSPARENT)):
        yield
