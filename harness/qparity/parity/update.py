"""The update stage: the optimizer's law, fed step by step with the cell's own weights and gradients.

The law carries its slots itself, with what rounding may have done to them (`qparity.oracle.bounded`), so its tolerance
fits any momentum, any decay, any number of steps. Errors are in units of u.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qparity import oracle
from qparity.oracle.constraints import KNOWN, rounding
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
    expected = [np.empty_like(w) for w in weights]
    bounds: list[np.ndarray] = [np.empty(w.shape) for w in weights]

    paths = [weight_path(o, k) for k in range(len(weights))]
    steps = len(weights[0]) if weights else 0
    constraints = constraints_of(o)
    rates = o.recorded.learning_rate if o.scenario.training.schedule else None
    still = set(o.outcome.audit.without_gradient)
    kinds = [stored_dtype(o, k) for k in range(len(weights))]
    for kind in dict.fromkeys(kinds):
        law = oracle.law_of(o.optimizer, kind, real, tol.unit(kind))
        state = law.start([w[0] for w in weights])
        for t in range(steps):  # of all weights: a global norm is one over all of them
            rate = None if rates is None else float(rates[t])
            state, after = law.step(state, [w[t] for w in weights], [g[t] for g in gradients], paths, rate)
            for k, moved in enumerate(after):
                if kinds[k] != kind:
                    continue
                expected[k][t], bounds[k][t] = moved.value, moved.error
                if k in constraints:
                    expected[k][t] = oracle.constrained(
                        moved.value, constraints[k].name, constraints[k].config, o.dtype
                    )
                    bounds[k][t] = rounding(bounds[k][t], expected[k][t].astype(np.float64))
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
