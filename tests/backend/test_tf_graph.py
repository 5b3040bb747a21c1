"""TensorFlow graphs: circuits in functions, loops and parallel branches, partial batches, and what cannot be traced."""

from functools import partial

import keras
import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.errors import UnsupportedError
from qparity.circuit.layer import QKerasLayer

if keras.backend.backend() != "tensorflow":
    pytest.skip("of TensorFlow only", allow_module_level=True)

import tensorflow as tf

from qparity.circuit import tf_graph
from qparity.oracle.optimizers import LAWS
from qparity.scenario.schema import Training
from qparity.worker.child import said_of
from qparity.worker.training import make_optimizer

PLACES = [("default.qubit", "backprop"), ("default.qubit", "parameter-shift"), ("lightning.qubit", "adjoint")]


def rotated(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))


def layer_of(device, method, **options):
    layer = QKerasLayer(
        rotated, weight_shapes={"weights": (1,)}, features=1, device=device, diff_method=method, **options
    )
    layer.build((None, 1))
    return layer


@pytest.mark.parametrize(("device", "method"), PLACES)
def test_gradients_of_the_inputs_reach_a_tape_outside_of_the_graph(device, method, rng):
    """Inside the graph nothing says that its arguments are differentiated."""
    layer = layer_of(device, method)
    x, angle = tf.constant(rng.uniform(-2, 2, (4, 1))), layer.weights[0].numpy()
    graph = tf.function(layer.call)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(graph(x))
    found = tape.gradient(total, [x, layer.weights[0].value])
    np.testing.assert_allclose(found[0], -np.sin(x) * np.cos(angle), atol=1e-14)
    np.testing.assert_allclose(found[1], np.sum(-np.cos(x) * np.sin(angle), keepdims=True)[0], atol=1e-13)


@pytest.mark.parametrize(("device", "method"), PLACES)
def test_gradients_through_a_loop_and_its_neighbours(device, method):
    """x -> f(f(f(x))) in a loop beside f(x): one tape an execution, and never two executions at once."""
    layer = layer_of(device, method)
    angle = tf.constant([0.3], tf.float64)
    layer.weights[0].assign(angle)

    def slope(x):
        total = 1.0
        for _ in range(3):
            total, x = total * -np.sin(x) * np.cos(0.3), np.cos(x) * np.cos(0.3)
        return total

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, looped = tf.while_loop(lambda k, _: k < 3, lambda k, y: (k + 1, layer(y)), (0, x))
            total = tf.reduce_sum(looped) + tf.reduce_sum(layer(x))
        return tape.gradient(total, x)

    x = np.array([[0.4], [1.1]])
    for _ in range(3):
        np.testing.assert_allclose(gradient(tf.constant(x)), slope(x) - np.sin(x) * np.cos(0.3), atol=1e-13)


def test_a_gradient_nobody_asks_for_is_not_computed(monkeypatch, rng):
    calls = []
    monkeypatch.setattr(tf_graph.PythonFunction, "_inputs_only", lambda *_: calls.append(1))
    layer = layer_of("lightning.qubit", "adjoint")
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(rng.uniform(-1, 1, (5, 1)), np.ones((5, 1)), batch_size=2, epochs=1, verbose=0)
    assert not calls
    assert not layer.executor._python_function.tapes  # every tape was used, or never kept


def test_a_tape_that_is_gone_is_recorded_again(monkeypatch, rng):
    monkeypatch.setattr(tf_graph, "KEPT", 0)
    test_gradients_of_the_inputs_reach_a_tape_outside_of_the_graph("lightning.qubit", "adjoint", rng)


def encoding(weights, inputs):
    qml.AmplitudeEmbedding(inputs, wires=range(2), normalize=True)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))


def reciprocal(weights, inputs):
    qml.RX(1 / inputs[..., 0] + qml.math.log(inputs[..., 1]), wires=0)
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))


