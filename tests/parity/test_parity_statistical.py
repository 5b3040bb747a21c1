"""The tests of sampled cells accuse as rarely as they say, and see what they say they see."""

import numpy as np
import pytest

from qparity.parity import statistical
from tests.oracle.programs import random_program
from tests.oracle.programs import read as simulated

SHOTS, ROWS = 200, 20_000
ANGLES = [{"weights": [[0, 1.0]]}]
ONE = {
    "wires": 1, "features": 1, "weights": [{"name": "w", "shape": [1]}],
    "gates": [{"name": "RY", "wires": [0], "params": ANGLES}],
}  # fmt: skip


def program(*terms):
    return simulated(ONE | {"measurements": [{"kind": "expval", "terms": list(terms)}]})


def sampled(rng, exact, size=1.0):
    return size * (2 * rng.binomial(SHOTS, (1 + exact / size) / 2) / SHOTS - 1)


@pytest.mark.parametrize("alpha", [0.1, 1e-3])
@pytest.mark.parametrize(("size", "offset"), [(1.0, 0.0), (-2.5, 0.0), (0.5, 3.0)])
def test_correct_samples_are_accused_no_more_often_than_alpha(alpha, size, offset):
    rng = np.random.default_rng(0)
    terms = [[size, [["Z", 0]]], *([[offset, []]] if offset else [])]
    exact = rng.uniform(-abs(size), abs(size), ROWS)
    got = sampled(rng, exact, size) + offset
    allowed = statistical.forward(program(*terms), (exact + offset)[:, None], got[:, None], SHOTS, alpha)[:, 0]
    rate = np.mean(np.abs(got - exact - offset) > allowed)
    assert alpha / 10 < rate < alpha + 3 * np.sqrt(alpha / ROWS)


def test_the_detectable_difference_is_found_half_the_time():
    rng, alpha = np.random.default_rng(1), 1e-6
    zero, d = np.zeros(ROWS), statistical.detectable(SHOTS, 1e-6)
    got = sampled(rng, zero + d)
    allowed = statistical.forward(program([1.0, [["Z", 0]]]), zero[:, None], got[:, None], SHOTS, alpha)[:, 0]
    assert 0.3 < np.mean(np.abs(got) > allowed) < 0.7
    assert d == pytest.approx(statistical.hoeffding(SHOTS, 1e-6), rel=0.2)
    assert statistical.detectable(4 * SHOTS, 1e-6) == pytest.approx(d / 2, rel=0.1)


def test_certain_outcomes_allow_nothing():
    exact = np.array([[1.0], [-1.0], [1 - 1e-15]])
    got = exact - 2 * np.sign(exact) / SHOTS  # a single shot that cannot be
    allowed = statistical.forward(program([1.0, [["Z", 0]]]), exact, got, SHOTS, 1e-6)
    assert (np.abs(got - exact) > allowed).all()


def test_probabilities_and_sums_of_words():
    wide = simulated(random_program(1))
    exact = np.array([[0.0, 0.25, 0.25, 0.5, 0.0]])
    allowed = statistical.forward(wide, exact, exact, SHOTS, 1e-6)
    assert allowed[0, 0] == pytest.approx(
        2.0 * statistical.hoeffding(SHOTS, 1e-6)
    )  # 0.7 and -1.3; the identity is exact
    assert allowed[0, 4] == 0.5 / SHOTS
    assert 0.1 < allowed[0, 1] < allowed[0, 3] < 0.3


def test_gradients_by_parameter_shift_stay_inside():
    """d<Z>/dw of RY by two shifted circuits a row, weighted by each row's cotangent."""
    rng, rows, steps, alpha = np.random.default_rng(2), 6, 4000, 0.05
    w, bars = rng.uniform(0, 6, (steps, rows)), rng.normal(size=(steps, rows))
    shifted = [sampled(rng, np.cos(w + s * np.pi / 2)) for s in (1, -1)]
    got, exact = (bars * (shifted[0] - shifted[1]) / 2).sum(axis=1), (-bars * np.sin(w)).sum(axis=1)
    allowed = statistical.gradient(np.abs(bars).reshape(-1), np.arange(steps) * rows, SHOTS, alpha)
    r = np.abs(got - exact) / allowed
    assert np.mean(r > 1) < alpha
    assert r.max() > 0.7
    assert np.mean(np.abs(-got - exact) > allowed) > 0.5


def test_a_run_shares_one_level():
    assert statistical.level(50, 4) * 200 == pytest.approx(statistical.ALPHA)
