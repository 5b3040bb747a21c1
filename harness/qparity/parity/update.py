"""The update stage: the optimizer's law, fed step by step with the cell's own weights and gradients.

The law carries its slots itself, with what rounding may have done to them (`qparity.oracle.bounded`), so its tolerance
fits any momentum, any decay, any number of steps. Errors are in units of u.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from qparity import oracle
from qparity.oracle.constraints import KNOWN, rounding
from qparity.oracle.optimizers import Law
from qparity.parity import tolerances as tol
from qparity.parity.comparison import Comparison, compare
from qparity.parity.names import weight_name, weight_path
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Observation, Stage
from qparity.records.outcome import Constraint

Units = tuple[float, float | None]
AVERAGED = 4.0
"""Roundings of a moving average, a step."""


def update_comparisons(o: Observation, units: Units) -> Iterator[Comparison]:
    """One comparison for each weight; slots are the oracle's own, from the gradients recorded so far."""
    _, real = oracle.reference_dtype(o.dtype)
    weights: list[np.ndarray] = [w.astype(real) for w in weight_arrays(o, "weights")]
    gradients: list[np.ndarray] = [g.astype(real) for g in weight_arrays(o, "gradients")]
    expected, bounds = list(weights), [np.zeros(0)] * len(weights)
    steps = len(weights[0]) if weights else 0
    still = set(o.outcome.audit.without_gradient)
    kinds = [stored_dtype(o, k) for k in range(len(weights))]
    for kind in dict.fromkeys(kinds):
        law = oracle.law_of(o.optimizer, kind, real, tol.unit(kind))
        for k, found in enumerate(_moved(o, law, weights, gradients)):
            if kinds[k] == kind:
                expected[k], bounds[k] = found
    for k, (w, new) in enumerate(zip(weights, weight_arrays(o, "new_weights"), strict=True)):
        scale = (np.abs(w) + np.abs(expected[k] - w)).astype(np.float64)
        high, low = units if kinds[k] == o.dtype else (tol.unit(kinds[k]), None)
        pair = high * bounds[k], None if low is None else low * bounds[k]
        name = f"weights/{weight_name(o, k)}"
        if k in still:  # Keras leaves out of an update what has no gradient
            still_allowed = np.zeros_like(scale)
            if o.optimizer["ema_overwrite_frequency"]:  # the average of what stays, in its place: rounded every step
                still_allowed += high * AVERAGED * np.arange(1, steps + 1).reshape(-1, *[1] * (w.ndim - 1)) * scale
            yield compare(Stage.UPDATE, name, new, w, (still_allowed, None), scale, np.arange(steps))
            continue
        yield compare(Stage.UPDATE, name, new, expected[k], pair, scale, np.arange(steps))


def _moved(
    o: Observation, law: Law, weights: list[np.ndarray], gradients: list[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each weight after each step, (steps, *shape), and how far rounding may have moved it."""
    constraints, shapes = constraints_of(o), [w.shape for w in weights]
    alike = [g.shape for g in gradients] == shapes and all(len(shape) > 1 for shape in shapes)
    if not law.by_entry or constraints or not alike:
        paths = [weight_path(o, k) for k in range(len(weights))]
        return _trained(o, law, weights, gradients, paths, constraints)
    weight, gradient = (np.concatenate([a.reshape(len(a), -1) for a in each], axis=1) for each in (weights, gradients))
    ((value, error),) = _trained(o, law, [weight], [gradient], [""], {})  # all entries side by side, as of one weight
    stops = np.cumsum([prod(shape[1:]) for shape in shapes])[:-1]
    parts = zip(shapes, np.split(value, stops, axis=1), np.split(error, stops, axis=1), strict=True)
    return [(value.reshape(shape), error.reshape(shape)) for shape, value, error in parts]


def _trained(
    o: Observation,
    law: Law,
    weights: list[np.ndarray],
    gradients: list[np.ndarray],
    paths: list[str],
    constraints: Mapping[int, Constraint],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the law makes of the weights step by step, of all together: a global norm is one over all of them."""
    found = [(np.empty_like(w), np.empty(w.shape)) for w in weights]
    rates = o.recorded.learning_rate if o.scenario.training.schedule else None
    state = law.start([w[0] for w in weights])
    for t in range(len(weights[0])):
        rate = None if rates is None else float(rates[t])
        state, after = law.step(state, [w[t] for w in weights], [g[t] for g in gradients], paths, rate)
        for k, ((values, errors), moved) in enumerate(zip(found, after, strict=True)):
            values[t], errors[t] = moved.value, moved.error
            if k in constraints:
                about = constraints[k]
                values[t] = oracle.constrained(moved.value, about.name, about.config, o.dtype)
                errors[t] = rounding(errors[t], values[t].astype(np.float64))
    return found


def stored_dtype(o: Observation, k: int) -> str:
    """The type that weight k is kept in, and its update rounds in: the declared one, or a coarser one of its layer."""
    weights = o.outcome.resolved.weights
    own = weights[k].dtype if k < len(weights) else None
    return own if own in tol.UNITS and tol.UNITS[own] > tol.UNITS[o.dtype] else o.dtype


def constraints_of(o: Observation) -> dict[int, Constraint]:
    """Place of a weight -> what Keras does to it after each update; not those that have no reference."""
    found = ((k, about.constraint) for k, about in enumerate(o.outcome.resolved.weights))
    return {k: constraint for k, constraint in found if constraint and constraint.name in KNOWN}


def without_reference(o: Observation) -> list[int]:
    """The weights whose updates cannot be judged: they are constrained by something that is not Keras'."""
    known = constraints_of(o)
    return [k for k, about in enumerate(o.outcome.resolved.weights) if about.constraint and k not in known]
