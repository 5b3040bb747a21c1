"""The boundary of a quantum layer in a larger model, as the audit records it: right, and the training is untouched."""

import keras
import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.layer import QKerasLayer
from qparity.scenario.backends import BACKENDS
from qparity.scenario.schema import Scenario
from qparity.worker import audit, training

BATCH, WIRES = 4, 2
MODES = ("eager", "graph", "xla", "jit")


def rotations(weights, inputs, wires):
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


def quantum(name="quantum", **options):
    defaults = {"wires": WIRES, "weight_shapes": {"weights": (WIRES,)}, "features": WIRES, "max_batch_size": BATCH}
    return QKerasLayer(rotations, **defaults | options, seed=1, name=name)


def dense(units, seed):
    return keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed=seed))


def in_mode(mode):
    """Where each operation would be compiled for itself, a device that compiles nothing."""
    return {"device": "lightning.qubit"} if mode == "eager" else {}


def hybrid(**options):
    layers = [dense(WIRES, 1), keras.layers.BatchNormalization(), keras.layers.Dropout(0.4, seed=3)]
    return keras.Sequential([keras.Input((3,)), *layers, quantum(**options), dense(1, 2)])


def data_fed(**options):
    return keras.Sequential([keras.Input((WIRES,)), quantum(**options), dense(1, 2)])


def twice():
    inputs, shared = keras.Input((WIRES,)), quantum()
    return keras.Model(inputs, dense(1, 2)(shared(shared(inputs))))


class Scaled(QKerasLayer):
    def call(self, inputs):
        return super().call(3.0 * inputs)


def scaled():
    layer = Scaled(rotations, wires=WIRES, weight_shapes={"weights": (WIRES,)}, features=WIRES, max_batch_size=BATCH)
    return keras.Sequential([keras.Input((WIRES,)), layer, dense(1, 2)])


def record(build, backend, mode, rng, samples=2 * BATCH):
    scenario = Scenario.model_validate(
        {"name": "boundary", "model": "mine:build", "training": {"batch_size": BATCH, "epochs": 1}}
    )
    model = build()
    model.compile(
        training.make_optimizer(scenario.training, "float64"),
        training.make_loss(scenario.training),
        **backend.compile_options(mode, 2),
    )
    x = rng.uniform(-2, 2, (samples, model.input_shape[1]))
    y = rng.uniform(-1, 1, (samples, 1))
    data = audit.Data(x, y, np.arange(samples)[None])
    return audit.record(model, backend, mode, scenario, data, lambda *_: None)


@pytest.fixture(params=MODES)
def mode(request, backend):
    if request.param not in {mode.name for mode in BACKENDS[backend.name].modes}:
        pytest.skip(f"{backend.name} has no mode {request.param}")
    return request.param


def test_crossings_follow_from_the_chain_rule(mode, backend, rng):
    def build():
        return keras.Sequential([keras.Input((3,)), dense(WIRES, 1), quantum(**in_mode(mode)), dense(1, 2)])

    about, trace, _ = record(build, backend, mode, rng, samples=2 * BATCH - 1)
    assert about["boundaries"] == "recorded"
    rows, sizes = trace["batch_index"], np.diff(trace["offsets"])
    step = np.repeat(np.arange(2), sizes)
    inputs, outputs, bars, back = (
        trace[f"layer_{kind}/0"] for kind in ("inputs", "outputs", "cotangents", "input_gradients")
    )
    angles, kernel = trace["weights/2"][step], trace["weights/3"][step][:, :, 0]
    # Keras multiplies float64 matrices in float32 on torch
    dense_error = 1e-6 if backend.name == "torch" else 1e-15
    hidden = np.einsum("ni,nij->nj", trace["x"][rows], trace["weights/0"][step]) + trace["weights/1"][step]
    np.testing.assert_allclose(inputs, hidden, atol=dense_error)
    np.testing.assert_allclose(outputs, np.cos(inputs) * np.cos(angles), atol=2e-15)
    slope = 2 * (trace["predictions"][:, 0] - trace["y"][rows, 0]) / sizes[step]
    np.testing.assert_allclose(bars, slope[:, None] * kernel, atol=dense_error)
    np.testing.assert_allclose(back, -bars * np.sin(inputs) * np.cos(angles), atol=2e-15)
    first = slice(*trace["offsets"][:2])
    np.testing.assert_allclose(trace["gradients/0"][0], trace["x"][rows][first].T @ back[first], atol=dense_error)


