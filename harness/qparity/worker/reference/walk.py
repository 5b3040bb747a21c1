"""The reference's walk: every layer applied to what entered it on the variant (worker/walk.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from qparity.records.answers import Located, ReferenceCall, ReferenceWalked, Slopes
from qparity.worker.backends.base import split
from qparity.worker.reference import qnodes
from qparity.worker.reference.differences import Slope, slope
from qparity.worker.reference.rounding import Disturbance, disturb, disturbed_by
from qparity.worker.walk import (
    INPUT,
    WEIGHT,
    as_array,
    cotangents,
    directions,
    intercepted,
    is_number,
    set_state,
    state_of,
)

DISTURBANCE = 2.0**-22
REPEATS = 3


def walk(
    model: keras.Model, x: np.ndarray, entered: dict[str, np.ndarray], rounding: float
) -> tuple[ReferenceWalked, dict[str, Any]]:
    """Run `model`; at each unit's call put what entered on the variant (`call/<n>/input/<i>`) in place of its inputs.

    Of the first of the variant's gradients (`call/<n>/gradient/...`) that is off by more than `rounding` times its
    condition, and the slope's own error, the entry is looked for.

    Returns:
        Every call with that entry, and the arrays
        `call/<n>/output/<i>` and `call/<n>/condition/<i>`: how far a disturbance by 1 of all that enters, and that is
        computed, moves them; likewise `call/<n>/state/<i>` and `call/<n>/state_condition/<i>`, after the call.
    """
    calls: list[ReferenceCall] = []
    found: list[Located] = []
    arrays: dict[str, Any] = {}

    def called(layer: Any, call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        n = len(calls)
        own, call_with = split(arguments, options)
        given = [entered[f"call/{n}/input/{i}"].astype(np.float64) for i in range(len(own))]
        variables = list(layer.trainable_variables)
        weights, before = [as_array(variable) for variable in variables], state_of(layer)

        def outputs(inputs: list[np.ndarray], values: list[np.ndarray]) -> list[np.ndarray]:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            set_state(layer, [disturb(value) for value in before])
            return [np.asarray(out, np.float64) for out in call_with(call, inputs)]

        right, after = outputs(given, weights), state_of(layer)
        moved, moved_state = [], []
        for seed in range(REPEATS):
            with disturbed_by(Disturbance(DISTURBANCE, seed)):
                moved.append(outputs([disturb(a) for a in given], [disturb(w) for w in weights]))
            moved_state.append(state_of(layer))
        bars = cotangents(right, n)

        def total(inputs: list[np.ndarray], values: list[np.ndarray]) -> float:
            return float(sum((c * out).sum() for c, out in zip(bars, outputs(inputs, values), strict=True)))

        for i, out in enumerate(right):
            arrays[f"call/{n}/output/{i}"] = out
            moves = max(np.abs(each[i] - out).max(initial=0.0) for each in moved)
            arrays[f"call/{n}/condition/{i}"] = np.array(moves / DISTURBANCE)
        for i, value in enumerate(after):
            if value.dtype.kind == "f":
                arrays[f"call/{n}/state/{i}"] = value
                moves = max(np.abs(each[i] - value).max(initial=0.0) for each in moved_state)
                arrays[f"call/{n}/state_condition/{i}"] = np.array(moves / DISTURBANCE)
        size = [float(np.abs(out).max(initial=0.0)) for out in right]
        ways = (
            (lambda held: total(held, weights), given, INPUT),
            (lambda held: total(given, held), weights, WEIGHT),
        )
        along = [
            [slope(_line(function, held, k, d)) for k, d in enumerate(directions(held, n, mark))]
            for function, held, mark in ways
        ]
        for (function, held, mark), slopes in zip(ways, along, strict=True):
            for k, (each, towards) in enumerate(zip(slopes, directions(held, n, mark), strict=True)):
                name = f"call/{n}/gradient/{'weight' if mark == WEIGHT else 'input'}/{k}"
                if found or name not in entered or not np.isfinite(entered[name]).all():
                    continue
                gradient = entered[name].astype(np.float64)
                allowed = rounding * max(abs(each.value), *size) + each.error
                if abs(float((gradient * towards).sum()) - each.value) > allowed:
                    entry, exact = _worst_entry(function, held, k, gradient, towards)
                    found.append(Located(n, mark == WEIGHT, k, entry, exact.value, exact.error))
        outputs(given, weights)
        set_state(layer, before)
        calls.append(
            ReferenceCall(
                layer.name,
                Slopes(*(tuple(each.value for each in kind) for kind in along)),
                Slopes(*(tuple(each.error for each in kind) for kind in along)),
                Slopes(*(tuple(max(abs(each.value), *size) for each in kind) for kind in along)),
            )
        )
        result = call(*arguments, **options)  # the structure of the outputs, for the layers that follow
        filled = iter(right)
        return keras.tree.map_structure(lambda leaf: next(filled) if is_number(leaf) else leaf, result)

    with intercepted(model, called), qnodes.simulated():
        model(x, training=True)
    return ReferenceWalked(tuple(calls), found[0] if found else None), arrays


def _worst_entry(
    function: Callable[[list[np.ndarray]], float],
    held: list[np.ndarray],
    k: int,
    gradient: np.ndarray,
    towards: np.ndarray,
) -> tuple[int, Slope]:
    """The entry (C order) that is wrong by most, as far as halving finds it, with the derivative by it.

    Of the entries that are left, that half is kept along which the slope and the gradient's are further apart.
    """
    left = np.arange(gradient.size)
    while len(left) > 1:
        halves = np.array_split(left, 2)
        apart = []
        for half in halves:
            flat = np.zeros(gradient.size)
            flat[half] = towards.reshape(-1)[half]
            masked = flat.reshape(gradient.shape)
            apart.append(abs(slope(_line(function, held, k, masked)).value - float((gradient * masked).sum())))
        left = halves[int(np.argmax(apart))]
    alone = np.zeros(gradient.size)
    alone[left[0]] = 1.0
    return int(left[0]), slope(_line(function, held, k, alone.reshape(gradient.shape)))


def _line(
    total: Callable[[list[np.ndarray]], float], held: list[np.ndarray], k: int, towards: np.ndarray
) -> Callable[[float], float]:
    return lambda t: total([array + t * towards if i == k else array for i, array in enumerate(held)])
