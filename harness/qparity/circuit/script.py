"""A user's training script, run up to its `fit`: what it would have trained, with what, on which data.

The script runs unchanged, as `__main__` and in its own folder; its first `fit` (or another one) is left without having
trained. The backend is that of this process, whatever the script asks for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qparity.circuit.compiled import loss_table, optimizer_table, rates_kept, schedule_table
from qparity.circuit.fit import Amount, FitArguments, FitData, ScriptError, data_and_amount
from qparity.circuit.seeds import seeded
from qparity.circuit.several import OneOfSeveral, Unlike, loss_of_several
from qparity.scenario.schema import SAMPLE_WEIGHT, Scenario, ScriptSpec

COMPILED_WITH = "_qparity_compiled_with"
"""The attribute of a model that holds what its `compile` was given."""


class _Reached(BaseException):
    """Leaves the script at its `fit`."""


@dataclass(frozen=True)
class Description:
    """A captured training as plain data: the `training` table of a scenario, and what of it is the script's `own`."""

    training: dict[str, Any]
    dtype: str
    own: list[str]
    notes: list[str]
    given: dict[str, Any]
    """How much `fit` trains, before `--steps` or `--batch-size` change it, and the model's dtypes."""


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
    amount: Amount
    loss: Any
    optimizer: Any
    dtype: str
    notes: list[str] = field(default_factory=list)
    start: dict[str, np.ndarray] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    """Its `metrics` and `weighted_metrics`, as `compile` was given them."""

    def described(self) -> Description:
        """As a scenario says it."""
        loss, optimizer = loss_table(self.loss), optimizer_table(self.optimizer)
        own = [name for name, table in (("loss", loss), ("optimizer", optimizer)) if table is None]
        training = asdict(self.amount) | (loss or {})
        if optimizer:
            plan = schedule_table(self.optimizer)
            training |= {"optimizer": optimizer} | ({"schedule": plan} if plan else {})
        return Description(training | {"numerics": "stock"}, self.dtype, own, self.notes, self.given())

    def given(self) -> dict[str, Any]:
        """See `Description.given`."""
        policies = sorted({layer.dtype_policy.name for layer in self.model._flatten_layers()})
        about = {"samples": len(self.x), "sample_weight": self.weight is not None, "policies": policies}
        return asdict(self.amount) | about

    def differs_from(self, scenario: Scenario) -> str | None:
        """What the script hands over here and has handed over otherwise where it was captured; None if nothing."""
        assert scenario.script is not None
        about = self.described()
        here = _compiled_with(about.training, about.own) | {"dtype": self.dtype} | about.given
        told = scenario.training.model_dump(mode="json")
        there = _compiled_with(told, scenario.script.own) | {"dtype": scenario.dtype}
        there |= {key: scenario.script.given.get(key, here[key]) for key in about.given}
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
        found.append(taken(self, FitArguments.of(bound.arguments)))
        raise _Reached

    fit.__signature__, compile.__signature__ = asked, asked_to_compile  # type: ignore[attr-defined]
    keras.Model.fit, keras.Model.compile = fit, compile
    try:
        yield
    finally:
        del keras.Model.fit, keras.Model.compile


def taken(model: keras.Model, given: FitArguments) -> Captured:
    """What a `fit` was given, as arrays, and what its model was compiled with.

    Raises:
        ScriptError: it cannot be trained the same on every backend, or not yet.
    """
    if not model.compiled:
        raise ScriptError("the model is not compiled when fit is called: expected model.compile(...) before it")
    dtype = keras.config.floatx()
    if dtype not in ("float32", "float64"):
        raise ScriptError(f"floatx is {dtype}: expected float32 or float64 (mixed precision is a policy of layers)")
    notes: list[str] = []
    data = data_and_amount(given, notes)
    notes += _left_out(model, given)
    head = data.x[:2].astype(dtype)
    compiled = getattr(model, COMPILED_WITH, {})
    measured = {key: compiled[key] for key in ("metrics", "weighted_metrics") if compiled.get(key)}
    whole, loss = model, _only(model.loss)
    several = data.targets is not None or len(getattr(model, "outputs", None) or ()) > 1
    if several:
        loss = _loss_of_several(model, head, data)
        if measured:
            notes.append("metrics are left out: the outputs are trained side by side, as one")
            measured = {}
    elif _weights_of_losses(model) not in (None, 1, [1], [1.0]):
        raise ScriptError("compile(..., loss_weights=...) cannot be recorded: expected one loss, not weighted")
    if several or data.inputs is not None:
        whole = OneOfSeveral(model, data.inputs, several)
    if not whole.built or not all(layer.built for layer in whole._flatten_layers()):
        whole(keras.ops.convert_to_tensor(head))
    found = Captured(whole, data.x, data.y, data.weight, data.amount, loss, model.optimizer, dtype, notes)
    found.measured = measured
    found.start = start_of(whole)
    return found


def _loss_of_several(model: keras.Model, head: np.ndarray, data: FitData) -> Any:
    """The loss of a model of several outputs.

    Raises:
        ScriptError: it cannot be taken.
    """
    if data.weight is not None:
        raise ScriptError("fit is given weights of samples and several targets: expected no weights")
    try:
        return loss_of_several(model, head, data.inputs, data.targets, model.loss, _weights_of_losses(model))
    except Unlike as error:
        raise ScriptError(f"fit is given {error}") from None


def _weights_of_losses(model: keras.Model) -> Any:
    return model._compile_config.config.get("loss_weights")


def start_of(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of a model's variables, `weights/<k>` and `state/<j>`."""
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in _variables(model)}


def _left_out(model: keras.Model, given: FitArguments) -> Iterator[str]:
    """A line on everything in `compile` and `fit` that is not trained with as it is."""
    compiled = getattr(model, COMPILED_WITH, {})
    for name, usual in (("run_eagerly", False), ("jit_compile", "auto"), ("steps_per_execution", 1)):
        if (value := compiled.get(name, usual)) != usual:
            yield f"{name}={value!r} of compile is overruled: the variant says"
    if callbacks := given.callbacks:
        several = callbacks if isinstance(callbacks, list | tuple) else getattr(callbacks, "callbacks", [callbacks])
        names = ", ".join(dict.fromkeys(type(each).__name__ for each in several))
        yield f"callbacks of fit are left out: {names[:200]}; what they would change in a training is not in this one"
    if given.validation_data is not None or given.validation_split:
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


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    yield from ((f"weights/{k}", variable) for k, variable in enumerate(model.trainable_weights))
    yield from ((f"state/{j}", variable) for j, variable in enumerate(model.non_trainable_variables))
