"""Seeds of everything that draws, as `keras.utils.set_random_seed` sets them, without importing TensorFlow for that.

Keras imports it to seed the shuffling of `tf.data`, whatever its backend: ten seconds for scripts that do not use it.
Here it is seeded when it is imported, if it ever is.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import keras
from keras.src.utils import rng_utils

SEED = 0


@contextmanager
def seeded() -> Iterator[None]:
    """Seed all generators; until the end TensorFlow takes the last seed that was set when it is imported."""
    known, later = rng_utils.tf, _Later()
    if "tensorflow" not in sys.modules:
        rng_utils.tf = _IfImported()
        sys.meta_path.insert(0, later)
    try:
        random.seed(SEED)
        keras.utils.set_random_seed(SEED)
        yield
    finally:
        rng_utils.tf = known
        if later in sys.meta_path:
            sys.meta_path.remove(later)


class _IfImported:
    """TensorFlow for Keras' seeds: there if somebody else has imported it."""

    @property
    def available(self) -> bool:
        """Whether it has been imported."""
        return sys.modules.get("tensorflow") is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules["tensorflow"], name)


class _Later(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as usual, and has it seeded once it is there."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_seed(module: ModuleType) -> None:
                load(module)
                module.random.set_seed(rng_utils.get_random_seed() or SEED)

            spec.loader.exec_module = load_and_seed  # type: ignore[method-assign]
        return spec
