"""Packages that are not there: their names can be imported, and nothing can be computed with them.

Code that imports a framework to set it up, and computes with `keras.ops` and PennyLane, runs beside such a shell as it
is. Whatever takes a result of the framework for a number, or asks what it is, is refused: never a wrong number.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NoReturn

TRANSPARENT = frozenset({"compile", "enable_grad", "function", "inference_mode", "jit", "no_grad"})
"""Of what frameworks have: what leaves the values of a function as they are when it is called on one."""
REFUSED = (
    "abs", "add", "array", "bool", "complex", "contains", "divmod", "eq", "float", "floordiv", "ge", "getitem", "gt",
    "index", "int", "iter", "le", "len", "lt", "matmul", "mod", "mul", "ne", "neg", "next", "pos", "pow", "radd",
    "rmatmul", "rmul", "rpow", "rsub", "rtruediv", "setitem", "sub", "truediv",
)  # fmt: skip
"""What nothing can be asked for, without the underscores."""


@contextlib.contextmanager
def standing_in(finder: Shells) -> Iterator[None]:
    """While this holds, `finder` answers for its packages; what it gave is forgotten afterwards."""
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Shell)]:
            del sys.modules[name]


class Shells(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Packages that are empty shells: their names can be imported, but do nothing.

    `transparent` are the functions that, called on a function, give it back; None for all of them.
    """

    def __init__(self, packages: Sequence[str], transparent: Collection[str] | None = None) -> None:
        self.packages, self.transparent = packages, transparent

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """A shell for what belongs to the packages."""
        mine = name.partition(".")[0] in self.packages
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if mine else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The shell."""
        return _Shell(spec.name, self.transparent)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module empty."""


class _Shell(types.ModuleType):
    """A module that has every name: classes for capitals, `_Nothing` for the rest."""

    def __init__(self, name: str, transparent: Collection[str] | None) -> None:
        super().__init__(name)
        vars(self)["_transparent"] = transparent

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = sys.modules.get(f"{self.__name__}.{name}")
        whole = f"{self.__name__}.{name}"
        return found or (type(name, (), {}) if name[:1].isupper() else _Nothing(whole, vars(self)["_transparent"]))


class _Nothing:
    """Any name of a shell's module, and whatever comes of calling it."""

    def __init__(self, name: str, transparent: Collection[str] | None) -> None:
        self._name, self._transparent = name, transparent

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        last = self._name.rpartition(".")[2]
        passes = self._transparent is None or last in self._transparent
        return arguments[0] if passes and len(arguments) == 1 and callable(arguments[0]) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing(f"{self._name}.{name}", self._transparent)

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *raised: Any) -> None:
        pass

    __hash__ = None  # type: ignore[assignment]


def _refused(self: _Nothing, *arguments: Any) -> NoReturn:
    raise TypeError(f"{self._name} is needed for its values, and is not there")


for _name in REFUSED:
    setattr(_Nothing, f"__{_name}__", _refused)
