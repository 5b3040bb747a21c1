"""Losses against their definitions, optimizers against formulas written out by hand."""

import numpy as np
import pytest

from qparity.oracle import declared_hyperparameters, evaluate_loss, law_of, quantise

WEIGHTS = [np.array([0.5, -1.5]), np.array([[2.0]])]
GRADIENTS = [[np.array([0.25, -3.0]) / (t + 1), np.array([[1e-4 * t]])] for t in range(5)]


def run(table, dtype="float64", real=np.float64):
    law = law_of(table, dtype, real, 2.0**-53)
    weights = [w.astype(real) for w in WEIGHTS]
    state = law.start(weights)
    for gradients in GRADIENTS:
        state, new = law.step(state, weights, [g.astype(real) for g in gradients])
        weights = [w.value for w in new]
    return state, weights


def test_mse_and_its_slope():
    f, y = np.array([[1.0, 2.0], [0.0, 0.0], [4.0, 0.0]]), np.zeros((3, 2))
    loss = evaluate_loss("mse", f, y, np.array([0, 2, 3]))
    assert loss.samples.tolist() == [2.5, 0, 8]
    assert loss.steps.tolist() == [1.25, 8]
    assert loss.cotangents.tolist() == [[0.5, 1.0], [0, 0], [4, 0]]


def test_energy_is_the_mean_prediction_whatever_the_targets():
    f = np.array([[1.0, 2.0], [0.0, -1.0]])
    loss = evaluate_loss("energy", f, np.zeros((2, 1)), np.array([0, 2]))
    assert loss.steps.tolist() == [0.5]
    assert (loss.cotangents == 0.25).all()
    assert loss.magnitudes.tolist() == [1.0]


@pytest.mark.parametrize("name", ["mse", "energy"])
def test_a_weight_multiplies_its_sample_and_the_mean_is_over_all(name):
    f, y, w = np.array([[1.0, 2.0], [3.0, -1.0], [4.0, 0.0]]), np.zeros((3, 2)), np.array([2.0, 0.5, -3.0])
    offsets = np.array([0, 2, 3])
    plain, loss = evaluate_loss(name, f, y, offsets), evaluate_loss(name, f, y, offsets, w)
    assert loss.samples.tolist() == (plain.samples * w).tolist()
    assert loss.cotangents.tolist() == (plain.cotangents * w[:, None]).tolist()
    assert loss.steps.tolist() == [(plain.samples * w)[:2].mean(), (plain.samples * w)[2]]
    assert (loss.magnitudes >= np.abs(loss.steps)).all()


def test_losses_stay_in_long_double():
    f = np.array([[1.0]], np.longdouble) / 3
    assert evaluate_loss("mse", f, np.zeros((1, 1), np.longdouble), np.array([0, 1])).steps.dtype == np.longdouble


@pytest.mark.parametrize(("name", "targets"), [("hinge", (2, 1)), ("mse", (2, 2))])
def test_unknown_loss_and_wrong_targets_are_refused(name, targets):
    with pytest.raises(ValueError, match=r"expected one of|targets of shape"):
        evaluate_loss(name, np.zeros((2, 1)), np.zeros(targets), np.array([0, 2]))


def test_adam_by_hand():
    state, weights = run({"name": "adam", "learning_rate": 0.03})
    w, m, v = 0.5, 0.0, 0.0
    for t in range(1, 6):
        g = 0.25 / t
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.03 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    assert weights[0][0] == pytest.approx(w, rel=1e-14)
    assert state.steps == 5
    assert state.slots["m"][0].value[0] == pytest.approx(m, rel=1e-13)


def test_sgd_with_nesterov_momentum_by_hand():
    _, weights = run({"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "nesterov": True})
    w, m = 0.5, 0.0
    for t in range(1, 6):
        g = 0.25 / t
        m = 0.5 * m - 0.1 * g
        w += 0.5 * m - 0.1 * g
    assert weights[0][0] == pytest.approx(w, rel=1e-14)


def test_hyperparameters_are_quantised_to_the_declared_dtype():
    assert declared_hyperparameters({"name": "adam"}, "float32")["beta_2"] == float(np.float32(0.999))
    assert declared_hyperparameters({"name": "adam"}, "float64")["beta_2"] == 0.999
    assert law_of({}, "float64", np.longdouble, 1.0).number("beta_1") == np.longdouble(0.9)
    low = law_of({"name": "adam"}, "float32", np.float64, 1.0)
    assert low.gain("beta_2") == np.float64(np.float32(1 - 0.999)) != 1 - low.number("beta_2")  # Keras rounds last
    halves = {0.999: 1.0, 0.9: 0.8984375, 1.0: 1.0, -3.0: -3.0}  # as ml_dtypes.bfloat16 has them
    assert {value: quantise(value, "bfloat16") for value in halves} == halves
    with pytest.raises(ValueError, match="nonsense"):
        law_of({"name": "nonsense"}, "float64", np.float64, 1.0)
