"""Whether a batch means what its samples mean: functions written for one sample are told from those for a batch."""

import functools

import numpy as np
import pennylane as qml
import pytest
from scipy.sparse import csr_matrix

from qparity.circuit.batching import refusal_of_batches, weights_meet_inputs
from qparity.circuit.definition import bind, resolve, smallest
from qparity.circuit.program import gate_program
from qparity.circuit.trial import simulate
from qparity.scenario.registry import CIRCUITS

SHAPES = {"weights": (3,)}


def refusal(function, features=2, wires=2, shapes=SHAPES, device="default.qubit"):
    bound = bind(function, wires, 1, {}, shapes, features)
    return refusal_of_batches(bound, functools.partial(simulate, bound, device, None))


def measured(make):
    def function(weights, inputs):
        qml.RY(weights[0], wires=0)
        made = make(weights, inputs)
        return made if isinstance(made, qml.measurements.MeasurementProcess) else qml.expval(qml.Z(0))

    return function


def each_feature(weights, inputs):
    for j in range(inputs.shape[-1]):
        qml.RX(inputs[..., j], wires=j)


def enumerated(weights, inputs):
    for wire, angle in enumerate(inputs):
        qml.RX(angle, wires=wire)


def branching(weights, inputs):
    if inputs[0] > 0.5:
        qml.PauliX(wires=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda w, x: qml.RX(x[..., 0], wires=0),
        lambda w, x: qml.RX(w[0], wires=0),
        each_feature,
        lambda w, x: qml.RX(qml.math.sum(x, axis=-1), wires=0),
        lambda w, x: qml.AngleEmbedding(x, wires=range(2)),
        lambda w, x: qml.IQPEmbedding(x, wires=range(2)),
        lambda w, x: qml.ctrl(qml.adjoint(qml.RX), 1)(x[..., 0], wires=0),
    ],
)
def test_a_function_for_a_batch_runs_as_a_batch(make):
    assert refusal(measured(make)) is None


def test_amplitudes_run_as_a_batch():
    assert refusal(measured(lambda w, x: qml.AmplitudeEmbedding(x, wires=range(2), normalize=True)), features=4) is None
    assert refusal(measured(lambda w, x: qml.AmplitudeEmbedding(x, wires=range(2))), features=4) is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda w, x: qml.RX(x[0], wires=0), "operation 1, RX, of a batch is not that of its samples"),
        (lambda w, x: [qml.RX(x[j], wires=j) for j in range(len(x))], "operation 1, RX"),
        (enumerated, "operation 1, RX"),
        (branching, "as a batch it fails (ValueError"),
        (lambda w, x: qml.RX(qml.math.sum(x), wires=0), "operation 1, RX"),
        (lambda w, x: qml.RX(qml.math.dot(w[:2], x), wires=0), "as a batch it fails|operation 1, RX"),
        (lambda w, x: qml.AngleEmbedding(x[::-1], wires=range(2)), "operation 1, AngleEmbedding"),
        (lambda w, x: qml.BasisEmbedding(qml.math.cast(x, int), wires=range(2)), "as a batch it fails"),
        (lambda w, x: qml.expval(x[0] * qml.Z(0)), "as a batch it fails|measurement 0"),
    ],
)
def test_a_function_for_one_sample_does_not(make, reason):
    said = refusal(measured(make))
    assert said is not None
    assert any(words in said for words in reason.split("|"))
    assert "\n" not in said


@pytest.mark.parametrize(
    "transform", [qml.transforms.merge_rotations, qml.compile, qml.transforms.cancel_inverses, qml.defer_measurements]
)
def test_transforms_that_respect_batches(transform):
    def merging(weights, inputs):
        qml.RX(inputs[..., 0], wires=0)
        qml.RX(weights[0], wires=0)
        qml.Hadamard(1)
        qml.Hadamard(1)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.Z(1))

    assert refusal(transform(merging)) is None


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_library_circuit_runs_as_a_batch(name):
    assert refusal(resolve(CIRCUITS[name]), features=None, shapes=None) is None


def test_a_batch_of_one_that_a_device_gets_wrong():
    """The last batch of a training may be one sample, of which PSWAP makes four on default.mixed (docs/found.md)."""

    def swapped(weights, inputs):
        qml.RY(weights[0], wires=1)
        qml.PSWAP(inputs[..., 0], wires=[0, 1])
        return qml.expval(qml.Z(0))

    assert refusal(swapped, device="default.mixed") == "its results as a batch of 1 are not those of its samples"
    assert refusal(swapped) is None


def test_a_transform_that_takes_a_batch_for_a_sample():
    def rotations(weights, inputs):
        qml.RX(inputs[..., 0], wires=0)
        qml.RY(weights[0], wires=0)
        return qml.expval(qml.Z(0))

    assert refusal(rotations) is None
    assert refusal(qml.transforms.single_qubit_fusion(rotations)) is not None


def test_bits_are_tried_where_real_numbers_are_refused():
    bound = bind(measured(lambda w, x: qml.BasisState(x, wires=range(2))), 2, 1, {}, SHAPES, 2)
    assert bound.features_are == "bits"
    assert set(np.unique(bound.samples(4))) == {0, 1}
    assert refusal_of_batches(bound, None)


def test_gates_of_weights_and_inputs_both():
    def meets(make):
        return weights_meet_inputs(bind(measured(make), 2, 1, {}, SHAPES, 2))

    assert meets(lambda w, x: qml.RX(w[0] * x[..., 0], wires=0))
    assert meets(lambda w, x: qml.Rot(0.0, x[..., 0], w[1], wires=0))
    assert not meets(lambda w, x: qml.RX(x[..., 0], wires=0))


def of_batches(inputs, weights):
    qml.RX(inputs[:, 0], wires=0)
    qml.RY(weights[0] * inputs[:, 1], wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


def of_samples_too(inputs, weights):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(weights[0] * inputs[..., 1], wires=1)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(0)), qml.expval(qml.Z(1))


def test_a_function_that_takes_batches_alone_is_asked_for_a_sample_too():
    program, same = (
        gate_program(bind(function, 2, 1, {}, {"weights": (1,)}, features=2))
        for function in (of_batches, of_samples_too)
    )
    assert program == same
    assert program["not_covered"] is None
    told = bind(of_batches, 2, 1, {}, {"weights": (1,)}, features=2)
    assert refusal_of_batches(told, None) is None
    unknown = smallest(bind(of_batches, 2, 1, {}, {"weights": (1,)}))
    assert unknown.features == 2


def test_neither_samples_nor_batches_is_said_as_before():
    broken = bind(lambda inputs, weights: inputs.no_such_thing, 1, 1, {}, {"weights": (1,)}, features=1)
    with pytest.raises(AttributeError, match="no_such_thing"):
        broken.tape()


def test_a_sparse_observable_is_compared():
    def sparse(inputs, weights):
        qml.RX(inputs[..., 0], wires=0)
        return qml.expval(qml.SparseHamiltonian(csr_matrix(np.diag([1.0, -1.0])), wires=[0]))

    bound = bind(sparse, 1, 1, {}, {"weights": (1,)}, features=1)
    assert refusal_of_batches(bound, None) is None


@pytest.mark.parametrize("threshold", [0.0, 3.0, 40.0])
def test_a_branch_on_all_features_of_a_batch_is_not_that_of_its_samples(threshold):
    """Numbers that lie on one side alone would not show it."""

    def chosen(weights, inputs):
        if qml.math.sum(inputs) > threshold:
            qml.PauliX(0)

    assert refusal(measured(chosen)) is not None
