"""A juror's steps: at the weights given, disturbed as much as asked for and not at all else, in either dtype."""

import sys
import types

import keras
import numpy as np
import pytest

from qparity.records.requests import Swear
from qparity.records.trace import Trace
from qparity.scenario.backends import BACKENDS
from qparity.scenario.schema import Scenario
from qparity.worker import jury
from qparity.worker.jury import DISTURBANCE, Models

BATCH = 3


class Counting(keras.layers.Layer):
    """Counts its calls, and forgets nothing of them in what it returns."""

    def build(self, shape):
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1)
        return x


def build(features, outputs):
    """Without a dtype of its own."""
    layers = [keras.layers.Dense(4, activation="relu"), Counting(), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input((features,)), *layers])


@pytest.fixture(params=["eager", "jit"])
def models(request, backend):
    if request.param not in [mode.name for mode in BACKENDS[backend.name].modes]:
        pytest.skip("no such mode")
    module = types.ModuleType("juror_models")
    module.build = build
    sys.modules["juror_models"] = module
    scenario = Scenario(
        name="juror", model="juror_models:build", dtype="float64", data={"name": "random", "features": 3},
        training={"batch_size": BATCH, "epochs": 1},
    )  # fmt: skip
    return Models(scenario, 3, 1, backend, request.param)


@pytest.fixture
def given(rng):
    """Two recorded steps, in float32."""
    shapes = [(3, 4), (4,), (4, 1), (1,)]
    arrays = {f"weights/{k}": rng.normal(size=(2, *shape)).astype("float32") for k, shape in enumerate(shapes)}
    arrays |= {"x": rng.normal(size=(2 * BATCH, 3)).astype("float32"), "y": np.ones((2 * BATCH, 1), "float32")}
    arrays |= {"state/0": np.array([0.0, 5.0], "float32"), "offsets": np.array([0, BATCH, 2 * BATCH])}
    return Trace(arrays | {"reference_steps": np.array([0, 7])})


def by_hand(given, step):
    """Predictions, loss and the gradients of the last layer, in float64."""
    rows = slice(step * BATCH, (step + 1) * BATCH)
    w0, b0, w1, b1 = (given[f"weights/{k}"][step].astype(float) for k in range(4))
    h = np.maximum(given["x"][rows].astype(float) @ w0 + b0, 0)
    f = h @ w1 + b1
    slope = 2 * (f - 1) / BATCH
    return f, ((f - 1) ** 2).mean(), h.T @ slope, slope.sum(axis=0)


def test_what_it_says_is_exact_and_the_state_is_the_recorded_one(models, given):
    about, said = jury.testimony(models, None, Swear("float32", 2.0**-24, 1, 60.0), given)
    assert (about["steps"], about["precision"], said["steps"].tolist()) == (2, "float64", [0, 7])
    for step in (0, 1):
        f, loss, kernel, bias = by_hand(given, step)
        near = {"rtol": 1e-6, "atol": 1e-7} if keras.backend.backend() == "torch" else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(said["predictions"][step * BATCH : (step + 1) * BATCH], f, **near)
        np.testing.assert_allclose(said["loss"][step], loss, **near)
        np.testing.assert_allclose(said["gradients/2"][step], kernel, **near)
        np.testing.assert_allclose(said["gradients/3"][step], bias, **near)
    assert said["state/0"].tolist() == [1.0, 6.0]
    assert said["state_condition/0"].tolist() == [0.0, 0.0]


def test_a_condition_does_not_depend_on_how_large_the_disturbance_is(models, given):
    units = (2.0**-16, 2.0**-19)
    found = [jury.testimony(models, None, Swear("float64", unit, 1, 60.0), given)[1] for unit in units]
    for name in ("predictions_condition", "loss_condition", "gradients_condition"):
        assert (found[0][name] > 0.01).all()
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=0.2)


def test_without_a_disturbance_a_step_is_the_same_bits_each_time(models, given):
    juror = models.built("float32")
    assert {weight.dtype for weight in juror.model.trainable_weights} == {"float32"}
    weights, state = [given[f"weights/{k}"][0] for k in range(4)], [given["state/0"][0]]
    batch = [given["x"][:BATCH], given["y"][:BATCH], None]
    first = juror.at(weights, state, batch)
    juror.noise.by(DISTURBANCE * 2.0**-12, (1, 0), 0)
    up = juror.at(weights, state, batch)
    juror.noise.by(-DISTURBANCE * 2.0**-12, (1, 0), 0)
    down = juror.at(weights, state, batch)
    juror.noise.none()
    again = juror.at(weights, state, batch)
    assert np.array_equal(first.predictions, again.predictions)
    assert all(np.array_equal(a, b) for a, b in zip(first.gradients, again.gradients, strict=True))
    moved = np.abs(up.predictions - first.predictions).max()
    assert moved > 1e-5
    assert np.abs(up.predictions + down.predictions - 2 * first.predictions).max() < 0.05 * moved


def test_layers_are_disturbed_beside_weights_and_inputs(models, given):
    """With weights and inputs that are zero or whole nothing but what a layer returns is left to disturb."""
    juror = models.built("float64")
    weights = [np.zeros((3, 4)), np.full(4, 0.5), np.full((4, 1), 2.0), np.zeros(1)]
    batch = [np.ones((BATCH, 3)), np.ones((BATCH, 1)), None]
    right = juror.at(weights, [np.zeros(())], batch)
    juror.noise.by(1e-3, (1, 0), 1)
    juror.noise.size = 0.0  # of weights and inputs
    moved = juror.at(weights, [np.zeros(())], batch)
    share = np.abs(moved.predictions / right.predictions - 1).max()
    assert 1e-5 < share < 4e-3


def test_a_model_of_other_variables_is_refused(models, given):
    fewer = Trace({name: array for name, array in given.items() if name != "weights/3"})
    with pytest.raises(ValueError, match="weights have shapes"):
        jury.testimony(models, None, Swear("float64", 2.0**-53, 1, 60.0), fewer)
