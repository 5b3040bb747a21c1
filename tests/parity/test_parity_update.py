"""The optimizer's error bound, in working precision: it holds for any memory, and is not much wider than it must be."""

import numpy as np
import pytest

from qparity.parity import Observation
from qparity.parity.tolerances import unit
from qparity.parity.update import update_comparisons
from qparity.records import Outcome

ADAM = {"name": "adam", "learning_rate": 0.03, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
SGD = {"name": "sgd", "learning_rate": 0.03, "momentum": 0.9}
OPTIMIZERS = {
    "adam": ADAM,
    "adam that remembers": ADAM | {"beta_1": 0.99, "beta_2": 0.9999},
    "adam without memory": ADAM | {"beta_1": 0.0, "beta_2": 0.5},
    "amsgrad": ADAM | {"amsgrad": True, "beta_2": 0.9},
    "momentum": SGD,
    "long momentum": SGD | {"momentum": 0.99},
    "nesterov": SGD | {"momentum": 0.99, "nesterov": True},
    "plain": SGD | {"momentum": 0.0},
}
GRADIENTS = {
    "constant": lambda base, t, rng: base,
    "noise": lambda base, t, rng: rng.normal(size=len(base)) * 10.0 ** rng.integers(-8, 2, len(base)),
    "decaying": lambda base, t, rng: base * 0.97**t,
}
STEPS, WEIGHTS = 400, 16


def step(h, t, w, g, slots, real, torch):
    """One update as TensorFlow and JAX write it, or (Adam) as torch does: the same mathematics, other rounding."""
    rate = real(h["learning_rate"])
    if h["name"] == "sgd":
        mu = real(h["momentum"])
        m = mu * slots[0] - rate * g
        return (w + mu * m - rate * g if h.get("nesterov") else w + m), (m,)
    b1, b2, g1, g2 = (real(b) for b in (h["beta_1"], h["beta_2"], 1 - h["beta_1"], 1 - h["beta_2"]))
    m, v, top = slots
    if torch:
        m, v = b1 * m + g1 * g, b2 * v + g2 * (g * g)
    else:
        m, v = m + (g - m) * g1, v + (g * g - v) * g2
    top = np.maximum(top, v) if h.get("amsgrad") else v
    rate = rate * np.sqrt(1 - b2 ** real(t)) / (1 - b1 ** real(t))
    return w - m * rate / (np.sqrt(top) + real(h["epsilon"])), (m, v, top)


@pytest.mark.parametrize("near_zero", [False, True])
@pytest.mark.parametrize("kind", GRADIENTS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rounding_stays_inside_the_bound_and_a_wrong_rate_does_not(name, kind, near_zero):
    """Near zero nothing but the slots' own errors is allowed: storing a large weight would hide them."""
    h = OPTIMIZERS[name]
    for dtype, torch in (("float32", False), ("float64", False), ("float32", True)):
        real, rng = np.dtype(dtype).type, np.random.default_rng(0)
        w, base = rng.uniform(0, 6, WEIGHTS).astype(dtype), rng.normal(size=WEIGHTS)
        slots, rows = (np.zeros(WEIGHTS, dtype),) * 3, []
        for t in range(STEPS):
            w = np.zeros_like(w) if near_zero else w
            g = GRADIENTS[kind](base, t, rng).astype(dtype)
            new, slots = step(h, t + 1, w, g, slots, real, torch)
            rows.append((w, g, new))
            w = new
        arrays = [np.stack(column) for column in zip(*rows, strict=True)]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}
        assert largest(h, dtype, arrays) < 0.95
        if near_zero:
            moved = arrays[2] * real(1 + 1000 * unit(dtype))
            assert largest(h, dtype, [*arrays[:2], moved]) > 1


def largest(h, dtype, arrays):
    names = ("weights/0", "gradients/0", "new_weights/0")
    outcome = {"id": "a", "variant": "torch", "scenario": {"name": "a", "dtype": dtype, "training": {"optimizer": h}}}
    observation = Observation(Outcome(outcome), dict(zip(names, arrays, strict=True)))
    (comparison,) = update_comparisons(observation, (unit(dtype), None))
    return comparison.r.max()
