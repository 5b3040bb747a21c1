"""QNodes of a model's own layers, in the reference: simulated by the oracle, as PennyLane returns them."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SOURCES

SCRIPT = """
from qparity.worker.reference import keras_on_numpy
keras_on_numpy.load()
import numpy as np, pennylane as qml
from qparity.worker.reference import qnodes
from qparity.worker.reference.cannot import CannotStand
from qparity.worker.reference.shells import TRANSPARENT, Shells, standing_in

rng = np.random.default_rng(0)

def templates(weights, x):
    qml.AngleEmbedding(x, wires=range(3))
    qml.StronglyEntanglingLayers(weights, wires=range(3))
    return [qml.expval(qml.Z(wire)) for wire in range(3)]

def several(weights, x):
    for k in range(3):
        qml.Rot(*weights[k], wires="a")
        qml.ctrl(qml.RX, "b", control_values=[0])(x[:, 0], wires="a")
    return {
        "sum": qml.expval(0.3 * qml.Z("a") @ qml.X("b") + qml.Y("a")), "p": qml.probs(wires=["b", "a"]),
        "var": qml.var(2.0 * qml.X("b")),
    }

def amplitudes(x):
    qml.AmplitudeEmbedding(x, wires=[0, 1], normalize=True, pad_with=0.1)
    qml.CRX(0.3, [1, 0])
    return qml.probs(wires=1)

def noisy(x):
    qml.RX(x, wires=0)
    qml.DepolarizingChannel(0.1, wires=0)
    return qml.expval(qml.Hermitian(np.array([[1, 0.3], [0.3, -1]]), wires=0))

def no_wires(x):
    qml.RX(x, wires=0)
    return qml.probs()

def fed_forward(x):
    qml.RX(x, wires=0)
    qml.cond(qml.measure(0), qml.X)(1)
    return qml.expval(qml.Z(1))

def flat(result):
    values = result.values() if isinstance(result, dict) else result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(value) for value in values]

cases = [
    (templates, 3, (rng.normal(size=(2, 3, 3)), rng.normal(size=(4, 3))), "the oracle"),
    (templates, 3, (rng.normal(size=(2, 3, 3)), rng.normal(size=3)), "the oracle"),
    (several, ["a", "b"], (rng.normal(size=(3, 3)), rng.normal(size=(4, 1))), "the oracle"),
    (amplitudes, 2, (rng.normal(size=(5, 3)),), "the oracle"),
    (noisy, 1, (rng.normal(size=4),), "the oracle"),
    (noisy, 1, (rng.normal(size=1),), "the oracle"),
    (no_wires, 2, (0.3,), "default.qubit (oracle: a measurement that names no wires)"),
    (fed_forward, 2, (0.3,), "default.qubit (oracle: mid-circuit measurements)"),
]
for function, wires, arguments, by in cases:
    device = qml.device("default.mixed" if function is noisy else "default.qubit", wires=wires)
    qnode = qml.QNode(function, device)
    expected = qnode(*arguments)
    qnodes._simulated.clear()
    with qnodes.simulated():
        found = qnode(*arguments)
    assert type(found) is type(expected), function
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, (function, a, b)
        np.testing.assert_allclose(a, b, atol=1e-14)
    assert qnodes.who_simulated() == [f"{function.__name__} by {by}"], qnodes.who_simulated()

sampling = qml.set_shots(qml.QNode(no_wires, qml.device("default.qubit", wires=1)), 10)
try:
    with qnodes.simulated():
        sampling(0.1)
    raise SystemExit("it sampled")
except CannotStand as error:
    assert "the QNode no_wires samples" in str(error)

with standing_in(Shells(["tensorflow"], TRANSPARENT)):
    import tensorflow as tf
    import tensorflow.experimental.numpy as tnp

    tf.random.set_seed(1)
    tf.config.run_functions_eagerly(True)
    assert tf.function(jit_compile=True)(flat) is flat and not isinstance(1.0, tf.Tensor)
    for use in (
        lambda: np.asarray(tf.constant(1.0)), lambda: 1.0 + tnp.sin(1.0), lambda: bool(tf.executing_eagerly()),
        lambda: np.ones(2) * tf.vectorized_map(flat, 1), lambda: tf.float32 == np.float32, lambda: [*tf.range(3)],
        lambda: np.ones(2) @ tf.eye(2), lambda: tf.vectorized_map(flat)[0],
    ):
        try:
            use()
        except TypeError as error:
            assert "tensorflow" in str(error), error
        else:
            raise SystemExit("a shell has a value")
print("right")
"""


@pytest.mark.backend
def test_the_oracle_gives_what_pennylane_gives_and_a_shell_gives_nothing():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": SOURCES},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert run.stdout.endswith("right\n"), run.stderr[-3000:]
