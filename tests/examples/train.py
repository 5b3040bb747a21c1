"""The training of the reader's own that README.md and docs/scripts.md speak of."""

import argparse

import keras
import numpy as np
import pennylane as qml

from qparity import QKerasLayer

parser = argparse.ArgumentParser()
parser.add_argument("--layers", type=int, default=1)
layers = parser.parse_args().layers


def circuit(weights, inputs):
    for layer in range(layers):
        qml.RX(inputs[..., 0], wires=0)
        qml.Rot(weights[layer, 0], weights[layer, 1], weights[layer, 2], wires=0)
    return qml.expval(qml.Z(0))


keras.utils.set_random_seed(1)
x = np.linspace(-3.0, 3.0, 24).reshape(-1, 1)
model = keras.Sequential(
    [keras.Input((1,)), QKerasLayer(circuit, weight_shapes={"weights": (layers, 3)}), keras.layers.Dense(1)]
)
model.compile("adam", "mse")
model.fit(x, np.cos(x) / 2, epochs=2, batch_size=8)
