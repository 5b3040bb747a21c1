"""Every library circuit gives NumPy's predictions in a TensorFlow graph, on PyTorch and under JAX's jit."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind, resolve
from qparity.scenario.backends import BACKENDS
from qparity.scenario.registry import CIRCUITS

BATCH = 3


def run_tensorflow(qnode, weights, inputs):
    import tensorflow as tf

    arrays = {name: tf.Variable(array) for name, array in weights.items()}
    # as Keras traces a training step: Python is run as it stands
    graph = tf.function(lambda x: qnode({name: v.value() for name, v in arrays.items()}, x), autograph=False)
    return [result.numpy() for result in graph(tf.constant(inputs))]


def run_torch(qnode, weights, inputs):
    import torch

    arrays = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    return [result.detach().numpy() for result in qnode(arrays, torch.tensor(inputs))]


def run_jax(qnode, weights, inputs):
    import jax

    arrays = {name: jax.numpy.array(array) for name, array in weights.items()}
    return [np.asarray(result) for result in jax.jit(qnode)(arrays, jax.numpy.array(inputs))]


RUN = {"tensorflow": run_tensorflow, "torch": run_torch, "jax": run_jax}


@pytest.mark.parametrize("name", CIRCUITS)
def test_predictions_equal_numpy(name, backend):
    bound = bind(resolve(CIRCUITS[name]), 2, 1, {})
    rng = np.random.default_rng(3)
    weights = {name: rng.uniform(-3, 3, shape) for name, shape in bound.weight_shapes.items()}
    inputs = rng.uniform(-2, 2, (BATCH, bound.features or 1))
    device = qml.device("default.qubit", wires=2)
    expected = qml.QNode(bound.function, device, interface="numpy")(weights, inputs)
    interface = BACKENDS[backend.name].interface
    found = RUN[backend.name](qml.QNode(bound.function, device, interface=interface), weights, inputs)
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-14)
