"""A QNode as a circuit: its function with its transforms, and what it says of itself."""

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import bind, smallest
from qparity.circuit.errors import CircuitError
from qparity.circuit.program import gate_program
from qparity.circuit.qnode import name_of_inputs, path_of, settings_of

SHAPES = {"weights": (2,)}


def base(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.RX(weights[0], wires=0)
    qml.Hadamard(1)
    qml.Hadamard(1)
    qml.RY(weights[1], wires=1)
    return qml.expval(qml.Z(0)), qml.probs()


@qml.qnode(qml.device("default.qubit", wires=2))
def named(weights, inputs):
    return base(weights, inputs)


def qnode_of(function=base, device="default.qubit", **options):
    return qml.QNode(function, qml.device(device, wires=2), **options)


def gates(circuit):
    return [gate.name for gate in smallest(bind(circuit, 2, 1, {}, SHAPES)).tape().operations]


def test_a_qnode_is_its_function_with_its_transforms():
    assert gates(qnode_of()) == gates(base) == ["RX", "RX", "Hadamard", "Hadamard", "RY"]
    assert gates(qml.transforms.cancel_inverses(qnode_of())) == ["RX", "RX", "RY"]
    both = qml.transforms.merge_rotations(qml.transforms.cancel_inverses(qnode_of()))
    assert gates(both) == gates(qml.compile(qnode_of())) == ["RX", "RY"]


def test_measurements_of_all_wires_are_those_of_the_declared_ones():
    bound = bind(qml.compile(qnode_of()), 3, 1, {}, SHAPES, 1)
    assert [len(m.wires) for m in bound.tape().measurements] == [1, 3]
    labelled = bind(base, ["a", "b", "c", "d"], 1, {}, SHAPES, 1)
    assert list(labelled.tape().measurements[1].wires) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "transform", [qml.transforms.split_non_commuting, qml.gradients.param_shift, qml.transforms.split_to_single_terms]
)
def test_a_transform_that_makes_several_circuits_is_refused(transform):
    def sums(weights, inputs):
        qml.RX(weights[0], wires=0)
        return qml.expval(qml.X(0) + qml.Z(0))

    with pytest.raises(CircuitError, match=r"its transform .* circuits of one"):
        bind(transform(qnode_of(sums)), 2, 1, {}, SHAPES, 1).tape()


def test_what_a_qnode_says_of_itself():
    device = qml.device("lightning.qubit", wires=["a", "b"])
    qnode = qml.QNode(base, device, diff_method="adjoint", device_vjp=True, mcm_method="deferred")
    said = settings_of(qml.set_shots(qnode, 30))
    assert said["device"] is device
    assert said["wires"] == ["a", "b"]
    assert said["shots"] == 30
    assert said["diff_method"] == "adjoint"
    assert said["qnode_options"] == {"device_vjp": True, "mcm_method": "deferred"}
    assert settings_of(qnode_of(diff_method=qml.gradients.param_shift))["diff_method"] == "parameter-shift"
    assert settings_of(qnode_of(diff_method=None))["diff_method"] == "best"
    assert settings_of(qnode_of())["wires"] == 2


def test_what_a_qnode_must_say():
    with pytest.raises(CircuitError, match="does not say its wires"):
        settings_of(qml.QNode(base, qml.device("default.qubit")))
    with pytest.raises(CircuitError, match="expected one number of shots"):
        settings_of(qml.set_shots(qnode_of(), [10, 20]))


def test_the_features_are_the_argument_that_is_no_weight():
    def other(x, theta):
        return qml.expval(qml.Z(0))

    def unclear(x, y, theta):
        return qml.expval(qml.Z(0))

    assert name_of_inputs(qnode_of(), SHAPES) == "inputs"
    assert name_of_inputs(qnode_of(other), {"theta": (1,)}) == "x"
    with pytest.raises(CircuitError, match=r"\(x, y\)"):
        name_of_inputs(qnode_of(unclear), {"theta": (1,)})
    bound = bind(other, 1, 1, {}, {"theta": (1,)}, 1, "x")
    assert bound.tape(inputs=np.array([1.0])).measurements


def test_the_path_of_a_qnode():
    assert path_of(named) == f"{__name__}:named"
    assert path_of(qml.compile(named)) is None
    assert path_of(qnode_of(lambda weights, inputs: None)) is None


def rotations(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.Rot(weights[0], 0.1, 0.2, wires=0)
    qml.Rot(weights[1], 0.3, weights[0], wires=0)
    return qml.expval(qml.Z(0))


@pytest.mark.parametrize(
    ("transform", "function", "gates", "reason"),
    [
        (qml.transforms.merge_rotations, base, ["RX", "Hadamard", "Hadamard", "RY"], None),
        (qml.transforms.cancel_inverses, base, ["RX", "RX", "RY"], None),
        (qml.compile, base, ["RX", "RY"], None),
        (qml.transforms.merge_rotations, rotations, [], "a parameter of gate 1, Rot, is no expression"),
        (qml.transforms.single_qubit_fusion, rotations, [], "a parameter of gate 0, Rot, is no expression"),
    ],
)
def test_a_transform_that_makes_one_list_of_gates_of_all_values_is_covered(transform, function, gates, reason):
    """As docs/circuits.md says: where it does not, the reason is what is named there."""
    program = gate_program(bind(transform(qnode_of(function)), 2, 1, {}, SHAPES, 1))
    assert [gate["name"] for gate in program["gates"]] == gates
    assert (program["not_covered"] or "None").startswith(str(reason))
