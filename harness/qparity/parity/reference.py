"""Comparisons with what the reference says: a whole model's predictions, loss, gradients and state at some steps.

The reference (worker/reference) has run the same model on NumPy at the weights and batches that the cell recorded. Its
gradient is a slope of the loss along a direction in each weight, by differences of the forward pass: it shares no
automatic differentiation with anybody. How much rounding may move each number it has measured itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qparity.oracle.probes import direction
from qparity.parity import tolerances as tol
from qparity.parity.comparison import REFERENCE, Comparison, compare
from qparity.parity.names import state_name, weight_name
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Differentiated, Observation, Stage

KNOWN = 1e-2
"""The largest error of a slope, over its condition, with which it judges anything."""
ROUNDED = 2.0**-26
"""The same, over the loss: the narrowest differences round to 2^-30 of it."""


def reference_comparisons(o: Observation) -> Iterator[Comparison]:
    """Everything that the reference has said of a cell, if it has said anything."""
    t = o.recorded
    if "reference_steps" not in t:
        return
    steps, offsets = np.asarray(t.reference_steps), np.asarray(t.offsets)
    rows = np.concatenate([np.arange(offsets[s], offsets[s + 1]) for s in steps])
    stops = np.cumsum([0, *np.diff(offsets)[steps]])
    sizes = np.diff(stops)
    units = model_units(o)

    def allowed(condition: np.ndarray, error: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray | None]:
        high, low = (None if u is None else np.asarray(tol.model(u, condition, error)) for u in units)
        assert high is not None
        return high, low

    expected = t.reference_predictions
    got = t.predictions.reshape(len(t.predictions), -1)[rows].astype(np.float64)
    # the largest output's condition for all of them: three random disturbances may spare one by chance
    condition = np.repeat(t.reference_predictions_condition.max(axis=1, initial=0.0), sizes)[:, None]
    scale = np.maximum(
        np.repeat(np.maximum.reduceat(np.abs(expected).max(axis=1), stops[:-1]), sizes)[:, None], condition
    )
    pair = allowed(condition + np.abs(expected))
    yield compare(Stage.FORWARD, "predictions", got, expected, pair, scale, steps, stops, REFERENCE)

    expected, condition = t.reference_loss, t.reference_loss_condition + np.abs(t.reference_loss)
    yield compare(Stage.LOSS, "loss", t.loss[steps], expected, allowed(condition), condition, steps, by=REFERENCE)

    seed = o.outcome.reference.seed
    if seed is None:
        raise ValueError("the outcome has no reference.seed")
    size_of_loss = np.abs(t.reference_loss) + t.reference_loss_condition
    parts = []
    for k, gradient in enumerate(weight_arrays(o, "gradients")):
        towards = np.stack([direction(gradient.shape[1:], seed, int(s), k) for s in steps])
        parts.append((gradient[steps].astype(np.longdouble) * towards).reshape(len(steps), -1))
    sizes_of = [np.abs(part).sum(axis=1).astype(np.float64) for part in parts]
    for k, part in enumerate(parts):
        # what cancels in one weight's gradient may be as large as another's of the same layer (attention's key bias)
        size = np.max([sizes_of[j] for j in of_one_layer(o, k, len(parts))], axis=0)
        condition = t.reference_slopes_condition[:, k] + size
        off = t.reference_slopes_error[:, k]
        # at a kink there is no slope to judge by; one of zero is known as far as the loss's rounding lets it be
        known = off <= np.maximum(KNOWN * condition, ROUNDED * size_of_loss)
        if not known.any():
            continue
        error = (off + method_error(o, k, sizes_of[k]))[known]
        name, along = f"gradients/{weight_name(o, k)}", part.sum(axis=1)[known]
        pair = allowed(condition[known], error)
        expected = t.reference_slopes[known, k]
        yield compare(Stage.GRADIENT, name, along, expected, pair, condition[known], steps[known], by=REFERENCE)

    for name in sorted(n for n in t if n.startswith("reference_state/")):
        j = name.rpartition("/")[2]
        if len(t[f"state/{j}"]) != len(offsets):
            continue
        expected, got = t[name], t[f"state/{j}"][steps + 1]
        spread = t[f"reference_state_condition/{j}"].reshape(-1, *[1] * (expected.ndim - 1))
        condition = spread + np.abs(expected)
        yield compare(
            Stage.UPDATE,
            f"state/{state_name(o, int(j))}",
            got,
            expected,
            allowed(condition),
            condition,
            steps,
            by=REFERENCE,
        )


def model_units(o: Observation) -> tuple[float, float | None]:
    """Unit roundoff of what the whole model computes in, and of the class below."""
    coarse = min(o.precision, o.dtype, key=lambda name: -tol.UNITS.get(name, 0.0))
    return tol.UNITS[coarse], tol.lower_unit(coarse, o.outcome.resolved.flags)


def of_one_layer(o: Observation, k: int, count: int) -> list[int]:
    """The weights of the layer that weight k is of, itself among them; itself alone where the layer is not known."""
    weights = o.outcome.resolved.weights
    units = [weights[j].unit if j < len(weights) else None for j in range(count)]
    return [j for j in range(count) if j == k or (units[k] is not None and units[j] == units[k])]


def method_error(o: Observation, k: int, size: np.ndarray) -> np.ndarray:
    """What a differentiation method may be off by itself in weight k: differences divide rounding by their step."""
    used = [*o.differentiated, *([Differentiated("finite-diff")] if k in o.by_differences else [])]
    u = tol.UNITS.get(o.precision, tol.UNITS["float32"])
    scale = np.maximum(size, 1.0)
    exact = np.asarray(tol.gradient(u, 256, scale, ""))
    whole = [np.asarray(tol.gradient(u, 256, scale, *each.asked)) for each in used]
    return np.asarray(np.max(whole, axis=0) - exact)
