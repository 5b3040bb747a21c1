"""The optimizer's error bound, in working precision: it holds for any memory, and is not much wider than it must be."""

import numpy as np
import pytest

from qparity.parity import Observation
from qparity.parity.tolerances import unit
from qparity.parity.update import SMALL, moved_together, update_comparisons
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


def test_each_weight_rounds_in_its_own_type_and_one_norm_is_over_all():
    """A float16 layer in a float32 model, clipped by the global norm."""
    h = SGD | {"momentum": 0.0, "global_clipnorm": 0.5}
    w = [np.float32([1.0, -2.0]), np.float16([0.5, 0.25])]
    g = [np.float32([3.0, -4.0]), np.float16([12.0, 0.0])]
    scale = 0.5 / 13
    new = [(a.astype(float) - 0.03 * scale * b.astype(float)).astype(a.dtype) for a, b in zip(w, g, strict=True)]
    weights = [{"path": f"w{k}", "shape": [2], "dtype": a.dtype.name} for k, a in enumerate(w)]
    scenario = {"name": "a", "dtype": "float32", "training": {"optimizer": h}}
    outcome = Outcome({"id": "a", "variant": "torch", "scenario": scenario, "resolved": {"weights": weights}})
    kinds = {"weights": w, "gradients": g, "new_weights": new}

    def worst(**changed):
        trace = {f"{kind}/{k}": a[None] for kind, arrays in (kinds | changed).items() for k, a in enumerate(arrays)}
        found = update_comparisons(Observation(outcome, trace), (unit("float32"), None))
        return [float(comparison.r.max()) for comparison in found]

    assert max(worst()) < 1
    half, single = worst(new_weights=[new[0] * np.float32(1 + 1e-5), new[1] * np.float16(1.01)])[::-1]
    assert (half > 1, single > 1) == (True, True)


def trained(cell, seed, shapes=((2, 3), (4,)), scenario=None, weights=()):
    """A cell of one scenario whose updates nobody made: the law alone is looked at."""
    rng = np.random.default_rng(seed)
    trace = {f"{kind}/{k}": rng.normal(size=(3, *s)) for k, s in enumerate(shapes) for kind in ("weights", "gradients")}
    trace |= {name.replace("weights", "new_weights"): a for name, a in trace.items() if name.startswith("weights")}
    raw = {"id": cell, "variant": "tf", "status": "ok", "scenario": {"name": "s", "training": {"optimizer": ADAM}}}
    raw["scenario"] |= scenario or {}
    return Observation(Outcome(raw | {"resolved": {"weights": list(weights)}}), trace)


def test_cells_of_a_block_are_moved_together_bit_for_bit_as_alone():
    block = [trained("a", 1), trained("b", 2, shapes=((5,),)), trained("c", 3)]
    together = moved_together(block)
    assert together.keys() == {"a", "b", "c"}
    for o in block:
        units = (unit("float64"), unit("float32"))
        both = zip(update_comparisons(o, units), update_comparisons(o, units, together[o.cell]), strict=True)
        for alone, joined in both:
            for name in ("expected", "tolerance", "lower", "scale"):
                assert np.array_equal(getattr(alone, name), getattr(joined, name))


def test_what_a_weight_as_a_whole_decides_is_not_moved_together():
    clipped = {"training": {"optimizer": ADAM | {"global_clipnorm": 0.1}}}
    assert moved_together([trained(cell, 1, scenario=clipped) for cell in "ab"]) == {}
    bounded = [{"constraint": {"name": "MaxNorm"}}, {}]
    assert moved_together([trained("a", 1), trained("b", 2, weights=bounded)]) == {}
    assert moved_together([trained(cell, 1, shapes=((2, 3), ())) for cell in "ab"]) == {}
    assert moved_together([trained(cell, 1, shapes=((SMALL // 4,),)) for cell in "ab"]) == {}
