"""The layer inside others, in plain `fit`: recurrent cells, TimeDistributed, several calls a step, further axes."""

import keras
import numpy as np
import pennylane as qml
import pytest
from keras import ops

from qparity.circuit.layer import QKerasLayer

RATE, STEP = 0.2, 1e-5


def circuit(weights, inputs):
    for wire in range(2):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    qml.CNOT(wires=[0, 1])
    return [qml.expval(qml.Z(wire)) for wire in range(2)]


def values(weights, rows):
    qnode = qml.QNode(circuit, qml.device("default.qubit", wires=2))
    return np.stack(qnode(weights, rows), axis=-1)


class Cell(keras.layers.Layer):
    """h' = tanh(x U + Q(h))."""

    def __init__(self, quantum):
        super().__init__(dtype="float32")  # Keras on JAX computes tanh of float64 in float32
        self.quantum, self.state_size, self.output_size = quantum, 2, 2

    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(1, 2), initializer="ones")
        self.quantum.build((None, 2))
        self.built = True

    def call(self, x, states):
        state = ops.tanh(ops.matmul(x, self.kernel) + self.quantum(states[0]))
        return state, [state]


def recurrent(quantum, x):
    return keras.layers.RNN(Cell(quantum), dtype="float32")(ops.expand_dims(x, -1))


def in_time(quantum, x):
    return keras.layers.TimeDistributed(quantum, dtype="float32")(ops.reshape(x, (-1, 2, 2)))


def further_axis(quantum, x):
    return quantum(ops.reshape(x, (-1, 2, 2)))


def shared(quantum, x):
    return ops.stack([quantum(x[:, :2]), quantum(x[:, 2:])], axis=1)


def expected_recurrent(weights, kernel, x):
    state = np.zeros((len(x), 2))
    for t in range(x.shape[1]):
        state = np.tanh(x[:, t : t + 1] @ kernel + values(weights, state))
    return state


def expected_patches(weights, x):
    return np.stack([values(weights, x[:, :2]), values(weights, x[:, 2:])], axis=1)


@pytest.mark.parametrize(
    ("build", "device", "method"),
    [
        *((build, "lightning.qubit", "adjoint") for build in (recurrent, in_time, further_axis, shared)),
        *((build, "default.qubit", "backprop") for build in (recurrent, further_axis)),
        (recurrent, "default.qubit", "parameter-shift"),
    ],
)
def test_fit(build, device, method, rng):
    quantum = QKerasLayer(
        circuit,
        wires=2,
        weight_shapes={"weights": (2,)},
        features=2,
        device=device,
        diff_method=method,
        max_batch_size=8,
        dtype="float32",
    )
    inputs = keras.Input((4,), dtype="float32")
    model = keras.Model(inputs, build(quantum, inputs))
    model.compile(keras.optimizers.SGD(RATE), loss="mse")
    weights = {weight.name: weight for weight in model.trainable_weights}
    order = [weights["weights"], *([weights["kernel"]] if build is recurrent else [])]
    arrays = [ops.convert_to_numpy(weight).astype("float64") for weight in order]
    x = rng.uniform(-1, 1, (6 if build is further_axis else 4, 4))  # there the second batch is a partial one
    predict = expected_recurrent if build is recurrent else expected_patches
    y = np.zeros_like(predict(*arrays, x))
    np.testing.assert_allclose(model.predict(x, batch_size=4, verbose=0), predict(*arrays, x), atol=1e-5)

    for rows in filter(len, (x[:4], x[4:])):
        moved = [array.copy() for array in arrays]
        for array, result in zip(arrays, moved, strict=True):
            for index in np.ndindex(array.shape):
                losses = []
                for sign in (1, -1):
                    array[index] += sign * STEP
                    losses.append(np.mean(predict(*arrays, rows) ** 2))
                    array[index] -= sign * STEP
                result[index] -= RATE * (losses[0] - losses[1]) / (2 * STEP)
        arrays = moved
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    for weight, expected in zip(order, arrays, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(weight), expected, atol=1e-5)
