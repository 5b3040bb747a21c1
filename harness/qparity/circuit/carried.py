"""A model of one process as JSON from which another process builds it: what the reference has of a recorded model.

Layers travel as Keras writes them. Functions of a model (circuits, losses, activations) that no module has under their
name, since they were defined in a notebook or in the program itself, travel by their code: both processes are one
Python. What of a model cannot travel is named in one line, and the model then has no reference.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import marshal
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import pennylane as qml

from qparity.circuit.errors import one_line
from qparity.circuit.fit import Amount
from qparity.circuit.model import quantum_layers
from qparity.circuit.script import Captured, start_of

PLAIN = (bool, int, float, str, type(None))
MOST_NUMBERS = 100_000
"""Of an array that a function uses."""


class NotCarried(Exception):
    """Something of a model cannot be taken to another process; one line."""


def model_as_json(model: keras.Model, loss: Any) -> dict[str, Any]:
    """A model and its loss, to be built by `captured`.

    Raises:
        NotCarried: with what cannot travel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lambdas, which travel by their code
            return {
                "config": keras.saving.serialize_keras_object(model),
                "functions": {name: _written(function) for name, function in _functions(model, loss).items()},
                "loss": _written_loss(loss),
                "variables": _variables_of(model),
            }
    except NotCarried:
        raise
    except Exception as error:  # of Keras, or of a user's own get_config
        raise NotCarried(f"the model cannot be built again elsewhere: {one_line(error)}") from error


def captured(found: Mapping[str, Any]) -> Captured:
    """The model of `model_as_json`, built in this process, and its loss.

    Raises:
        NotCarried: it cannot be built, or is another one.
    """
    try:
        functions = {name: _read(function) for name, function in found["functions"].items()}
        with keras.saving.CustomObjectScope(functions):
            model = keras.saving.deserialize_keras_object(found["config"], custom_objects=functions, safe_mode=False)
            loss = _read_loss(found["loss"], functions)
    except NotCarried:
        raise
    except Exception as error:
        raise NotCarried(f"the model cannot be built again elsewhere: {one_line(error)}") from error
    if not model.built or not all(layer.built for layer in model._flatten_layers()):
        raise NotCarried("the model cannot be built again elsewhere: its layers have no weights before they are called")
    if (here := _variables_of(model)) != found["variables"]:
        mine, there = (each["weights"] + each["state"] for each in (here, found["variables"]))
        pairs = zip(mine, there, strict=False)
        which = next((f"{b[0]} {b[1]} is {a[0]} {a[1]}" for a, b in pairs if a != b), "it has other variables")
        raise NotCarried(f"the model built again elsewhere is another one: {which}")
    nothing, start, dtype = np.zeros((0, 1)), start_of(model), keras.config.floatx()
    return Captured(model, nothing, nothing, None, Amount(1, 0), loss, None, dtype, start=start)


def _variables_of(model: keras.Model) -> dict[str, list[Any]]:
    """What must be alike in both: path and shape of every variable, in Keras' order."""

    def told(variables: Any) -> list[Any]:
        return [[v.path.removeprefix(f"{model.name}/"), list(v.shape)] for v in variables]

    return {"weights": told(model.trainable_weights), "state": told(model.non_trainable_variables)}


def _functions(model: keras.Model, loss: Any) -> dict[str, Callable[..., Any]]:
    """The functions of a model by the names that Keras writes them with.

    Raises:
        NotCarried: two have one name.
    """
    found: dict[str, Any] = {}
    for function in _each_function(model, loss):
        name = keras.saving.get_registered_name(function)
        if found.setdefault(name, function) is not function:
            raise NotCarried(f"two functions of the model are called {name}, which Keras cannot tell apart")
    return found


def _each_function(model: keras.Model, loss: Any) -> Iterator[Callable[..., Any]]:
    for layer in quantum_layers(model):
        circuit = layer.circuit.func if isinstance(layer.circuit, qml.QNode) else layer.circuit
        if isinstance(circuit, types.FunctionType) and circuit.__name__ != "<lambda>":
            yield circuit
    for layer in model._flatten_layers():
        function = getattr(layer, "activation", None)
        if isinstance(function, types.FunctionType) and not function.__module__.startswith("keras."):
            yield function
    if isinstance(inner := getattr(loss, "fn", None), types.FunctionType) and not inner.__module__.startswith("keras."):
        yield inner


