"""What PennyLane runs sample by sample in NumPy the layer runs in plain `fit`, values and gradients alike.

The expected values are those of a QNode of the bare function, called with one sample; the expected weights are two SGD
steps on its central differences, the second on a partial batch for some of them.
"""

import inspect

import keras
import numpy as np
import pennylane as qml
import pytest
from keras import ops

from qparity.circuit.errors import CircuitError, UnsupportedError
from qparity.circuit.layer import QKerasLayer
from qparity.worker.child import said_of

RATE, STEP = 0.5, 1e-4


def one_sample(inputs, angles, tilt):
    qml.RX(inputs[0], wires=0)
    qml.RX(inputs[1], wires=1)
    qml.Rot(angles[0], angles[1], angles[2], wires=0)
    qml.RY(tilt, wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


def batch_alone(inputs, angles, tilt):
    qml.RX(inputs[:, 0], wires=0)
    qml.RY(angles[0] * inputs[:, 1], wires=1)
    qml.CNOT(wires=[0, 1])
    qml.Rot(angles[1], angles[2], tilt, wires=1)
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


def each_feature(inputs, angles, tilt):
    for j in range(len(inputs)):
        qml.Hadamard(j)
        qml.RZ(inputs[j], wires=j)
    qml.RY(angles[0] + tilt, wires=0)
    qml.CNOT(wires=[0, 1])
    qml.RY(angles[1] * angles[2], wires=1)
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]


def merging(inputs, angles, tilt):
    qml.RX(inputs[..., 0], wires=0)
    qml.RX(angles[0] + tilt, wires=0)
    qml.RX(inputs[..., 1] + angles[1], wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(1))


def sums(inputs, angles, tilt):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(angles[0], wires=0)
    qml.CNOT(wires=[0, 1])
    qml.RX(inputs[..., 1] + tilt, wires=1)
    return qml.expval(angles[1] * qml.Z(0) + 0.7 * qml.X(0) @ qml.Y(1)), qml.expval(qml.Z(1))


def all_wires(inputs, angles, tilt):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(angles[0] + tilt, wires=0)
    qml.CNOT(wires=[0, 1])
    qml.RY(inputs[..., 1], wires=1)
    return qml.probs()


def amplitudes(inputs, angles, tilt):
    qml.RX(tilt, wires=0)
    qml.RY(inputs[..., 0], wires=0)
    qml.CNOT(wires=[0, 1])
    qml.Rot(angles[0], angles[1], inputs[..., 1], wires=1)
    return qml.state()


def no_weights(inputs):
    qml.RY(inputs[..., 0], wires=0)
    qml.CNOT(wires=[0, 1])
    qml.RX(inputs[..., 1], wires=1)
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


SHAPES = {"angles": (3,), "tilt": ()}
CENTRAL = {"h": 1e-2, "approx_order": 2, "strategy": "center"}  # float32 has no digits left at PennyLane's 1e-7
CASES = [
    (one_sample, "default.qubit", "backprop", "float64", {}),
    (one_sample, "lightning.qubit", "adjoint", "float32", {}),
    (batch_alone, "lightning.qubit", "adjoint", "float64", {}),
    (each_feature, "default.qubit", "parameter-shift", "float32", {}),
    (qml.compile(merging), "lightning.qubit", "parameter-shift", "float64", {}),
    (sums, "default.qubit", "backprop", "float32", {}),
    (sums, "default.qubit", "finite-diff", "float32", {"diff_options": CENTRAL}),
    (sums, "lightning.qubit", "parameter-shift", "float32", {}),
    (all_wires, "default.qubit", "hadamard", "float32", {}),
    (amplitudes, "default.qubit", "backprop", "float64", {"complex_outputs": "parts"}),
    (no_weights, "lightning.qubit", "adjoint", "float32", {"weight_shapes": {}}),
    (no_weights, "default.qubit", "parameter-shift", "float32", {"weight_shapes": {}}),
]


PARTIAL = (one_sample, merging)


