"""The tapes split from a batch's tape are those of its samples, and share what depends on weights alone."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind, resolve
from qparity.circuit.splitting import can_be_split, split
from qparity.scenario.registry import CIRCUITS

SHAPES = {"weights": (3,), "entangling": (1, 2, 3)}


def bound_to(make, features=2):
    def function(weights, entangling, inputs):
        qml.StronglyEntanglingLayers(entangling, wires=range(2))
        qml.Rot(*weights, wires=1)
        made = make(weights, inputs)
        return made if isinstance(made, qml.measurements.MeasurementProcess) else qml.expval(qml.Z(0))

    return bind(function, 2, 1, {}, SHAPES, features)


def assert_split_is_right(bound, rows=5):
    assert can_be_split(bound)
    weights, _ = bound.example()
    inputs = bound.samples(rows)
    tapes = split(bound.tape(weights, inputs), rows)
    assert len(tapes) == rows
    for tape, row in zip(tapes, inputs, strict=True):
        qml.assert_equal(tape, bound.tape(weights, row))
        assert tape.batch_size is None
    return tapes


@pytest.mark.parametrize(
    ("make", "features"),
    [
        (lambda w, x: qml.RX(x[..., 0], wires=0), 2),
        (lambda w, x: qml.RX(w[0] * qml.math.arctan(x[..., 1]), wires=0), 2),
        (lambda w, x: qml.Rot(x[..., 0], w[1], x[..., 1], wires=0), 2),
        (lambda w, x: qml.RX(qml.math.sum(x, axis=-1), wires=0), 1),
        (lambda w, x: qml.AngleEmbedding(x, wires=range(2), rotation="Y"), 2),
        (lambda w, x: qml.IQPEmbedding(x, wires=range(2), n_repeats=2), 2),
        (lambda w, x: qml.AmplitudeEmbedding(x, wires=range(2), normalize=True), 4),
        (lambda w, x: qml.ctrl(qml.adjoint(qml.RX), 1)(x[..., 0], wires=0), 2),
        (lambda w, x: qml.probs(wires=[0, 1]), 2),
    ],
)
def test_each_samples_tape(make, features):
    tapes = assert_split_is_right(bound_to(make, features))
    assert all(tape.operations[0] is tapes[0].operations[0] for tape in tapes)


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_library_circuit(name):
    assert_split_is_right(bind(resolve(CIRCUITS[name]), 2, 1, {}, None, None), rows=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda w, x: qml.RX(x[0], wires=0),
        lambda w, x: qml.RX(qml.math.sum(x), wires=0),
        lambda w, x: qml.expval(x[..., 0] * qml.Z(0)),
    ],
)
def test_a_function_for_one_sample_is_called_for_each(make):
    assert not can_be_split(bound_to(make))


def test_gates_that_name_each_other_are_not_shared():
    def midway(w, x):
        qml.RX(x[..., 0], wires=0)
        qml.cond(qml.measure(0), qml.RX)(w[0], wires=1)

    assert not can_be_split(bound_to(midway))


def test_a_batch_of_other_numbers_than_it_was_tried_with():
    bound = bound_to(lambda w, x: qml.RX(w[0] * x[..., 0], wires=0))
    weights, _ = bound.example()
    inputs = np.random.default_rng(0).normal(size=(4, 2)) * 100
    for tape, row in zip(split(bound.tape(weights, inputs), 4), inputs, strict=True):
        assert tape.operations[2].data == (weights["weights"][0] * row[0],)
