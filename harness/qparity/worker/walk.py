"""A model layer by layer: what entered each layer, what came out, and what its derivatives are.

A unit is a layer that is no model: nested models are entered, composite layers (recurrent, attention, a user's own) are
taken as they are. Variant and reference walk the same units in the order of their calls; the reference is given what
entered each on the variant, so that every layer is judged by itself. Its state (running means, counters, seeds) is put
back before each further look at a call: it draws the same numbers again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from qparity.oracle.probes import direction
from qparity.records.answers import Call, Slopes
from qparity.worker.backends.base import Backend, is_number, plain

SEED = 0
"""Of cotangents and directions: the same for variant and reference."""
COTANGENT, INPUT, WEIGHT = 0, 1, 2
UnitCall = Callable[[Any, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def units(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that are called as units, in no particular order."""
    found: list[keras.layers.Layer] = []
    waiting = list(model._layers)
    while waiting:
        layer = waiting.pop(0)
        if isinstance(layer, keras.Model):
            waiting += layer._layers
        elif not isinstance(layer, keras.layers.InputLayer) and layer not in found:
            found.append(layer)
    return found


@contextlib.contextmanager
def intercepted(model: keras.Model, called: UnitCall) -> Iterator[None]:
    """While this holds, a unit's call goes to `called(layer, call, arguments, options)`."""
    layers = units(model)
    before = {id(layer): layer.call for layer in layers}

    def through(layer: Any) -> Callable[..., Any]:
        call = before[id(layer)]
        return lambda *arguments, **options: called(layer, call, arguments, options)

    for layer in layers:
        layer.call = through(layer)
    try:
        yield
    finally:
        for layer in layers:
            layer.call = before[id(layer)]


def numbers(structure: Any) -> list[Any]:
    """The floating-point tensors of arguments or outputs, in order."""
    return [leaf for leaf in keras.tree.flatten(structure) if is_number(leaf)]


def cotangents(outputs: list[np.ndarray], call: int) -> list[np.ndarray]:
    """What comes back to each output of a call."""
    return [direction(out.shape, SEED + COTANGENT, call, k) for k, out in enumerate(outputs)]


def directions(arrays: list[np.ndarray], call: int, kind: int) -> list[np.ndarray]:
    """Along which each input (`INPUT`) or weight (`WEIGHT`) is moved."""
    return [direction(array.shape, SEED + kind, call, k) for k, array in enumerate(arrays)]


def walk(model: keras.Model, backend: Backend, x: Any) -> tuple[list[Call], dict[str, np.ndarray]]:
    """Run `model` on `x` in training mode, uncompiled, and look at every unit.

    Returns:
        Every call, and the arrays
        `call/<n>/input/<i>`, `call/<n>/output/<i>`, `call/<n>/weight/<i>`, and `call/<n>/state/<i>` after the call;
        `call/<n>/gradient/input/<i>` and `call/<n>/gradient/weight/<i>` for its cotangents, where there are any.
    """
    calls: list[Call] = []
    seen: list[tuple[Any, Any, tuple[Any, ...], dict[str, Any], Any, list[np.ndarray], list[np.ndarray]]] = []

    def called(layer: Any, call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        before = state_of(layer)
        outputs = call(*arguments, **options)
        seen.append((layer, call, arguments, options, outputs, before, state_of(layer)))
        return outputs

    with intercepted(model, called):
        model(x, training=True)
    arrays: dict[str, np.ndarray] = {}
    for n, (layer, call, arguments, options, outputs, before, after) in enumerate(seen):
        tensors = (numbers((arguments, options)), numbers(outputs), layer.trainable_variables)
        entered, left, weights = ([as_array(each) for each in kind] for kind in tensors)
        for kind, found in (("input", entered), ("output", left), ("weight", weights)):
            arrays |= {f"call/{n}/{kind}/{i}": a for i, a in enumerate(found)}
        arrays |= {f"call/{n}/state/{i}": a for i, a in enumerate(after) if a.dtype.kind == "f"}
        set_state(layer, before)
        slopes, reason = None, None
        try:
            each = backend.layer_slopes(layer, call, arguments, options, cotangents(left, n))
            moved = (directions(entered, n, INPUT), directions(weights, n, WEIGHT))
            for kind, gradients in zip(("input", "weight"), each, strict=True):
                arrays |= {f"call/{n}/gradient/{kind}/{i}": g for i, g in enumerate(gradients) if g is not None}
            slopes = Slopes(
                *(tuple(_dot(g, d) for g, d in zip(gs, ds, strict=True)) for gs, ds in zip(each, moved, strict=True))
            )
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        listed = bool(arguments) and isinstance(arguments[0], list | tuple)
        state, names = (
            tuple(variable.name for variable in variables)
            for variables in (layer.non_trainable_variables, layer.trainable_variables)
        )
        calls.append(Call(layer.name, type(layer).__name__, config_of(layer), listed, slopes, reason, state, names))
    return calls, arrays


def state_of(layer: Any) -> list[np.ndarray]:
    """What a layer has of variables that are not trained."""
    return [as_array(variable) for variable in layer.non_trainable_variables]


def set_state(layer: Any, values: list[np.ndarray]) -> None:
    """Put them back."""
    for variable, value in zip(layer.non_trainable_variables, values, strict=True):
        variable.assign(value)


def config_of(layer: Any) -> str | None:
    """How Keras writes one of its own layers; None for a layer of somebody else's."""
    if not type(layer).__module__.startswith("keras."):
        return None
    try:
        return json.dumps(keras.saving.serialize_keras_object(layer))
    except (TypeError, ValueError):
        return None


def as_array(tensor: Any) -> np.ndarray:
    """A tensor or variable as NumPy array of its own dtype."""
    return plain(np.array(ops.convert_to_numpy(tensor)))


def _dot(gradient: np.ndarray | None, towards: np.ndarray) -> float:
    return 0.0 if gradient is None else float((gradient.astype(np.longdouble) * towards).sum())
