"""What stands when a `fit` begins: the arguments it was given, and the values of all variables."""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qparity.circuit.fit import FitArguments
from qparity.circuit.script import start_of
from qparity.recording.untouched import value_of
from qparity.worker.inspection import overridden

NOT_FOLLOWED = ("train_step", "make_train_function", "fit")
HARMLESS = ("Recorder", "History", "ProgbarLogger", "CSVLogger", "ModelCheckpoint", "TensorBoard", "RemoteMonitor")
"""Callbacks that leave a training as it is."""


class NotRecorded(Exception):
    """Why a training is not recorded; one line."""


@dataclass
class Begun:
    """What stood when `fit` began: the arguments it was given, and the values of all variables.

    `optimizer` is None where Keras had not built it yet.
    """

    given: FitArguments
    file: Path | None
    start: dict[str, np.ndarray]
    optimizer: list[np.ndarray] | None
    steps_before: int
    at: float
    epochs: int = 0

    @classmethod
    def of(cls, model: keras.Model) -> Begun:
        """What the running `fit` of a model was given. Raises NotRecorded."""
        if own := [name for name in overridden(model) if name in NOT_FOLLOWED]:
            raise NotRecorded(f"the model has its own {' and '.join(own)}, which is not what a recorded step takes")
        if not model.built or not all(layer.built for layer in model._flatten_layers()):
            raise NotRecorded("the model has no weights yet when fit begins: expected model.build(...) before it")
        frame = _fit_frame(model)
        given = FitArguments.of(frame.f_locals)
        if hasattr(given.x, "__next__"):
            raise NotRecorded(
                "fit is given a generator, which it uses up: expected arrays, or a data set to read again"
            )
        callbacks = getattr(given.callbacks, "callbacks", ())
        given = replace(given, callbacks=[each for each in callbacks if type(each).__name__ not in HARMLESS])
        optimizer = model.optimizer
        built = [value_of(v) for v in optimizer.variables] if optimizer.built else None
        before = int(value_of(optimizer.iterations))
        return cls(given, _caller(frame), start_of(model), built, before, time.perf_counter())


def _fit_frame(model: keras.Model) -> Any:
    """The frame of Keras' own `fit` that is running. Raises NotRecorded where there is none."""
    frame = inspect.currentframe()
    while frame is not None:
        names = frame.f_locals if frame.f_code.co_name == "fit" else {}
        if names.get("self") is model and "epoch_iterator" in names:
            return frame
        frame = frame.f_back
    raise NotRecorded("it was not called by Keras' model.fit: a loop of your own cannot be recorded")


def _caller(frame: Any) -> Path | None:
    """The file that called `fit`, if it is one."""
    inside = str(Path(keras.__file__).parent)
    while frame is not None and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename) if frame is not None else Path()
    return path.resolve() if path.is_file() else None
