"""The user's process as it was: whatever a recording moves is put back, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from qparity.worker import backends

SEEDS, NAMES = "global_seed_generator", "object_name_uids"


@contextmanager
def untouched(model: keras.Model) -> Iterator[None]:
    """All variables of the model and its optimizer, all generators of random numbers, and Keras' names of objects."""
    variables = [(v, value_of(v)) for v in every_variable(model)]
    names = dict(global_state.get_global_attribute(NAMES) or {})
    seeds = global_state.get_global_attribute(SEEDS)
    seed = None if seeds is None else value_of(seeds.state)
    beside = backends.backend_class(keras.backend.backend()).kept_beside(model)
    generators = _generators()
    try:
        yield
    finally:
        for variable, value in variables:
            variable.assign(value)
        for put_back, state in (*beside, *generators):
            put_back(state)
        if seeds is not None:
            seeds.state.assign(seed)
        global_state.set_global_attribute(SEEDS, seeds)
        if (counted := global_state.get_global_attribute(NAMES)) is not None:
            counted.clear()
            counted.update(names)


def every_variable(model: keras.Model) -> list[Any]:
    """Trained and other variables, the optimizer's, and those of metrics, each once."""
    found = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in found}.values())


def value_of(variable: Any) -> np.ndarray:
    """Its value, copied."""
    return np.array(keras.ops.convert_to_numpy(variable))


def _generators() -> list[tuple[Any, Any]]:
    """(function that puts a state back, the state) of the process' generators that are no framework's."""
    numpy = (np.random.set_state, np.random.get_state())  # noqa: NPY002 (the one that users' code draws from)
    return [(random.setstate, random.getstate()), numpy]