def sampled(function, wires=2):
    """The function's values for rows (rows, features), complex ones as real and imaginary parts; flat weights."""
    names = [name for name in inspect.signature(function).parameters if name != "inputs"]

    def values(kernel, weights, rows):
        def one(row):
            given = dict(zip(names, weights, strict=True))
            inputs = row[None] if function is batch_alone else row
            qnode = qml.QNode(lambda: function(inputs=inputs, **given), qml.device("default.qubit", wires=wires))
            found = qnode()
            found = [np.ravel(each) for each in (found if isinstance(found, list | tuple) else [found])]
            return np.concatenate([np.r_[v.real, v.imag] if np.iscomplexobj(v) else v for v in found])

        return np.array([one(row) for row in rows @ kernel])

    return values


@pytest.mark.parametrize(("circuit", "device", "method", "dtype", "options"), CASES)
def test_fit_behind_a_dense_layer(circuit, device, method, dtype, options, rng):
    keras.config.set_floatx(dtype)
    settings = {"weight_shapes": SHAPES, "features": 2, **options}
    layer = QKerasLayer(circuit, wires=2, device=device, diff_method=method, dtype=dtype, max_batch_size=3, **settings)
    dense = keras.layers.Dense(2, use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((2,), dtype=dtype), dense, layer])
    slopes = np.linspace(1, 2, layer.outputs)
    model.compile(keras.optimizers.SGD(RATE), loss=lambda y, p: ops.mean(ops.sum(p * ops.cast(slopes, dtype), -1)))
    for weight in model.trainable_weights:
        weight.assign(rng.uniform(0.1, 0.8, weight.shape))
    arrays = [ops.convert_to_numpy(weight).astype("float64") for weight in model.trainable_weights]
    x = rng.uniform(0.2, 2.5, (5 if circuit in PARTIAL else 6, 2)).astype(dtype)

    values = sampled(circuit)
    exact = dtype == "float64" and keras.backend.backend() != "torch"  # whose Dense computes in float32
    predicted = model.predict(x, batch_size=3, verbose=0)
    np.testing.assert_allclose(predicted, values(arrays[0], arrays[1:], x), atol=1e-12 if exact else 3e-6)

    for rows in (x[:3].astype("float64"), x[3:].astype("float64")):

        def total(flat, rows=rows, arrays=arrays):
            kernel, *weights = unflattened(flat, arrays)
            return np.mean(values(kernel, weights, rows) @ slopes)

        flat = np.concatenate([array.ravel() for array in arrays])
        slope = [(total(flat + STEP * e) - total(flat - STEP * e)) / (2 * STEP) for e in np.eye(len(flat))]
        arrays = unflattened(flat - RATE * np.array(slope), arrays)
    model.fit(x, np.zeros((len(x), layer.outputs), dtype), batch_size=3, epochs=1, shuffle=False, verbose=0)
    tolerance = 1e-4 if method == "finite-diff" else 1e-6 if exact else 2e-5
    for weight, expected in zip(model.trainable_weights, arrays, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(weight), expected, atol=tolerance)


def unflattened(flat, arrays):
    parts = np.split(flat, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


def test_complex_outputs_are_refused_unless_they_are_asked_for():
    with pytest.raises(CircuitError, match="complex_outputs='parts'"):
        QKerasLayer(amplitudes, wires=2, weight_shapes=SHAPES, features=2)
    with pytest.raises(CircuitError, match="expected None or 'parts'"):
        QKerasLayer(amplitudes, wires=2, weight_shapes=SHAPES, features=2, complex_outputs="abs")
    layer = QKerasLayer(amplitudes, wires=2, weight_shapes=SHAPES, features=2, complex_outputs="parts")
    assert layer.outputs == 8
    assert layer.get_config()["complex_outputs"] == "parts"


def numbers(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(float(weights[0]), wires=0)
    return qml.expval(qml.Z(0))


def branches(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(np.maximum(np.asarray(weights[0]), 0.1), wires=0)
    return qml.expval(qml.Z(0))


def test_a_function_that_computes_with_numpy_is_run_by_what_it_computes(rng):
    """NumPy on tensors fails, or loses the gradient without a word: the layer computes the same with qml.math."""

    def many(weights, inputs):
        qml.RX(np.arctan(inputs[..., 0]) * np.exp(weights[1]), wires=0)
        qml.ctrl(qml.RY, 0)(np.sin(weights[0]) ** 2 / (1 + inputs[..., 1] ** 2), wires=1)
        return qml.expval(qml.Z(0)), qml.expval(np.cos(weights[1]) * qml.Z(1))

    with pytest.warns(UserWarning, match="computes with NumPy"):
        layer = QKerasLayer(many, wires=2, weight_shapes={"weights": (2,)}, features=2)
    assert layer.computed
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), layer])
    x = rng.uniform(-1, 1, (5, 2))
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=keras.backend.backend() != "torch")
    a, b = layer.get_weights()[0]
    found = ops.convert_to_numpy(layer(x))
    first = np.arctan(x[:, 0]) * np.exp(b)
    second = np.sin(a) ** 2 / (1 + x[:, 1] ** 2)
    up = np.sin(first / 2) ** 2
    expected = np.stack([np.cos(first), np.cos(b) * (1 - up + up * np.cos(second))], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-14)
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, np.zeros((5, 2)), batch_size=5, verbose=0)
    assert all((w != old).all() for w, old in zip(model.get_weights(), before, strict=True)), "all of it trains"


