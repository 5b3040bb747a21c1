"""The update stage: the optimizer's law, fed step by step with the cell's own weights and gradients.

The law carries its slots itself, with what rounding may have done to them (`qparity.oracle.bounded`), so its tolerance
fits any momentum, any decay, any number of steps. Errors are in units of u.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
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


Moved = tuple[np.ndarray, np.ndarray]
"""A weight after each step by the law, (steps, *shape), and how far rounding may have moved it."""
SMALL = 1 << 20
"""Numbers of a block that are moved in one go: of more, the calls that it saves are not what takes the time."""


def update_comparisons(o: Observation, units: Units, moved: Sequence[Moved] | None = None) -> Iterator[Comparison]:
    """One comparison for each weight; slots are the oracle's own, from the gradients recorded so far.

    `moved` is what the law makes of the weights, where `moved_together` has said so.
    """
    weights = _in_real(o, "weights")
    moved = _moved(o, weights) if moved is None else moved
    steps = len(weights[0]) if weights else 0
    still = set(o.outcome.audit.without_gradient)
    both = zip(weights, weight_arrays(o, "new_weights"), moved, strict=True)
    for k, (w, new, (expected, bound)) in enumerate(both):
        scale = (np.abs(w) + np.abs(expected - w)).astype(np.float64)
        kind = stored_dtype(o, k)
        high, low = units if kind == o.dtype else (tol.unit(kind), None)
        pair = high * bound, None if low is None else low * bound
        name = f"weights/{weight_name(o, k)}"
        if k in still:  # Keras leaves out of an update what has no gradient
            still_allowed = np.zeros_like(scale)
            if o.optimizer["ema_overwrite_frequency"]:  # the average of what stays, in its place: rounded every step
                still_allowed += high * AVERAGED * np.arange(1, steps + 1).reshape(-1, *[1] * (w.ndim - 1)) * scale
            yield compare(Stage.UPDATE, name, new, w, (still_allowed, None), scale, np.arange(steps))
            continue
        yield compare(Stage.UPDATE, name, new, expected, pair, scale, np.arange(steps))


def moved_together(block: Sequence[Observation]) -> dict[str, list[Moved]]:
    """What the law makes of the weights of all cells of a scenario at once, where it moves each entry alone.

    By cell; those that cannot be done so are left out.
    """
    groups: dict[tuple[int, bytes], list[tuple[Observation, list[np.ndarray]]]] = {}
    for o in block:
        weights = _in_real(o, "weights")
        if o.scenario == block[0].scenario and not o.own_optimizer and _by_entry(o, _law(o, o.dtype), weights):
            rates = b"" if (found := _rates(o)) is None else found.tobytes()
            groups.setdefault((len(weights[0]), rates), []).append((o, weights))
    result: dict[str, list[Moved]] = {}
    for cells in groups.values():
        sizes = [len(weights) for _, weights in cells]
        if len(cells) > 1 and sum(w.size for _, weights in cells for w in weights) <= SMALL:
            first = cells[0][0]
            every = [w for _, weights in cells for w in weights]
            moved = iter(_side_by_side(first, every, [g for o, _ in cells for g in _in_real(o, "gradients")]))
            result |= {o.cell: list(islice(moved, size)) for (o, _), size in zip(cells, sizes, strict=True)}
    return result


def _moved(o: Observation, weights: list[np.ndarray]) -> list[Moved]:
    gradients = _in_real(o, "gradients")
    if _by_entry(o, _law(o, o.dtype), weights):
        return _side_by_side(o, weights, gradients)
    kinds = [stored_dtype(o, k) for k in range(len(weights))]
    of_kind = {kind: _trained(o, _law(o, kind), weights, gradients) for kind in dict.fromkeys(kinds)}
    return [of_kind[kind][k] for k, kind in enumerate(kinds)]


def _by_entry(o: Observation, law: Law, weights: list[np.ndarray]) -> bool:
    """Whether each entry of the weights may be moved as if it were alone."""
    shapes = [w.shape for w in weights]
    alike = [g.shape for g in weight_arrays(o, "gradients")] == shapes and all(len(shape) > 1 for shape in shapes)
    kinds = {stored_dtype(o, k) for k in range(len(weights))}
    return law.by_entry and alike and kinds == {o.dtype} and not constraints_of(o)


def _side_by_side(o: Observation, weights: list[np.ndarray], gradients: list[np.ndarray]) -> list[Moved]:
    """All entries as those of one weight."""
    shapes = [w.shape for w in weights]
    weight, gradient = (np.concatenate([a.reshape(len(a), -1) for a in each], axis=1) for each in (weights, gradients))
    ((value, error),) = _trained(o, _law(o, o.dtype), [weight], [gradient])
    stops = np.cumsum([prod(shape[1:]) for shape in shapes])[:-1]
    parts = zip(shapes, np.split(value, stops, axis=1), np.split(error, stops, axis=1), strict=True)
    return [(value.reshape(shape), error.reshape(shape)) for shape, value, error in parts]


def _trained(o: Observation, law: Law, weights: list[np.ndarray], gradients: list[np.ndarray]) -> list[Moved]:
    """The weights step by step, all together: a global norm is one over all of them."""
    moved = [(np.empty_like(w), np.empty(w.shape)) for w in weights]
    paths, constraints, rates = [weight_path(o, k) for k in range(len(weights))], constraints_of(o), _rates(o)
    state = law.start([w[0] for w in weights])
    for t in range(len(weights[0])):
        rate = None if rates is None else float(rates[t])
        state, after = law.step(state, [w[t] for w in weights], [g[t] for g in gradients], paths, rate)
        for k, ((values, errors), found) in enumerate(zip(moved, after, strict=True)):
            values[t], errors[t] = found.value, found.error
            if k in constraints:
                about = constraints[k]
                values[t] = oracle.constrained(found.value, about.name, about.config, o.dtype)
                errors[t] = rounding(errors[t], values[t].astype(np.float64))
    return moved


def _law(o: Observation, kind: str) -> Law:
    """The optimizer's law for weights of a type."""
    return o.law(kind, oracle.reference_dtype(o.dtype)[1], tol.unit(kind))


def _rates(o: Observation) -> np.ndarray | None:
    """The learning rate of each step, where a schedule sets it."""
    return o.recorded.learning_rate if o.scenario.training.schedule else None


def _in_real(o: Observation, kind: str) -> list[np.ndarray]:
    """Arrays of the trace, a weight each, in the type that the oracle computes in."""
    return [array.astype(oracle.reference_dtype(o.dtype)[1]) for array in weight_arrays(o, kind)]


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
