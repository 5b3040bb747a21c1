"""The update stage: the reference optimizer, fed step by step with the cell's own weights and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness import oracle
from harness.oracle.optimizers import Adam, Optimizer
from harness.parity import tolerances as tol
from harness.parity.comparison import Comparison, compare
from harness.parity.setup import weight_arrays
from harness.parity.types import Observation, Stage

Units = tuple[float, float | None]


def update_comparisons(o: Observation, units: Units) -> Iterator[Comparison]:
    """One comparison for each weight; slots are the oracle's own, from the gradients recorded so far."""
    _, real = oracle.reference_dtype(o.dtype)
    optimizer = oracle.reference_optimizer(o.scenario["training"].get("optimizer", {}), o.dtype, real)
    weights: list[np.ndarray] = [w.astype(real) for w in weight_arrays(o, "weights")]
    gradients: list[np.ndarray] = [g.astype(real) for g in weight_arrays(o, "gradients")]
    expected = [np.empty_like(w) for w in weights]
    bounds: tuple[list[np.ndarray], ...] = tuple([np.empty(w.shape) for w in weights] for _ in units)

    state = optimizer.start([w[0] for w in weights])
    sums = [np.zeros(w.shape[1:]) for w in weights]
    steps = len(weights[0]) if weights else 0
    for t in range(steps):
        before, now = [w[t] for w in weights], [g[t] for g in gradients]
        state, after = optimizer.step(state, before, now)
        sums = [_accumulate(optimizer, m, g) for m, g in zip(sums, optimizer.clip(now), strict=True)]
        for k, new in enumerate(after):
            expected[k][t] = new
            slots = {name: arrays[k] for name, arrays in state.slots.items()}
            for bound, u in zip(bounds, units, strict=True):
                bound[k][t] = _tolerance(optimizer, u or 0.0, t + 1, before[k], new - before[k], sums[k], slots)
    for k, (w, new) in enumerate(zip(weights, weight_arrays(o, "new_weights"), strict=True)):
        scale = (np.abs(w) + np.abs(expected[k] - w)).astype(np.float64)
        pair = bounds[0][k], None if units[1] is None else bounds[1][k]
        yield compare(Stage.UPDATE, f"weights/{k}", new, expected[k], pair, scale, np.arange(steps))


def _accumulate(optimizer: Optimizer, total: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The momentum as it would be if nothing in it cancelled: what its rounding is proportional to."""
    size = np.abs(gradient).astype(np.float64)
    if isinstance(optimizer, Adam):
        b1 = float(optimizer.beta_1)
        return b1 * total + (1 - b1) * size
    return _momentum(optimizer) * total + float(optimizer.learning_rate) * size


def _tolerance(
    optimizer: Optimizer,
    u: float,
    step: int,
    weight: np.ndarray,
    move: np.ndarray,
    total: np.ndarray,
    slots: dict[str, np.ndarray],
) -> np.ndarray:
    weight, move = weight.astype(np.float64), move.astype(np.float64)
    # a decayed weight, and one that Nesterov moves in two strides, is rounded and stored once more
    weight = weight * (1 + (optimizer.weight_decay is not None) + bool(getattr(optimizer, "nesterov", False)))
    clips = optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue
    total = 2 * total if clips else total  # the norm and the scaling round as the product with lr does
    if isinstance(optimizer, Adam):
        root = np.sqrt(slots["vhat"].astype(np.float64)) + float(optimizer.epsilon)
        scaled = float(optimizer.rate(step)) * total / root
        betas = float(optimizer.beta_1), float(optimizer.beta_2)
        return np.asarray(tol.adam(u, weight, move, scaled, step, *betas))
    return np.asarray(tol.sgd(u, weight, total, step if _momentum(optimizer) else 1))


def _momentum(optimizer: Optimizer) -> float:
    return float(getattr(optimizer, "momentum", 0.0))
