"""Modules written for 0.1 go on: `from harness.circuit.layer import QKerasLayer` is `qparity.circuit.layer`.

Only in workers, where the modules that scenarios name are imported; the installed package has one name.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

OLD, NEW = "harness", "qparity"


class OldName(MetaPathFinder, Loader):
    """Find `harness...` as the module `qparity...` of the same path, unless a package of that name has one there.

    It comes before other finders: below a package that goes by both names they would load its modules a second time.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A specification whose module is the one of the new name; None for any other name."""
        top, _, rest = fullname.partition(".")
        if top != OLD or (rest and find_spec(f"{NEW}.{rest}") is None):
            return None
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if parent is None or not parent.__name__.startswith(NEW):
            theirs = PathFinder.find_spec(fullname, path)
            if theirs is not None and theirs.loader is not None:
                return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, not a copy: a class has one identity under both names."""
        warnings.warn(f"{spec.name} is {NEW}{spec.name.removeprefix(OLD)} since 0.2", FutureWarning, stacklevel=2)
        module = importlib.import_module(NEW + spec.name.removeprefix(OLD))
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run; the import system has just put the old name's specification in."""
        module.__spec__ = self._own


def accept() -> None:
    """Let this process import qparity under its old name too."""
    if not any(isinstance(finder, OldName) for finder in sys.meta_path):
        sys.meta_path.insert(0, OldName())