def test_a_layer_fed_by_data_has_no_input_gradients(mode, backend, rng):
    _, trace, _ = record(lambda: data_fed(**in_mode(mode)), backend, mode, rng, samples=BATCH)
    np.testing.assert_array_equal(trace["layer_inputs/0"], trace["x"])
    assert "layer_cotangents/0" in trace
    assert "layer_input_gradients/0" not in trace


@pytest.mark.parametrize("method", ["best", "parameter-shift"])
def test_the_training_is_bitwise_what_it_is_unobserved(method, mode, backend, rng, monkeypatch):
    """With dropout and batch normalisation: random states and running statistics are put back."""
    if method != "best" and mode != "eager":
        pytest.skip("one method is enough for the compiled modes")
    build = lambda: hybrid(diff_method=method, **in_mode(mode))  # noqa: E731
    _, observed, _ = record(build, backend, mode, np.random.default_rng(2))
    monkeypatch.setattr("qparity.worker.audit.Boundaries", lambda *_: None)
    _, alone, _ = record(build, backend, mode, np.random.default_rng(2))
    assert any(name.startswith("layer_") for name in observed)
    assert not any(name.startswith("layer_") for name in alone)
    for name, array in alone.items():
        np.testing.assert_array_equal(array, observed[name], err_msg=name)
    assert ("layer_cotangents_condition/0" in observed) == (mode != "eager")
    if mode != "eager":  # of the same masks: with others the cotangents would be other ones altogether
        assert 0 < observed["layer_cotangents_condition/0"].max() < 40 * np.abs(observed["layer_cotangents/0"]).max()


def test_a_subclass_is_tapped_where_the_circuit_begins(backend, rng):
    _, trace, _ = record(scaled, backend, "eager", rng)
    np.testing.assert_array_equal(trace["layer_inputs/0"], 3.0 * trace["x"][trace["batch_index"]])


def test_both_calls_of_a_layer_are_recorded(backend, rng):
    about, trace, _ = record(twice, backend, "eager", rng)
    assert about["boundaries"] == "recorded"
    np.testing.assert_array_equal(trace["layer_offsets/0"], 2 * trace["offsets"])
    assert len(trace["layer_outputs/0"]) == 2 * len(trace["predictions"])


def test_what_has_no_boundary_says_why_and_trains(backend, rng):
    about, trace, _ = record(lambda: data_fed(shots=10), backend, "eager", rng)
    assert "other samples" in about["boundaries"]
    assert not any(name.startswith("layer_") for name in trace)
    assert len(trace["loss"]) == 2


def test_a_model_that_predicts_anew_each_time_is_not_recorded(backend, rng):
    class Restless(keras.layers.Layer):
        calls = 0

        def call(self, inputs):
            Restless.calls += 1
            return inputs * (1.0 + 0.1 * Restless.calls)

    about, trace, _ = record(
        lambda: keras.Sequential([keras.Input((WIRES,)), Restless(), quantum(), dense(1, 2)]), backend, "eager", rng
    )
    assert "something else" in about["boundaries"]
    assert not any(name.startswith("layer_") for name in trace)


def test_layers_are_left_as_they_were(backend, rng):
    layer = quantum()
    model = keras.Sequential([keras.Input((WIRES,)), layer])
    executor = layer.executor
    record(lambda: model, backend, "eager", rng)
    assert layer.executor is executor
