"""Import Keras on NumPy, without JAX, computing in float64 whatever precision a model asks for.

Keras' NumPy backend imports JAX for pooling, convolution and Fourier transforms, and maps float64 to float32 in most
operations (`keras/src/backend/common/dtypes.py`). Both are undone here: `windows` stands in for JAX, the promotion
table keeps 64 bits, and every dtype policy means float64. `rounding` stands in for NumPy.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qparity.worker.reference import rounding, windows


def load() -> None:
    """Import Keras so; nothing of it may have been imported before.

    Raises:
        RuntimeError: Keras is there already on another backend.
    """
    os.environ["KERAS_BACKEND"] = "numpy"
    with _standing_in(_Shells(("jax", "jaxlib"))):
        import keras
    if keras.backend.backend() != "numpy":
        raise RuntimeError(f"Keras chose the backend {keras.backend.backend()}, not numpy")
    from keras.src.backend.common import dtypes
    from keras.src.backend.numpy import linalg, math, nn
    from keras.src.backend.numpy import numpy as operations
    from keras.src.dtype_policies.dtype_policy import DTypePolicy

    dtypes.BIT64_TO_BIT32_DTYPE.update({name: name for name in ("int64", "uint64", "float64", "complex128")})
    nn.lax, nn.jax = windows, types.SimpleNamespace(lax=windows)
    for module in (linalg, math, nn, operations):
        module.np = rounding.numpy
    nn.sigmoid = rounding.rounded(nn.sigmoid, rounding.SAVED["sigmoid"])
    total = operations.sum  # which Keras' own compute_loss gives a list of losses: the other backends take one
    operations.sum = lambda x, *arguments, **options: total(np.asarray(x), *arguments, **options)
    parse = DTypePolicy._parse_name

    def in_float64(self: Any, name: Any) -> tuple[str, str]:
        return tuple("float64" if "float" in each else each for each in parse(self, name))  # type: ignore[return-value]

    DTypePolicy._parse_name = in_float64
    from qparity.worker.reference import told  # not before Keras has been imported so

    told.install()
    keras.config.set_floatx("float64")


@contextlib.contextmanager
def _standing_in(finder: _Shells) -> Iterator[None]:
    """While this holds, `finder` answers for its packages; what it gave is forgotten afterwards."""
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in finder.packages]:
            del sys.modules[name]


class _Shells(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Packages that are empty shells: their names can be imported, but do nothing."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        mine = name.partition(".")[0] in self.packages
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if mine else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Shell(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module empty."""


class _Shell(types.ModuleType):
    """A module that has every name: classes for capitals, functions that return their argument for the rest."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = sys.modules.get(f"{self.__name__}.{name}")
        return found or (type(name, (), {}) if name[:1].isupper() else _Nothing())


class _Nothing:
    """Any name of a shell's module: as a decorator it leaves its function alone."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self
