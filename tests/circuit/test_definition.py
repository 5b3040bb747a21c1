"""Quantum functions: found by path, bound with clear errors, called by keyword."""

import sys

import numpy as np
import pennylane as qml
import pytest

from qparity.circuit.definition import (
    AttributeMissingError,
    CircuitError,
    ModuleError,
    NotCallableError,
    SignatureError,
    bind,
    output_size,
    quantum_circuit,
    resolve,
    smallest,
)

MODULE = """
import pennylane as qml
from {neighbour} import SCALE

value = 3

def circuit(theta, inputs, wires, twist=0.5):
    for wire in range(wires):
        qml.RX(SCALE * inputs[..., 0], wires=wire)
        qml.RY(twist * theta[wire], wires=wire)
    return qml.expval(qml.Z(0))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder outside the package with a user's module and a neighbour it imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "qparity_neighbour.py").write_text("SCALE = 2.0\n")
    (tmp_path / "qparity_user.py").write_text(MODULE.format(neighbour="qparity_neighbour"))
    (tmp_path / "qparity_broken.py").write_text(MODULE.format(neighbour="qparity_no_such_module"))
    yield str(tmp_path)
    for name in ("qparity_user", "qparity_neighbour", "qparity_broken"):
        sys.modules.pop(name, None)


def test_a_plain_function_from_another_folder_is_found_bound_and_run(folder):
    function = resolve("qparity_user:circuit", [folder])
    bound = bind(function, 2, 1, {"twist": 0.25}, weight_shapes={"theta": [2]})
    assert (bound.weight_shapes, bound.features, bound.wires) == ({"theta": (2,)}, None, 2)
    tape = bound.tape({"theta": np.array([0.4, 0.8])}, np.array([0.3]))
    assert [(op.name, op.wires[0], float(op.data[0])) for op in tape.operations] == [
        ("RX", 0, 0.6),
        ("RY", 0, 0.1),
        ("RX", 1, 0.6),
        ("RY", 1, 0.2),
    ]


def test_the_search_path_goes_first_while_importing_and_last_afterwards(folder):
    before = list(sys.path)
    resolve("qparity_user:circuit", [folder])
    assert sys.path == [*before, folder]
    resolve("qparity_user:circuit", [folder])
    assert sys.path == [*before, folder]


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("qparity_user", CircuitError, "expected package.module:function"),
        (":circuit", CircuitError, "expected package.module:function"),
        ("qparity_absent:circuit", ModuleError, "cannot import qparity_absent .*No module named"),
        ("qparity_broken:circuit", ModuleError, "cannot import qparity_broken .*qparity_no_such_module"),
        ("qparity_user:cirquit", AttributeMissingError, "module qparity_user has no 'cirquit'"),
        ("qparity_user:value", NotCallableError, "expected a function, got int"),
    ],
)
def test_what_cannot_be_resolved_is_said_in_one_line(folder, path, error, message):
    with pytest.raises(error, match=message) as caught:
        resolve(path, [folder])
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def takes_all(weights, bias, inputs, wires, layers, entangle=True):
    qml.RX(inputs[..., 0], wires=0)
    return [qml.expval(qml.Z(0)), qml.probs(wires=range(wires))]


def takes_little(weights, inputs):
    qml.RX(weights[0] * inputs[..., 0], wires=0)
    return qml.expval(qml.Z(0))


def takes_anything(inputs, **others):
    takes_anything.others = others
    return qml.expval(qml.Z(0))


def returns_nothing(weights, inputs):
    qml.RX(inputs[..., 0], wires=0)


def needs_angle(weights, inputs, angle):
    return qml.expval(qml.Z(0))


SHAPES = {"weights": (2,), "bias": (1,)}


@pytest.mark.parametrize(
    ("function", "options", "shapes", "message"),
    [
        (takes_all, {"entangel": 1}, SHAPES, "takes_all: unknown option 'entangel'; expected one of: entangle$"),
        (takes_little, {"depth": 1}, {"weights": (1,)}, "unknown option 'depth'; expected one of: none"),
        (takes_all, {"wires": 3}, SHAPES, "'wires' cannot be a circuit option"),
        (takes_all, {"bias": 3}, SHAPES, "'bias' cannot be a circuit option"),
        (takes_all, {}, {"weights": (2,)}, "argument 'bias' has neither weight shape nor option"),
        (needs_angle, {}, {"weights": (2,)}, "argument 'angle' has neither weight shape nor option"),
        (takes_little, {}, SHAPES, "the function takes no 'bias', but weights, inputs"),
        (lambda weights: None, {}, {"weights": (1,)}, "the function takes no 'inputs', but weights"),
    ],
)
def test_a_signature_that_does_not_fit_is_said_in_one_line(function, options, shapes, message):
    with pytest.raises(SignatureError, match=message):
        bind(function, 2, 1, options, shapes)


@pytest.mark.parametrize("shape", [[0], [2, -1], ["2"], [1.5]])
def test_weight_shapes_are_positive_integers(shape):
    with pytest.raises(CircuitError, match=r"takes_little: weight shape weights = .*positive integers"):
        bind(takes_little, 1, 1, {}, {"weights": shape})


def test_missing_weight_shapes_are_named():
    with pytest.raises(CircuitError, match="takes_little: weight_shapes are missing"):
        bind(takes_little, 1, 1, {})


def test_wires_and_layers_go_only_to_those_who_name_them():
    bind(takes_little, 2, 3, {}, {"weights": (1,)}).tape()
    bind(takes_all, 2, 3, {}, SHAPES).tape()
    bind(takes_anything, 2, 3, {"depth": 7}, {"a": (1,)}).tape()
    assert set(takes_anything.others) == {"a", "depth"}


def test_what_the_caller_says_goes_before_what_the_function_says():
    @quantum_circuit(weight_shapes=lambda wires, layers: {"weights": (layers, wires)}, features=lambda wires: wires)
    def circuit(weights, inputs):
        return qml.expval(qml.Z(0))

    own = bind(circuit, 3, 2, {})
    assert (own.weight_shapes, own.features) == ({"weights": (2, 3)}, 3)
    told = bind(circuit, 3, 2, {}, {"weights": 4}, 1)
    assert (told.weight_shapes, told.features) == ({"weights": (4,)}, 1)
    assert circuit.__name__ == "circuit"


def test_attributes_set_by_hand_do_as_well():
    def circuit(weights, inputs):
        return qml.expval(qml.Z(0))

    circuit.weight_shapes = {"weights": (2,)}
    circuit.features = 4
    bound = bind(circuit, 1, 1, {})
    assert (bound.weight_shapes, bound.features) == ({"weights": (2,)}, 4)


def test_output_size_counts_the_values_of_a_sample():
    assert output_size(bind(takes_all, 3, 1, {}, SHAPES)) == 1 + 8
    assert output_size(bind(takes_little, 1, 1, {}, {"weights": (1,)})) == 1
    with pytest.raises(CircuitError, match="expected measurements returned, got NoneType"):
        output_size(bind(returns_nothing, 1, 1, {}, {"weights": (1,)}))


def test_output_size_refuses_what_has_no_fixed_size():
    def counted(weights, inputs):
        return qml.counts(wires=0)

    with pytest.raises(CircuitError, match="the layer cannot return it"):
        output_size(bind(counted, 1, 1, {}, {"weights": (1,)}), shots=10)


def test_the_smallest_number_of_features_is_found():
    def circuit(weights, inputs):
        qml.RX(inputs[..., 1], wires=0)
        return qml.expval(qml.Z(0))

    bound = bind(circuit, 1, 1, {}, {"weights": (1,)})
    assert bound.features is None
    assert smallest(bound).features == 2
    assert output_size(smallest(bound)) == 1


def test_endless_features_are_refused():
    def circuit(weights, inputs):
        qml.RX(inputs[..., 1000], wires=0)
        return qml.expval(qml.Z(0))

    with pytest.raises(CircuitError, match="say how many"):
        smallest(bind(circuit, 1, 1, {}, {"weights": (1,)}))