@pytest.mark.parametrize(
    ("circuit", "max_batch_size", "jit_compile"),
    [(encoding, None, False), (encoding, 4, True), (reciprocal, 4, False)],
)
def test_a_partial_batch_may_be_undefined_at_zero(circuit, max_batch_size, jit_compile, rng):
    """A batch filled up with zeros gave nan * 0 to every weight, those before the circuit included."""
    layer = QKerasLayer(
        circuit, wires=2, weight_shapes={"weights": (1,)}, features=4, max_batch_size=max_batch_size, seed=1
    )
    before = keras.layers.Dense(4, kernel_initializer="identity", use_bias=False)
    model = keras.Sequential([keras.Input((4,)), before, layer])
    x, y = rng.uniform(0.5, 1, (6, 4)), rng.uniform(-1, 1, (6, 1))
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    start = model.get_weights()
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    eager = model.get_weights()
    model.set_weights(start)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    for found, expected in zip(model.get_weights(), eager, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_more_rows_than_announced_are_an_error():
    layer = layer_of("default.qubit", "backprop", max_batch_size=2)
    graph = tf.function(layer.call, input_signature=[tf.TensorSpec((None, 1), tf.float64)])
    assert graph(np.zeros((2, 1))).shape == (2, 1)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(np.zeros((3, 1)))


def bits(weights, inputs):
    qml.BasisEmbedding(inputs, wires=range(2))
    qml.RY(weights[0], wires=0)
    return qml.expval(qml.Z(0))


def test_what_looks_at_values_runs_as_python(rng):
    layer = QKerasLayer(bits, wires=2, weight_shapes={"weights": (1,)}, features=2)
    assert not layer.executor.traceable
    assert not layer.supports_jit
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile("sgd", "mse")  # jit_compile="auto"
    x = rng.integers(0, 2, (5, 2)).astype(float)
    angle = float(np.asarray(layer.weights[0])[0])
    np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], (1 - 2 * x[:, 0]) * np.cos(angle), atol=1e-14)
    model.fit(x, np.zeros((5, 1)), batch_size=2, verbose=0)
    assert float(np.asarray(layer.weights[0])[0]) != angle


def test_an_error_inside_a_graph_is_told_as_what_it_is():
    def breaks(weights, inputs):
        raise KeyError("of one's own")

    inside = tf_graph.PythonFunction(breaks, "float64", 1)
    with pytest.raises(tf.errors.OpError) as caught:
        tf.function(lambda x: inside([], x), autograph=False)(tf.ones((2, 1), tf.float64))
    assert "of one's own" in said_of(caught.value)["reason"]
    assert said_of(caught.value)["reason"].startswith("KeyError")
    assert said_of(caught.value)["status"] == "failed"


def test_every_optimizer_of_exact_numbers_updates_inside_a_graph():
    """Adadelta multiplies a number by a variable: NumPy's product would want the variable's values."""
    for name in LAWS:
        variable = keras.Variable(np.ones((2, 2)), dtype="float64")
        training = Training.model_validate({"optimizer": {"name": name}})
        optimizer = make_optimizer(training, "float64")
        optimizer.build([variable])
        tf.function(partial(optimizer.apply, [tf.ones((2, 2), tf.float64)], [variable]), autograph=False)()
        assert (variable.numpy() < 1).all(), name


@pytest.mark.parametrize(("device", "method"), PLACES[1:])
def test_a_second_derivative_is_refused_and_not_silently_zero(device, method):
    """What runs as Python hands its gradient over as numbers, which TensorFlow would take for constants."""
    layer = layer_of(device, method)
    angle, x = layer.weights[0].value, tf.constant([[0.3]], tf.float64)

    @partial(tf.function, autograph=False)
    def twice():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(layer(x) ** 2)
            slope = tf.reduce_sum(inner.gradient(loss, angle))
        return outer.gradient(slope, angle)

    with pytest.raises(UnsupportedError, match="has a first derivative alone"):
        twice()