@pytest.mark.parametrize("circuit", [branches, numbers])
def test_a_weight_that_would_have_no_gradient_is_refused(circuit):
    with pytest.raises(UnsupportedError, match=r"use qml\.math") as caught:
        QKerasLayer(circuit, weight_shapes={"weights": (1,)}, features=1)
    assert "\n" not in str(caught.value)


def test_features_that_become_numbers_are_refused_behind_a_trainable_layer_only(rng):
    def branching(weights, inputs):
        qml.RX(float(inputs[0]), wires=0)
        qml.RY(weights[0], wires=0)
        return qml.expval(qml.Z(0))

    layer = QKerasLayer(branching, weight_shapes={"weights": (1,)}, features=1)
    x = rng.uniform(-1, 1, (3, 1))
    expected = np.cos(x) * np.cos(ops.convert_to_numpy(layer(x) * 0 + layer.weights[0]))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-14)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), layer])
    model.compile("sgd", "mse", run_eagerly=keras.backend.backend() != "torch")
    with pytest.raises(UnsupportedError, match=r"use qml\.math"):
        model.fit(x, x, verbose=0)


def noisy(inputs):
    qml.DepolarizingChannel(0.1, wires=0)
    return qml.expval(qml.Z(0))


def test_refusals_come_when_the_layer_is_made():
    with pytest.raises(UnsupportedError, match="parameter-shift cannot differentiate"):
        QKerasLayer(amplitudes, wires=2, weight_shapes=SHAPES, complex_outputs="parts", diff_method="parameter-shift")
    with pytest.raises(UnsupportedError, match="cannot run the circuit"):
        QKerasLayer(noisy, weight_shapes={}, features=1)


def test_what_breaks_inside_pennylane_is_unsupported_and_what_breaks_elsewhere_is_not():
    def told(broken):
        try:
            broken()
        except Exception as error:
            return said_of(error)
        raise AssertionError("it did not break")

    def in_a_function():
        qml.QNode(lambda: [].no_such_thing, qml.device("default.qubit", wires=1))()

    def in_a_library():
        qml.RX.compute_matrix("no angle")

    assert told(in_a_library)["status"] == "unsupported"
    assert told(in_a_library)["reason"].startswith("PennyLane fails at it (")
    assert told(in_a_function)["status"] == "failed"
    assert said_of(MemoryError("x"))["status"] == "failed"


def test_a_loss_that_no_weight_reaches_is_said_where_the_framework_breaks(rng):
    inputs = keras.Input((1,))
    idle = keras.layers.Dense(1)(inputs)
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: 0.0 * ops.stop_gradient(x), (1,))(idle))
    model.compile("sgd", "mse")
    x = rng.uniform(size=(2, 1))
    if keras.backend.backend() == "jax":  # all gradients are zero there
        model.fit(x, x, verbose=0)
        return
    with pytest.raises((RuntimeError, ValueError)) as caught:
        model.fit(x, x, verbose=0)
    assert said_of(caught.value)["reason"].startswith("no weight that the model trains reaches its loss (")
