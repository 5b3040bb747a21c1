"""A user's training script, run up to its `fit`: what it would have trained, with what, on which data.

The script runs unchanged, as `__main__` and in its own folder; its first `fit` (or another one) is left without having
trained. The backend is that of this process, whatever the script asks for.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qparity.circuit.compiled import loss_table, optimizer_table, rates_kept, schedule_table
from qparity.scenario.schema import Scenario, ScriptSpec

MOST_BATCHES = 5_000
"""Of one epoch of a generator or data set: what yields more is taken for endless."""
MOST_BYTES = 2 * 2**30


class ScriptError(Exception):
    """A script that cannot be taken; one line that says why, and what to do."""


class _Reached(BaseException):
    """Leaves the script at its `fit`."""


@dataclass
class Captured:
    """What a script has handed to `fit`.

    `x` and `y` are (samples, ...) as the script has them, `start` the variables of the model before the first step
    (`weights/<k>` and `state/<j>`), `loss` and `optimizer` the objects that it was compiled with.
    """

    model: keras.Model
    x: np.ndarray
    y: np.ndarray
    training: dict[str, Any]
    loss: Any
    optimizer: Any
    dtype: str
    notes: list[str] = field(default_factory=list)
    start: dict[str, np.ndarray] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """The `training` table of a scenario, what of it is the script's `own`, dtype and notes, as plain data."""
        loss, optimizer = loss_table(self.loss), optimizer_table(self.optimizer)
        own = [name for name, table in (("loss", loss), ("optimizer", optimizer)) if table is None]
        training = self.training | (loss or {})
        if optimizer:
            plan = schedule_table(self.optimizer)
            training |= {"optimizer": optimizer} | ({"schedule": plan} if plan else {})
        about = {"dtype": self.dtype, "own": own, "notes": self.notes}
        return {"training": training | {"numerics": "stock"}, **about}

    def differs_from(self, scenario: Scenario) -> str | None:
        """What the script hands over here and has handed over otherwise where it was captured; None if nothing."""
        assert scenario.script is not None
        about = self.described()
        here = _compiled_with(about["training"], about["own"]) | {"dtype": self.dtype}
        told = scenario.training.model_dump(mode="json")
        there = _compiled_with(told, scenario.script.own) | {"dtype": scenario.dtype}
        wrong = [key for key in here if here[key] != there[key]]
        return f"{wrong[0]} is {here[wrong[0]]} here, {there[wrong[0]]} where it was captured" if wrong else None

    def data(self) -> dict[str, np.ndarray]:
        """`x` and `y` as every backend is sent them: numbers that float32 has, as float64."""
        return {name: array.astype(np.float32).astype(np.float64) for name, array in (("x", self.x), ("y", self.y))}

    def fresh_model(self) -> keras.Model:
        """The model with all its variables as they were: a script is run once in a process."""
        for name, variable in _variables(self.model):
            variable.assign(self.start[name])
        self.model.compiled = False
        return self.model


