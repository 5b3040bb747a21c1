"""Every circuit of the library, and every method: predictions and gradients are the oracle's, to rounding.

On torch every circuit under every method. Elsewhere, where each operation compiles for itself, all circuits under
lightning's adjoint, some under the rest.

On each device the first method is also checked against a directional finite difference of the layer itself, which
needs no oracle.
"""

import keras
import numpy as np
import pytest
from keras import ops

from qparity.circuit.layer import QKerasLayer
from qparity.circuit.program import gate_program
from qparity.oracle import predict, vjp
from qparity.scenario.backends import BACKENDS
from qparity.scenario.registry import CIRCUITS
from qparity.worker.losses import sample_loss
from qparity.worker.training import ExactLoss
from tests.oracle.programs import read as simulated

METHODS = {
    "default.qubit": ["backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard"],
    "lightning.qubit": ["adjoint", "parameter-shift"],
}
WIRES = {"deep": 2}
SOME = ("data_reuploading", "deep", "qaoa")
EXACT = 2e-14


def cases():
    for circuit in CIRCUITS:
        for device, methods in METHODS.items():
            for method in methods:
                if circuit == "probabilities" and method == "adjoint":
                    continue  # PennyLane: adjoint takes expectation values only
                quick = keras.backend.backend() == "torch" or (device, method) == ("lightning.qubit", "adjoint")
                if not quick and circuit not in SOME:
                    continue
                yield circuit, device, method


def model_of(circuit, device, method, batch):
    wires = WIRES.get(circuit, 3 if method == "adjoint" else 2)
    layer = QKerasLayer(circuit, wires=wires, layers=1, device=device, diff_method=method, max_batch_size=batch)
    model = keras.Sequential([keras.Input((layer.function.features or 1,)), layer])
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=ExactLoss(sample_loss("energy", {}), "energy"),
        run_eagerly=keras.backend.backend() != "torch",
    )
    return model, layer


@pytest.mark.parametrize(("circuit", "device", "method"), list(cases()))
def test_predictions_and_gradients(circuit, device, method, backend, rng):
    batch = 2
    model, layer = model_of(circuit, device, method, batch)
    x = rng.uniform(-2, 2, (batch, layer.function.features))
    weights = [ops.convert_to_numpy(w) for w in layer.weights]
    step = backend.stepper(model, "eager", sample_loss("energy", {}))(x, np.zeros((batch, layer.outputs)))

    program = simulated(gate_program(layer.function))
    cotangents = np.full((batch, layer.outputs), 1 / (batch * layer.outputs))
    expected, gradients, _ = vjp(program, weights, x, cotangents)
    np.testing.assert_allclose(step.predictions, expected, atol=EXACT * layer.wires)
    tolerance = 1e-5 if method == "finite-diff" else EXACT * layer.wires
    for got, wanted in zip(step.gradients, gradients, strict=True):
        np.testing.assert_allclose(got, wanted, atol=tolerance)
    if method != METHODS[device][0]:
        return  # the layer's own values are those of the device

    direction = [rng.normal(size=w.shape) for w in weights]
    h = 1e-5

    def loss_at(shift):
        for weight, w, d in zip(layer.weights, weights, direction, strict=True):
            weight.assign(w + shift * d)
        return float(np.mean(ops.convert_to_numpy(layer(x))))

    slope = (loss_at(h) - loss_at(-h)) / (2 * h)
    projected = sum(float(np.sum(g * d)) for g, d in zip(step.gradients, direction, strict=True))
    assert abs(slope - projected) < 1e-7


@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
def test_float64_stays_float64_in_inference_and_training(device, backend, rng):
    """Lightning hands out Python floats, which torch and TensorFlow read as float32; the layer keeps their digits."""
    model, layer = model_of("data_reuploading", device, "adjoint", 3)
    x = rng.uniform(-2, 2, (3, 1))
    program = simulated(gate_program(layer.function))
    expected = predict(program, [ops.convert_to_numpy(w) for w in layer.weights], x)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-14)
    step = backend.stepper(model, "eager", sample_loss("energy", {}))(x, np.zeros((3, 1)))
    np.testing.assert_allclose(step.predictions, expected, atol=1e-14)


@pytest.mark.parametrize(("device", "method"), [("lightning.qubit", "adjoint"), ("default.qubit", "hadamard")])
def test_a_batch_of_one(device, method, backend, rng):
    model, layer = model_of("data_reuploading", device, method, 1)
    x = rng.uniform(-2, 2, (1, 1))
    weights = [ops.convert_to_numpy(w) for w in layer.weights]
    step = backend.stepper(model, "eager", sample_loss("energy", {}))(x, np.zeros((1, 1)))
    program = simulated(gate_program(layer.function))
    expected, gradients, _ = vjp(program, weights, x, np.ones((1, 1)))
    np.testing.assert_allclose(step.predictions, expected, atol=1e-14)
    np.testing.assert_allclose(step.gradients[0], gradients[0], atol=1e-13)


@pytest.mark.parametrize("scale", [3.0, 4.0])
def test_a_scaled_loss_is_recorded_unscaled_and_trains_what_fit_trains(scale, backend, rng):
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    start, steps, ends = [rng.normal(size=(2, 1)), np.zeros(1)], {}, {}
    for factor in (None, scale):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        mode = "eager" if backend.name == "torch" else "graph" if backend.name == "tensorflow" else "jit"
        optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=factor)
        model.compile(optimizer, "mse", auto_scale_loss=False, **backend.compile_options(mode, 1))
        model.set_weights(start)
        steps[factor] = backend.stepper(model, mode, sample_loss("mse", {}))(x, y)
        ends[factor] = model.get_weights()
    model.set_weights(start)
    model.fit(x, y, epochs=1, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(steps[scale].loss, steps[None].loss, rtol=1e-6)
    for got, wanted, end, fitted in zip(
        steps[scale].gradients, steps[None].gradients, ends[scale], model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
        np.testing.assert_allclose(end, fitted, rtol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph", "jit"])
def test_the_weight_of_a_sample_is_in_loss_and_gradient(mode, backend, rng):
    """A sample of weight two is as good as the sample twice, but for the count that the mean divides by."""
    if mode not in {each.name for each in BACKENDS[backend.name].modes}:
        pytest.skip(f"{backend.name} has no mode {mode}")
    x, y = rng.normal(size=(3, 2)), rng.normal(size=(3, 1))
    found = []
    for rows, weight in (([0, 1, 2], np.array([2.0, 1.0, 0.0])), ([0, 0, 1], None)):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.1), ExactLoss(sample_loss("mse", {}), "mse"))
        found.append(backend.stepper(model, mode, sample_loss("mse", {}))(x[rows], y[rows], weight))
    np.testing.assert_allclose(found[0].loss, found[1].loss, rtol=1e-6)
    for got, wanted in zip(found[0].gradients, found[1].gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's alone")
def test_eight_wires_under_backprop(backend, rng):
    """PennyLane 0.45 on TensorFlow fails from 8 wires on with batched rotations; the layer expands the batch."""
    layer = QKerasLayer("data_reuploading", wires=8, layers=1, diff_method="backprop", max_batch_size=2)
    out = ops.convert_to_numpy(layer(rng.uniform(-1, 1, (2, 1))))
    assert out.shape == (2, 1)
    assert np.all(np.abs(out) <= 1)