def _written_loss(loss: Any) -> Any:
    if loss is None or isinstance(loss, str):
        return loss
    if isinstance(loss, keras.losses.Loss):
        return {"object": keras.saving.serialize_keras_object(loss)}
    if isinstance(loss, types.FunctionType) and not loss.__module__.startswith("keras."):
        return {"function": _written(loss)}
    return {"object": keras.losses.serialize(loss)}


def _read_loss(found: Any, functions: dict[str, Any]) -> Any:
    if not isinstance(found, dict):
        return found
    if "function" in found:
        return _read(found["function"])
    if isinstance(found["object"], str):
        return keras.losses.deserialize(found["object"], functions)
    return keras.saving.deserialize_keras_object(found["object"], custom_objects=functions, safe_mode=False)


# Values that functions use, and functions themselves


def _written(value: Any, above: tuple[int, ...] = ()) -> Any:
    """A value as JSON."""
    if isinstance(value, PLAIN):
        return {"value": value}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_written(each, above) for each in value]}
    if isinstance(value, dict) and all(isinstance(key, PLAIN) for key in value):
        return {"dict": [[key, _written(each, above)] for key, each in value.items()]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf" and value.size <= MOST_NUMBERS:
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, types.ModuleType):
        return {"module": value.__name__}
    if place := _place(value):
        return {"place": place}
    if isinstance(value, types.FunctionType):
        if id(value) in above:
            raise NotCarried(f"{value.__name__} calls itself, and no module has it")
        return {"function": _code(value, (*above, id(value)))}
    name = getattr(value, "__name__", None) or f"a {type(value).__name__}"
    raise NotCarried(f"{name} cannot be taken to another process: expected functions and numbers, or a module of them")


def _place(value: Any) -> list[str] | None:
    """Module and name under which another process finds the same thing; None where there is none."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception:
        return None
    return [module, name] if found is value else None


def _code(function: types.FunctionType, above: tuple[int, ...]) -> dict[str, Any]:
    used = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:
        raise NotCarried(f"{function.__name__} uses a variable that has no value yet") from None
    return {
        "code": marshal.dumps(function.__code__).hex(),
        "name": function.__name__,
        "module": function.__module__,
        "defaults": _written(function.__defaults__, above),
        "keywords": _written(function.__kwdefaults__, above),
        "closure": [_written(value, above) for value in cells],
        "globals": {name: _written(value, above) for name, value in used.items()},
        "attributes": {name: _written(value, above) for name, value in vars(function).items()},
    }


def _names(code: types.CodeType) -> set[str]:
    """The global names that code looks up, with those of functions inside it."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    mine = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return mine.union(*inner)


def _read(found: dict[str, Any]) -> Any:
    """The value again."""
    ((kind, value),) = [(kind, value) for kind, value in found.items() if kind != "dtype"]
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](_read(each) for each in value)
    if kind == "dict":
        return {key: _read(each) for key, each in value}
    if kind == "array":
        return np.asarray(value, found["dtype"])
    if kind == "module":
        return importlib.import_module(value)
    if kind == "place":
        module, name = value
        here: Any = importlib.import_module(module)
        for part in name.split("."):
            here = getattr(here, part)
        return here
    return _function(value) if kind == "function" else value


def _function(found: dict[str, Any]) -> types.FunctionType:
    names = {name: _read(value) for name, value in found["globals"].items()}
    names |= {"__builtins__": builtins, "__name__": found["module"]}
    code = marshal.loads(bytes.fromhex(found["code"]))
    cells = tuple(types.CellType(_read(value)) for value in found["closure"])
    function = types.FunctionType(code, names, found["name"], _read(found["defaults"]), cells)
    function.__kwdefaults__ = _read(found["keywords"])
    for name, value in found["attributes"].items():
        setattr(function, name, _read(value))
    return function
