"""The update stage: the reference optimizer, fed step by step with the cell's own weights and gradients.

Its tolerance is an error analysis that runs beside it. A slot keeps what was rounded into it: with a decay b, the error
bound of every step is b times that of the step before plus this step's own roundings (Higham, Accuracy and Stability
of Numerical Algorithms, chapter 3), so it fits any momentum, any beta, any number of steps. Errors are in units of u.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qparity import oracle
from qparity.oracle.constraints import KNOWN, rounding
from qparity.oracle.optimizers import Adam, Optimizer
from qparity.parity import tolerances as tol
from qparity.parity.comparison import Comparison, compare
from qparity.parity.names import weight_name
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Observation, Stage

Units = tuple[float, float | None]
CLIPPING = 4.0
"""Roundings of a gradient that was clipped: the norm, the quotient and the product."""


def update_comparisons(o: Observation, units: Units) -> Iterator[Comparison]:
    """One comparison for each weight; slots are the oracle's own, from the gradients recorded so far."""
    _, real = oracle.reference_dtype(o.dtype)
    optimizer = oracle.reference_optimizer(o.optimizer, o.dtype, real)
    weights: list[np.ndarray] = [w.astype(real) for w in weight_arrays(o, "weights")]
    gradients: list[np.ndarray] = [g.astype(real) for g in weight_arrays(o, "gradients")]
    expected = [np.empty_like(w) for w in weights]
    bounds: list[np.ndarray] = [np.empty(w.shape) for w in weights]

    state = optimizer.start([w[0] for w in weights])
    carried = [Carried.start(w.shape[1:]) for w in weights]
    steps = len(weights[0]) if weights else 0
    constraints = constraints_of(o)
    still = set(o.outcome.audit.without_gradient)
    for t in range(steps):
        before, now = [w[t] for w in weights], [g[t] for g in gradients]
        state, after = optimizer.step(state, before, now)
        for k, (new, clipped) in enumerate(zip(after, optimizer.clip(now), strict=True)):
            expected[k][t] = new
            carried[k] = carried[k].after(optimizer, clipped)
            weight, move = before[k].astype(np.float64), (new - before[k]).astype(np.float64)
            bounds[k][t] = carried[k].bound(optimizer, t + 1, weight, move)
            if k in constraints:
                expected[k][t] = oracle.constrained(new, constraints[k], o.dtype)
                bounds[k][t] = rounding(bounds[k][t], expected[k][t].astype(np.float64))
    for k, (w, new) in enumerate(zip(weights, weight_arrays(o, "new_weights"), strict=True)):
        scale = (np.abs(w) + np.abs(expected[k] - w)).astype(np.float64)
        pair = units[0] * bounds[k], None if units[1] is None else units[1] * bounds[k]
        name = f"weights/{weight_name(o, k)}"
        if k in still:  # Keras leaves out of an update what has no gradient
            yield compare(Stage.UPDATE, name, new, w, (np.zeros_like(scale), None), scale, np.arange(steps))
            continue
        yield compare(Stage.UPDATE, name, new, expected[k], pair, scale, np.arange(steps))


def constraints_of(o: Observation) -> dict[int, Mapping[str, Any]]:
    """Place of a weight -> what Keras does to it after each update; not those that have no reference."""
    found = {k: about.constraint for k, about in enumerate(o.outcome.resolved.weights) if about.constraint}
    return {k: asdict(constraint) for k, constraint in found.items() if constraint.name in KNOWN}


def without_reference(o: Observation) -> list[int]:
    """The weights whose updates cannot be judged: they are constrained by something that is not Keras'."""
    known = constraints_of(o)
    return [k for k, about in enumerate(o.outcome.resolved.weights) if about.constraint and k not in known]


@dataclass(frozen=True, slots=True)
class Carried:
    """What one weight's slots carry: each slot as it would be if nothing in it cancelled, and its error in units of u.

    `momentum` is Adam's m (the gradients decayed) or SGD's momentum (lr times them), `square` is Adam's v, and
    `gradient` what the last step fed them with; all of the weight's shape, float64.
    """

    momentum: np.ndarray
    momentum_error: np.ndarray
    square: np.ndarray
    square_error: np.ndarray
    gradient: np.ndarray

    @classmethod
    def start(cls, shape: tuple[int, ...]) -> Carried:
        """Zero slots, without an error."""
        return cls(*(np.zeros(shape) for _ in range(5)))

    def after(self, optimizer: Optimizer, gradient: np.ndarray) -> Carried:
        """The slots after one more (clipped) gradient."""
        g = np.abs(gradient).astype(np.float64)
        if isinstance(optimizer, Adam):
            m = _decayed(self.momentum, self.momentum_error, float(optimizer.beta_1), g, _extra(optimizer))
            v = _decayed(self.square, self.square_error, float(optimizer.beta_2), g * g, _extra(optimizer))
            if optimizer.amsgrad:  # the largest v so far, and no smaller an error
                v = np.maximum(v[0], self.square), np.maximum(v[1], self.square_error)
            return Carried(*m, *v, g)
        g = float(optimizer.learning_rate) * g
        return Carried(*self._pushed(optimizer, g), self.square, self.square_error, g)

    def bound(self, optimizer: Optimizer, step: int, weight: np.ndarray, move: np.ndarray) -> np.ndarray:
        """The tolerance of step `step` (from 1), in units of u: `weight` before it, `move` by it."""
        # a decayed weight, and one that Nesterov moves in two strides, is rounded and stored once more
        nesterov = bool(getattr(optimizer, "nesterov", False))
        weight = weight * (1 + (optimizer.weight_decay is not None) + nesterov)
        if not isinstance(optimizer, Adam):
            size, error = self.momentum, self.momentum_error
            if nesterov:
                size, error = self._pushed(optimizer, self.gradient)
            return np.asarray(tol.sgd(weight, size, error))
        root = np.sqrt(self.square)
        denominator = root + float(optimizer.epsilon)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(root > 0, self.square_error / (2 * root * denominator), 0.0)
        momentum_error = float(optimizer.rate(step)) * self.momentum_error / denominator
        betas = float(optimizer.beta_1), float(optimizer.beta_2)
        return np.asarray(tol.adam(weight, move, momentum_error, share, step, *betas))

    def _pushed(self, optimizer: Optimizer, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """mu m + lr g: both products round, the sum rounds."""
        mu = float(getattr(optimizer, "momentum", 0.0))
        size = mu * self.momentum + scaled
        return size, mu * self.momentum_error + 2 * size + (1 + _extra(optimizer)) * scaled


def _decayed(
    size: np.ndarray, error: np.ndarray, beta: float, term: np.ndarray, extra: float
) -> tuple[np.ndarray, np.ndarray]:
    """b s + (1-b) x, computed so or as s + (x - s)(1-b): the sum and b itself round, x, x - s and the product too."""
    new = beta * size + (1 - beta) * term
    return new, beta * error + 2 * new + (1 - beta) * (3 + extra) * (term + size)


def _extra(optimizer: Optimizer) -> float:
    clips = optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue
    return CLIPPING if clips else 0.0
