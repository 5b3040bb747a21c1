"""A user's training script, run up to its `fit`: what it would have trained, with what, on which data.

The script runs unchanged, as `__main__` and in its own folder; its first `fit` (or another one) is left without having
trained. The backend is that of this process, whatever the script asks for.
"""

from __future__ import annotations

import contextlib
import math
import os
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
from qparity.circuit.seeds import seeded
from qparity.scenario.schema import DATA, SAMPLE_WEIGHT, Scenario, ScriptSpec

MOST_BATCHES = 5_000
"""Of one epoch of a generator or data set: what yields more is taken for endless."""
MOST_BYTES = 2 * 2**30
COMPILED_WITH = "_qparity_compiled_with"
"""The attribute of a model that holds what its `compile` was given."""


class ScriptError(Exception):
    """A script that cannot be taken; one line that says why, and what to do."""


class _Reached(BaseException):
    """Leaves the script at its `fit`."""


@dataclass
class Captured:
    """What a script has handed to `fit`.

    `x` and `y` are (samples, ...) as the script has them, `weight` (samples,) that of each sample in the loss or None,
    `start` the variables of the model before the first step (`weights/<k>` and `state/<j>`), `loss` and `optimizer` the
    objects that it was compiled with.
    """

    model: keras.Model
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    training: dict[str, Any]
    loss: Any
    optimizer: Any
    dtype: str
    notes: list[str] = field(default_factory=list)
    start: dict[str, np.ndarray] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    """Its `metrics` and `weighted_metrics`, as `compile` was given them."""

    def described(self) -> dict[str, Any]:
        """The `training` table of a scenario, what of it is the script's `own`, dtype and notes, as plain data."""
        loss, optimizer = loss_table(self.loss), optimizer_table(self.optimizer)
        own = [name for name, table in (("loss", loss), ("optimizer", optimizer)) if table is None]
        training = self.training | (loss or {})
        if optimizer:
            plan = schedule_table(self.optimizer)
            training |= {"optimizer": optimizer} | ({"schedule": plan} if plan else {})
        about = {"dtype": self.dtype, "own": own, "notes": self.notes, "given": self.given()}
        return {"training": training | {"numerics": "stock"}, **about}

    def given(self) -> dict[str, Any]:
        """How much `fit` trains, before `--steps` or `--batch-size` change it, and the model's dtypes."""
        told = {key: self.training[key] for key in ("batch_size", "epochs", "shuffle")}
        policies = sorted({layer.dtype_policy.name for layer in self.model._flatten_layers()})
        return told | {"samples": len(self.x), "sample_weight": self.weight is not None, "policies": policies}

    def differs_from(self, scenario: Scenario) -> str | None:
        """What the script hands over here and has handed over otherwise where it was captured; None if nothing."""
        assert scenario.script is not None
        about = self.described()
        here = _compiled_with(about["training"], about["own"]) | {"dtype": self.dtype} | about["given"]
        told = scenario.training.model_dump(mode="json")
        there = _compiled_with(told, scenario.script.own) | {"dtype": scenario.dtype}
        there |= {key: scenario.script.given.get(key, here[key]) for key in about["given"]}
        wrong = [key for key in here if here[key] != there[key]]
        return f"{wrong[0]} is {here[wrong[0]]} here, {there[wrong[0]]} where it was captured" if wrong else None

    def data(self) -> dict[str, np.ndarray]:
        """`arrays` as every backend is sent them: numbers that float32 has, as float64."""
        return {name: array.astype(np.float32).astype(np.float64) for name, array in self.arrays().items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """The data by their names in a trace."""
        weight = {} if self.weight is None else {SAMPLE_WEIGHT: self.weight}
        return {"x": self.x, "y": self.y, **weight}

    def fresh_model(self) -> keras.Model:
        """The model with all its variables as they were: a script is run once in a process."""
        for name, variable in _variables(self.model):
            variable.assign(self.start[name])
        self.model.compiled = False
        self.model._compile_metrics = None  # compile without metrics would keep the script's own
        return self.model


def _compiled_with(training: dict[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """What of a `training` table a script decides, and `--steps` or `--batch-size` do not."""
    found = {key: training.get(key) for key in ("loss", "loss_options", "schedule")}
    found["optimizer"] = training.get("optimizer", {}).get("name")
    hidden = {"loss": ("loss", "loss_options"), "optimizer": ("optimizer", "schedule")}
    return found | {key: "its own" for part in own for key in hidden[part]}


_captured: list[Captured] = []


def hold(found: Captured) -> None:
    """From now on this was handed to `fit` in this process, in place of what a script hands over."""
    _captured[:] = [found]


@contextlib.contextmanager
def held(found: Captured) -> Iterator[None]:
    """The same for a while."""
    before = _captured[:]
    hold(found)
    try:
        yield
    finally:
        _captured[:] = before


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
    ended = ""
    with seeded(), _as_main(script, spec, path), _caught(found, spec), rates_kept():
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
    usual, compiles = keras.Model.fit, keras.Model.compile
    asked, asked_to_compile = signature(usual), signature(compiles)
    left = spec.fit

    def compile(self: keras.Model, *arguments: Any, **options: Any) -> None:
        bound = asked_to_compile.bind(self, *arguments, **options)
        bound.apply_defaults()
        compiles(self, *arguments, **options)
        object.__setattr__(self, COMPILED_WITH, bound.arguments)

    def fit(self: keras.Model, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if found:
            raise _Reached
        left -= 1
        if left:
            return usual(self, *arguments, **options)
        bound = asked.bind(self, *arguments, **options)
        bound.apply_defaults()
        found.append(taken(self, bound.arguments))
        raise _Reached

    fit.__signature__, compile.__signature__ = asked, asked_to_compile  # type: ignore[attr-defined]
    keras.Model.fit, keras.Model.compile = fit, compile
    try:
        yield
    finally:
        del keras.Model.fit, keras.Model.compile


def taken(model: keras.Model, given: dict[str, Any]) -> Captured:
    """What a `fit` was given, by the names of its arguments, as arrays and a table.

    Raises:
        ScriptError: it cannot be trained the same on every backend, or not yet.
    """
    if not model.compiled:
        raise ScriptError("the model is not compiled when fit is called: expected model.compile(...) before it")
    dtype = keras.config.floatx()
    if dtype not in ("float32", "float64"):
        raise ScriptError(f"floatx is {dtype}: expected float32 or float64 (mixed precision is a policy of layers)")
    notes: list[str] = []
    x, y, weight, training = _data(given, notes)
    notes += _left_out(model, given)
    if not model.built or not all(layer.built for layer in model._flatten_layers()):
        model(keras.ops.convert_to_tensor(x[:2].astype(dtype)))
    found = Captured(model, x, y, weight, training, _only(model.loss), model.optimizer, dtype, notes)
    compiled = getattr(model, COMPILED_WITH, {})
    found.measured = {key: compiled[key] for key in ("metrics", "weighted_metrics") if compiled.get(key)}
    found.start = start_of(model)
    return found


def start_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of a model's variables, `weights/<k>` and `state/<j>`."""
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _variables(model)}


def _left_out(model: keras.Model, given: dict[str, Any]) -> Iterator[str]:
    """A line on everything in `compile` and `fit` that is not trained with as it is.

    Raises:
        ScriptError: the training would be another one without it.
    """
    compiled = getattr(model, COMPILED_WITH, {})
    if model._compile_config.config.get("loss_weights") not in (None, 1, [1], [1.0]):
        raise ScriptError("compile(..., loss_weights=...) cannot be recorded: expected one loss, not weighted")
    for name, usual in (("run_eagerly", False), ("jit_compile", "auto"), ("steps_per_execution", 1)):
        if (value := compiled.get(name, usual)) != usual:
            yield f"{name}={value!r} of compile is overruled: the variant says"
    if callbacks := given["callbacks"]:
        several = callbacks if isinstance(callbacks, list | tuple) else getattr(callbacks, "callbacks", [callbacks])
        names = ", ".join(dict.fromkeys(type(each).__name__ for each in several))
        yield f"callbacks of fit are left out: {names[:200]}; what they would change in a training is not in this one"
    if given["validation_data"] is not None or given["validation_split"]:
        yield "validation of fit is left out: its data are not trained on"
    if getattr(model.optimizer, "use_ema", False) and not model.optimizer.ema_overwrite_frequency:
        yield "use_ema is left out: the averages are not trained with"
    if int(keras.ops.convert_to_numpy(model.optimizer.iterations)):
        yield "what the optimizer has kept of earlier steps is left out: it begins anew"


def _only(loss: Any) -> Any:
    """A loss given as a list or dict of one."""
    if isinstance(loss, list | tuple) and len(loss) == 1:
        return loss[0]
    if isinstance(loss, dict) and len(loss) == 1:
        return next(iter(loss.values()))
    return loss


Data = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""`x`, `y` and the samples' weights."""


def _data(given: dict[str, Any], notes: list[str]) -> tuple[*Data, dict[str, Any]]:
    """The data, and the `batch_size`, `epochs` and `shuffle` of a training; what that leaves out goes to the notes.

    Raises:
        ScriptError: they cannot be taken.
    """
    x, y, weight = given["x"], given["y"], given["sample_weight"]
    if isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape"):
        x = x[0]
    if isinstance(x, dict) or (isinstance(x, list | tuple) and any(hasattr(each, "shape") for each in x)):
        raise ScriptError("fit is given several inputs: expected one array of inputs")
    if isinstance(y, dict) or (isinstance(y, list | tuple) and any(hasattr(each, "shape") for each in y)):
        raise ScriptError("fit is given several targets: expected one array of targets")
    first, last = int(given["initial_epoch"]), int(given["epochs"])
    if cap := keras.config.max_epochs():
        last = min(last, cap)
    if last <= first:
        raise ScriptError(f"fit trains nothing: it is given epochs={last} and initial_epoch={first}")
    training = {"epochs": last - first, "shuffle": False}
    from keras.src.trainers.data_adapters import array_data_adapter

    if array_data_adapter.can_convert_arrays((x, y)) or isinstance(x, list):
        return _arrays(x, y, weight, given, training, notes)
    return _generated(x, y, weight, given, training, notes)


def _arrays(
    x: Any, y: Any, weight: Any, given: dict[str, Any], training: dict[str, Any], notes: list[str]
) -> tuple[*Data, dict[str, Any]]:
    """As Keras' array adapter and its epoch iterator take them."""
    if y is None:
        raise ScriptError("fit is given no targets: expected y")
    if weight is not None and given["class_weight"] is not None:
        raise ScriptError("fit is given sample_weight and class_weight: expected one of them")
    x, y = _array(x, "x"), _array(y, "y")
    weight = None if weight is None else _array(weight, "sample_weight")
    if len(x) != len(y):
        raise ScriptError(f"fit is given {len(x)} samples and {len(y)} targets")
    if (share := given["validation_split"]) and given["validation_data"] is None:
        kept = math.floor(len(x) * (1.0 - share))
        if not 0 < kept < len(x):
            raise ScriptError(f"validation_split={share!r} leaves {kept} of {len(x)} samples: expected some for both")
        notes.append(f"validation_split: trained on the first {kept} of {len(x)} samples, as fit does")
        x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
    weight = _weights(y, weight, given["class_weight"])
    steps, size = given["steps_per_epoch"], given["batch_size"]
    size = min(int(size or (math.ceil(len(x) / steps) if steps else 32)), len(x))
    if given["shuffle"] == "batch":
        notes.append("shuffle='batch' is overruled: all samples are shuffled")
    if steps and steps < (batches := math.ceil(len(x) / size)):
        # fit goes on in the next epoch where it has stopped in this one, from the data's beginning after their end
        spread = math.ceil(batches / steps)
        epochs, rest = divmod(training["epochs"], spread)
        if not epochs:
            kept = min(len(x), training["epochs"] * steps * size)
            notes.append(f"steps_per_epoch: fit comes to {kept} of {len(x)} samples, here the first ones")
            x, y, weight = x[:kept], y[:kept], None if weight is None else weight[:kept]
        elif rest:
            notes.append(f"steps_per_epoch: fit ends inside a pass over the data, here after {epochs} whole ones")
        else:
            notes.append(f"steps_per_epoch: {spread} epochs of fit are one pass over the data, here one epoch")
        training["epochs"] = max(1, epochs)
    return x, y, weight, training | {"batch_size": size, "shuffle": bool(given["shuffle"])}


def _generated(
    x: Any, y: Any, weight: Any, given: dict[str, Any], training: dict[str, Any], notes: list[str]
) -> tuple[*Data, dict[str, Any]]:
    """The batches of the first epoch of something that yields them."""
    from keras.src.trainers.data_adapters import get_data_adapter

    if given["validation_split"] and given["validation_data"] is None:
        raise ScriptError("fit is given validation_split and no arrays to split: Keras refuses that too")
    try:
        adapter = get_data_adapter(x=x, y=y, sample_weight=weight, steps_per_epoch=given["steps_per_epoch"])
    except ValueError as error:
        raise ScriptError(f"fit is given data that Keras refuses: {' '.join(str(error).split())[:200]}") from None
    x, y, weight, size = _batches(adapter.get_numpy_iterator(), given["steps_per_epoch"])
    weight = _weights(y, weight, given["class_weight"])
    shuffles = isinstance(given["x"], keras.utils.PyDataset) and given["shuffle"]
    if training["epochs"] > 1 or shuffles:
        notes.append(f"the first epoch's batches are each epoch's{', unshuffled' if shuffles else ''}")
    return x, y, weight, training | {"batch_size": size}


def _weights(y: np.ndarray, weight: np.ndarray | None, classes: dict[int, float] | None) -> np.ndarray | None:
    """The samples' weights in the loss, (samples,); those of their classes become so as in Keras."""
    if classes is not None:
        if weight is not None:
            raise ScriptError("fit is given sample_weight and class_weight: expected one of them")
        from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

        if not isinstance(classes, dict):
            raise ScriptError("fit is given a class_weight that is no table: expected {class: weight}")
        weight = np.asarray(class_weight_to_sample_weights(y, classes))
    if weight is None:
        return None
    if weight.shape not in ((len(y),), (len(y), 1)):
        shapes = f"of shape {list(weight.shape)} for {len(y)} samples"
        raise ScriptError(f"fit is given sample weights {shapes}: expected one number a sample")
    return weight.reshape(-1)


def _batches(batches: Iterator[Any], steps: int | None) -> tuple[*Data, int]:
    """The first epoch of something that yields batches, and their size."""
    columns: list[list[np.ndarray]] = []
    held = 0
    for batch in islice(batches, steps or MOST_BATCHES + 1):
        if not isinstance(batch, list | tuple) or len(batch) < 2 or batch[1] is None:
            raise ScriptError("the data yield no (inputs, targets): expected pairs")
        row = [_array(each, name) for each, name in zip(batch, DATA, strict=False) if each is not None]
        held += sum(array.nbytes for array in row)
        if held > MOST_BYTES:
            raise ScriptError(f"an epoch of the data is more than {MOST_BYTES // 2**30} GiB: give steps_per_epoch")
        if columns and len(row) != len(columns[0]):
            raise ScriptError("the data yield sample weights with some batches alone: expected all or none")
        columns.append(row)
    if not columns:
        raise ScriptError("the data yield nothing")
    if len(columns) > MOST_BATCHES and not steps:
        raise ScriptError(f"the data yield more than {MOST_BATCHES} batches an epoch: give steps_per_epoch")
    sizes = [len(row[0]) for row in columns]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise ScriptError(f"the batches have {min(sizes)} to {max(sizes)} samples: expected one size, but for the last")
    x, y, *weight = (np.concatenate(arrays) for arrays in zip(*columns, strict=True))
    return x, y, weight[0] if weight else None, sizes[0]


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
