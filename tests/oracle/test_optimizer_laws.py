"""Every law sees what is off by little; `tests/backend/test_optimizer_laws.py` compares it with Keras' own."""

import numpy as np
import pytest

from qparity.oracle import law_of
from qparity.oracle.optimizers import LAWS
from qparity.parity.tolerances import unit
from tests.oracle.moves import GRADIENTS, WEIGHTS, share


def test_accumulated_gradients_wait_and_are_a_mean():
    law = law_of({"name": "sgd", "learning_rate": 0.5, "gradient_accumulation_steps": 2}, "float64", np.float64, 0.0)
    weights = [np.array([1.0, 2.0])]
    state, same = law.step(law.start(weights), weights, [np.array([1.0, 0.0])])
    assert (same[0].value.tolist(), state.steps, state.taken) == ([1.0, 2.0], 0, 1)
    state, new = law.step(state, weights, [np.array([3.0, 2.0])])
    assert (new[0].value.tolist(), state.steps, state.taken, state.waiting) == ([0.0, 1.5], 1, 0, ())


@pytest.mark.parametrize("name", LAWS)
def test_a_learning_rate_off_by_little_is_seen(name):
    weights = [w / 100 for w in WEIGHTS]  # what is judged is the move: small weights leave its digits in

    def stepped(rate):
        law = law_of({"name": name, "learning_rate": rate}, "float64", np.longdouble, unit("float64"))
        return law, law.step(law.start(weights), weights, GRADIENTS[0])[1]

    (law, new), (_, moved) = stepped(0.03), stepped(0.03 * (1 + 1e-10))
    assert max(share(b.value, a, law) for a, b in zip(new, moved, strict=True)) > 10


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}])
@pytest.mark.parametrize("name", LAWS)
def test_a_law_by_entry_moves_entries_side_by_side_as_it_moves_them_apart(name, clip):
    """Bit for bit; those of which it is not true say so. (Of Lion, which takes signs, it is true when clipped too.)"""
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=shape).astype(np.longdouble) for shape in ((3, 2), (4,))]
    steps = [[rng.normal(size=w.shape).astype(np.longdouble) for w in weights] for _ in range(3)]
    table = {"name": name, "learning_rate": 0.03, "weight_decay": 0.01} | clip

    def trained(weights, steps):
        law = law_of(table, "float64", np.longdouble, unit("float64"))
        state = law.start(weights)
        for gradients in steps:
            state, new = law.step(state, weights, gradients)
            weights = [w.value for w in new]
        return law, np.concatenate([np.ravel(a) for w in new for a in (w.value, w.error)])

    law, apart = trained(weights, steps)
    _, joined = trained(
        [np.concatenate([np.ravel(w) for w in weights])],
        [[np.concatenate([np.ravel(g) for g in each])] for each in steps],
    )
    value, error = np.split(joined, 2)
    same = np.array_equal(apart, np.concatenate([value[:6], error[:6], value[6:], error[6:]]))
    assert same or not law.by_entry
    assert not (same and law.whole)
