"""What a device or a gradient transform would refuse later is refused when a circuit is made."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind
from qparity.circuit.errors import CircuitError, UnsupportedError
from qparity.circuit.trial import try_gradient, try_one_sample

SHAPES = {"weights": (2,)}


def circuit(measure, make=lambda w, x: None):
    def function(weights, inputs):
        qml.RY(inputs[..., 0], wires=0)
        qml.RX(weights[0], wires=0)
        make(weights, inputs)
        qml.RX(weights[1], wires=0)
        return measure(weights)

    return bind(function, 2, 1, {}, SHAPES, 1)


def expectation(weights):
    return qml.expval(qml.Z(0))


def feed_forward(weights, inputs):
    qml.cond(qml.measure(0), qml.RY)(weights[1], wires=1)


def test_what_runs_is_let_pass():
    try_one_sample(circuit(expectation), "default.qubit", None)
    try_one_sample(circuit(lambda w: qml.sample(wires=0)), "default.qubit", 10)
    try_one_sample(circuit(lambda w: qml.expval(qml.Z(0))), "no.such.device", None)


@pytest.mark.parametrize(
    ("bound", "device", "shots", "words"),
    [
        (circuit(lambda w: qml.sample(wires=0)), "default.qubit", None, "default.qubit cannot run the circuit"),
        (
            circuit(expectation, lambda w, x: qml.DepolarizingChannel(0.1, 0)),
            "default.qubit",
            None,
            "Channel not supported|DepolarizingChannel",
        ),
        (circuit(lambda w: qml.state()), "default.mixed", None, r"returns \(4, 4\), expected \(4,\)"),
    ],
)
def test_what_does_not_run_is_said_in_one_line(bound, device, shots, words):
    with pytest.raises(CircuitError, match=words) as caught:
        try_one_sample(bound, device, shots)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["parameter-shift", "finite-diff", "hadamard", "spsa"])
@pytest.mark.parametrize(
    "measure",
    [
        expectation,
        lambda w: qml.expval(w[0] * qml.Z(0) + 0.5 * qml.X(1)),
        lambda w: qml.probs(wires=[0]),
        lambda w: (qml.expval(qml.Z(0)), qml.probs(wires=[0, 1])),
    ],
)
def test_gradients_that_exist_are_let_pass(method, measure):
    options = {"aux_wire": 2} if method == "hadamard" else {}
    try_gradient(circuit(measure), qml.device("default.qubit", wires=3), method, options, None, "jax")


@pytest.mark.parametrize(
    ("bound", "method", "words"),
    [
        (circuit(lambda w: qml.vn_entropy(wires=[0])), "parameter-shift", "parameter-shift cannot differentiate"),
        (circuit(lambda w: qml.var(qml.Z(0))), "hadamard", "variances with the Hadamard test"),
        (circuit(expectation, feed_forward), "hadamard", "hadamard cannot differentiate"),
    ],
)
def test_gradients_that_do_not_are_refused(bound, method, words):
    options = {"aux_wire": 2} if method == "hadamard" else {}
    with pytest.raises(UnsupportedError, match=words) as caught:
        try_gradient(bound, qml.device("default.qubit", wires=3), method, options, None, "jax")
    assert "\n" not in str(caught.value)


def test_a_circuit_without_weights_is_tried_in_its_inputs():
    def fixed(inputs):
        qml.RY(inputs[..., 0], wires=0)
        return qml.vn_entropy(wires=[0])

    with pytest.raises(UnsupportedError):
        try_gradient(
            bind(fixed, 1, 1, {}, {}, 1), qml.device("default.qubit", wires=1), "parameter-shift", {}, None, "jax"
        )


def test_nobodys_random_numbers_are_drawn():
    """PennyLane seeds a device from NumPy's global generator, which is the user's."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    try_one_sample(circuit(expectation), "default.qubit", None)
    try_one_sample(circuit(expectation), "default.qubit", 100)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