def _compiled_with(training: dict[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """What of a `training` table a script decides, and `--steps` or `--batch-size` do not."""
    found = {key: training.get(key) for key in ("loss", "loss_options", "schedule", "shuffle")}
    found["optimizer"] = training.get("optimizer", {}).get("name")
    hidden = {"loss": ("loss", "loss_options"), "optimizer": ("optimizer", "schedule")}
    return found | {key: "its own" for part in own for key in hidden[part]}


_captured: list[Captured] = []


def captured() -> Captured:
    """What the script of this process' scenario has handed to `fit`."""
    if not _captured:
        raise ScriptError("the script has not been run in this process")
    return _captured[0]


def run_script(spec: ScriptSpec, folder: Path) -> Captured:
    """Run a script up to its `spec.fit`-th `fit`, once in this process.

    Raises:
        ScriptError: it never gets there, or trains in a way that cannot be taken.
        Exception: whatever it raises itself.
    """
    if not _captured:
        _captured.append(_run(spec, (folder / spec.file).resolve()))
    return _captured[0]


def _run(spec: ScriptSpec, path: Path) -> Captured:
    found: list[Captured] = []
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ScriptError(f"{spec.file}: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise ScriptError(f"{spec.file} is no Python: {error}") from None
    script = types.ModuleType("__main__")
    script.__file__ = str(path)
    script.__dict__["__builtins__"] = __builtins__
    random.seed(0)
    keras.utils.set_random_seed(0)
    ended = ""
    with _as_main(script, spec, path), _caught(found, spec), rates_kept():
        try:
            exec(code, script.__dict__)
        except _Reached:
            pass
        except ScriptError:
            raise
        except SystemExit as error:
            ended = f" (it ended itself with {error.code!r})"
        except Exception as error:
            if not found:
                raise ScriptError(f"{_place(error, path)}{type(error).__name__}: {error}") from error
    if not found:
        which = "fit" if spec.fit == 1 else f"fit number {spec.fit}"
        raise ScriptError(
            f"{spec.file} ended without a {which}{ended}: qparity takes the training that a script hands to Keras' "
            "model.fit; a loop of your own cannot be taken, but a model that a function builds can (docs/layer.md)"
        )
    return found[0]


def _place(error: BaseException, path: Path) -> str:
    """`line 3: `, where in the script an error came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""


@contextlib.contextmanager
def _as_main(script: types.ModuleType, spec: ScriptSpec, path: Path) -> Iterator[None]:
    """The script as `__main__`, in its folder, with its arguments, its windows closed."""
    argv, main, folder, backend = sys.argv, sys.modules["__main__"], os.getcwd(), os.environ.get("KERAS_BACKEND")
    sys.argv = [str(path), *spec.arguments]
    sys.modules["__main__"] = script
    sys.path.insert(0, str(path.parent))
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.chdir(path.parent)
    try:
        yield
    finally:
        sys.argv, sys.modules["__main__"] = argv, main
        os.chdir(folder)
        if backend is not None:
            os.environ["KERAS_BACKEND"] = backend


@contextlib.contextmanager
def _caught(found: list[Captured], spec: ScriptSpec) -> Iterator[None]:
    """Keras' `fit` replaced by one that takes what it is given and leaves the script."""
    usual = keras.Model.fit
    asked = signature(usual)
    left = spec.fit

    def fit(self: keras.Model, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if found:
            raise _Reached
        left -= 1
        if left:
            return usual(self, *arguments, **options)
        bound = asked.bind(self, *arguments, **options)
        bound.apply_defaults()
        found.append(_taken(self, bound.arguments))
        raise _Reached

    fit.__signature__ = asked  # type: ignore[attr-defined]
    keras.Model.fit = fit
    try:
        yield
    finally:
        del keras.Model.fit


def _taken(model: keras.Model, given: dict[str, Any]) -> Captured:
    """What a `fit` was given, as arrays and a table.

    Raises:
        ScriptError: it cannot be trained the same on every backend, or not yet.
    """
    if not model.compiled:
        raise ScriptError("the model is not compiled when fit is called: expected model.compile(...) before it")
    for name in ("class_weight", "sample_weight"):
        if given[name] is not None:
            raise ScriptError(f"fit(..., {name}=...) cannot be recorded: expected a fit without it")
    dtype = keras.config.floatx()
    if dtype not in ("float32", "float64"):
        raise ScriptError(f"floatx is {dtype}: expected float32 or float64 (mixed precision is a policy of layers)")
    notes = [f"{name} of fit are left out" for name in ("callbacks",) if given[name]]
    x, y, size, shuffled = _data(given, notes)
    if given["validation_data"] is not None or given["validation_split"]:
        notes.append("validation is left out")
    if getattr(model.optimizer, "use_ema", False) and not model.optimizer.ema_overwrite_frequency:
        notes.append("use_ema is left out: the averages are not trained with")
    epochs = max(1, int(given["epochs"]) - int(given["initial_epoch"]))
    training = {"batch_size": min(size, len(x)), "epochs": epochs, "shuffle": shuffled}
    if not model.built or not all(layer.built for layer in model._flatten_layers()):
        model(keras.ops.convert_to_tensor(x[:2].astype(dtype)))
    taken = Captured(model, x, y, training, _only(model.loss), model.optimizer, dtype, notes)
    taken.start = {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _variables(model)}
    return taken


def _only(loss: Any) -> Any:
    """A loss given as a list or dict of one."""
    if isinstance(loss, list | tuple) and len(loss) == 1:
        return loss[0]
    if isinstance(loss, dict) and len(loss) == 1:
        return next(iter(loss.values()))
    return loss


def _data(given: dict[str, Any], notes: list[str]) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """`x`, `y`, batch size, and whether each epoch is shuffled."""
    x, y = given["x"], given["y"]
    if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape"):
        x = x[0]
    if isinstance(x, dict) or (isinstance(x, list | tuple) and any(hasattr(each, "shape") for each in x)):
        raise ScriptError("fit is given several inputs: expected one array of inputs")
    if isinstance(y, dict) or (isinstance(y, list | tuple) and any(hasattr(each, "shape") for each in y)):
        raise ScriptError("fit is given several targets: expected one array of targets")
    from keras.src.trainers.data_adapters import array_data_adapter, get_data_adapter

    if not array_data_adapter.can_convert_arrays((x, y)) and not isinstance(x, list):
        adapter = get_data_adapter(x=x, y=y, steps_per_epoch=given["steps_per_epoch"], shuffle=False)
        return *_batches(adapter.get_numpy_iterator(), given["steps_per_epoch"]), False
    if y is None:
        raise ScriptError("fit is given no targets: expected y")
    x, y = _array(x, "x"), _array(y, "y")
    if len(x) != len(y):
        raise ScriptError(f"fit is given {len(x)} samples and {len(y)} targets")
    if share := given["validation_split"]:
        kept = int(np.floor(len(x) * (1.0 - share)))
        x, y = x[:kept], y[:kept]
    size = int(given["batch_size"] or 32)
    if given["steps_per_epoch"] and given["steps_per_epoch"] * size < len(x):
        kept = given["steps_per_epoch"] * size
        x, y = x[:kept], y[:kept]
        notes.append(f"steps_per_epoch: the first {kept} samples are each epoch's")
    return x, y, size, bool(given["shuffle"])


def _batches(batches: Iterator[Any], steps: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The first epoch of something that yields batches."""
    xs: list[np.ndarray] = []
    ys: list[np.ndarray] = []
    held = 0
    for batch in islice(batches, steps or MOST_BATCHES + 1):
        if not isinstance(batch, list | tuple) or len(batch) < 2 or batch[1] is None:
            raise ScriptError("the data yield no (inputs, targets): expected pairs")
        if len(batch) > 2 and batch[2] is not None:
            raise ScriptError("the data yield sample weights, which cannot be recorded: expected pairs")
        x, y = _array(batch[0], "x"), _array(batch[1], "y")
        held += x.nbytes + y.nbytes
        if held > MOST_BYTES:
            raise ScriptError(f"an epoch of the data is more than {MOST_BYTES // 2**30} GiB: give steps_per_epoch")
        xs.append(x)
        ys.append(y)
    if not xs:
        raise ScriptError("the data yield nothing")
    if len(xs) > MOST_BATCHES and not steps:
        raise ScriptError(f"the data yield more than {MOST_BATCHES} batches an epoch: give steps_per_epoch")
    sizes = [len(x) for x in xs]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise ScriptError(f"the batches have {min(sizes)} to {max(sizes)} samples: expected one size, but for the last")
    return np.concatenate(xs), np.concatenate(ys), sizes[0]


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else keras.ops.convert_to_numpy(value))
    except Exception:
        array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise ScriptError(f"fit is given {name} of type {array.dtype}: expected an array of real numbers")
    return array


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    yield from ((f"weights/{k}", variable) for k, variable in enumerate(model.trainable_weights))
    yield from ((f"state/{j}", variable) for j, variable in enumerate(model.non_trainable_variables))
