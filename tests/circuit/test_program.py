"""Gate programs: they reproduce the circuit, their coefficients are exact, and what they cannot say they name."""

import dataclasses
import json
import math
import re

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane import numpy as qnp

from qparity.circuit.definition import bind, resolve
from qparity.circuit.program import gate_program
from qparity.oracle.adjoint import predict as oracle_predict
from qparity.scenario.registry import CIRCUITS
from tests.oracle.programs import read as simulated

SHAPES = {"w": (3,)}


def library_circuit(name, wires, layers):
    bound = bind(resolve(CIRCUITS[name]), wires, layers, {})
    return dataclasses.replace(bound, features=bound.features or 2 if wires > 1 else 1)


def program_of(function, wires=3, features=2, shapes=SHAPES):
    return gate_program(bind(function, wires, 1, {}, shapes, features))


def angle(parameter, weights, inputs):
    """A parameter of a gate program, straight from its definition in docs/architecture.md."""
    values = {"w": weights, "i": inputs}
    total = parameter["constant"]
    total += sum(slope * weights[i] for i, slope in parameter["weights"])
    total += sum(slope * inputs[j] for j, slope in parameter["inputs"])
    return total + sum(c * values[a][i] * values[b][k] for a, i, b, k, c in parameter["products"])


def interpret(program, weights, inputs):
    """Predictions of a gate program, its gates rebuilt from PennyLane's classes by name."""
    gates, measurements = [], []
    for gate in program["gates"]:
        name = gate["name"].removeprefix("Adjoint(").removesuffix(")")
        angles = [angle(parameter, weights, inputs) for parameter in gate["params"]]
        controls = gate.get("controls", 0)
        operation = getattr(qml, name)(*angles, wires=gate["wires"][controls:])
        operation = qml.adjoint(operation) if name != gate["name"] else operation
        gates.append(qml.ctrl(operation, gate["wires"][:controls]) if controls else operation)
    for measurement in program["measurements"]:
        if measurement["kind"] == "probs":
            measurements.append(qml.probs(wires=measurement["wires"]))
        else:
            words = [qml.pauli.PauliWord({w: p for p, w in word}) for _, word in measurement["terms"]]
            terms = {word: c for word, (c, _) in zip(words, measurement["terms"], strict=True)}
            measurements.append(qml.expval(qml.pauli.PauliSentence(terms).operation(range(program["wires"]))))
    script = qml.tape.QuantumScript(gates, measurements)
    (result,) = qml.execute([script], qml.device("default.qubit", wires=program["wires"]))
    return np.concatenate([np.ravel(r) for r in (result if isinstance(result, tuple) else (result,))])


def qnode_predict(bound, weights, inputs):
    results = qml.QNode(bound.function, qml.device("default.qubit", wires=bound.wires))(weights, inputs)
    return np.concatenate([np.ravel(result) for result in results])


def random_point(bound, seed):
    rng = np.random.default_rng(seed)
    weights = {name: rng.uniform(-3, 3, shape) for name, shape in bound.weight_shapes.items()}
    flat = np.concatenate([array.ravel() for array in weights.values()])
    return weights, flat, rng.uniform(-2, 2, bound.features)


def assert_same_circuit(bound, program, seeds=(0, 1)):
    assert program["not_covered"] is None
    assert program == json.loads(json.dumps(program))
    for seed in seeds:
        weights, flat, inputs = random_point(bound, seed)
        expected = qnode_predict(bound, weights, inputs)
        np.testing.assert_allclose(interpret(program, flat, inputs), expected, rtol=0, atol=1e-12)
        outputs = oracle_predict(simulated(program), list(weights.values()), inputs[None])
        np.testing.assert_allclose(outputs[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("wires", "layers"), [(1, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("name", CIRCUITS)
def test_the_program_of_every_library_circuit_reproduces_its_qnode(name, wires, layers):
    bound = library_circuit(name, wires, layers)
    assert_same_circuit(bound, gate_program(bound))


def templates(w, inputs):
    qml.AngleEmbedding(inputs, wires=[0, 1], rotation="Y")
    qml.QFT(wires=[0, 1, 2])
    qml.SingleExcitation(w[0], wires=[0, 1])
    qml.PauliRot(w[1] - inputs[..., 0], "XYZ", wires=[0, 1, 2])
    qml.SimplifiedTwoDesign(w, 0.5 * np.ones((1, 2, 2)), wires=[0, 1, 2])
    qml.CSWAP(wires=[2, 0, 1])
    qml.PSWAP(w[2], wires=[0, 2])
    return [qml.expval(qml.Hamiltonian([0.5, -2.0, 1.5], [qml.Z(0), qml.X(1) @ qml.Y(2), qml.I(0)]))]


def inverses(w, inputs):
    qml.Hadamard(0)
    for operation in (qml.S, qml.T, qml.SX):
        qml.adjoint(operation)(1)
        operation(2)
    qml.adjoint(qml.Rot)(w[0], w[1], w[2], wires=0)
    qml.adjoint(qml.U2)(w[0], w[1], wires=1)
    qml.adjoint(qml.AngleEmbedding)(inputs, wires=[1, 2])
    qml.pow(qml.RX(w[0], wires=1), 3)
    return qml.probs(wires=[2, 0])


def every_gate(w, inputs):
    for wire in range(3):
        qml.RY(0.7 + wire, wires=wire)
    for name in ("RX", "RZ", "PhaseShift", "U1"):
        getattr(qml, name)(w[0], wires=0)
    qml.U2(w[0], w[1], wires=1)
    qml.U3(w[0], w[1], w[2], wires=1)
    for name in ("CRX", "CRY", "CRZ", "ControlledPhaseShift", "IsingXX", "IsingYY", "IsingZZ", "IsingXY"):
        getattr(qml, name)(w[1] + inputs[..., 0], wires=[2, 0])
    qml.CRot(w[0], w[1], w[2], wires=[0, 1])
    qml.MultiRZ(w[2], wires=[0, 1, 2])
    for name in ("PauliX", "PauliY", "PauliZ", "SX"):
        getattr(qml, name)(2)
    for name in ("CY", "CH", "CZ", "SWAP"):
        getattr(qml, name)(wires=[1, 2])
    qml.Toffoli(wires=[2, 1, 0])
    qml.GlobalPhase(w[0])
    qml.Identity(1)
    qml.Barrier(wires=[0, 1])
    return [qml.expval(qml.Z(0) @ qml.Y(2)), qml.expval(qml.X(1)), qml.probs(wires=[1, 2])]


def trotter(w, inputs):
    qml.Hadamard(0)
    qml.TrotterProduct(qml.dot([1.0, 0.5], [qml.X(0), qml.Z(0) @ qml.Z(1)]), time=w[0] * inputs[..., 0], n=2)
    return qml.probs()


def merging(w, inputs):
    qml.RX(w[0], wires=0)
    qml.RX(-inputs[..., 0], wires=0)
    qml.RX(0.1, wires=0)
    qml.RZ(w[1], wires=1)
    qml.RZ(-w[2], wires=1)
    qml.RY(0.3, wires=1)
    qml.Hadamard(2)
    qml.Hadamard(2)
    qml.RY(w[1] * inputs[..., 1] - w[0], wires=2)
    qml.RY(w[1] + 0.25, wires=2)
    qml.CNOT(wires=[0, 1])
    qml.CNOT(wires=[1, 2])
    return [qml.expval(qml.Z(wire)) for wire in range(3)]


def controlled(w, inputs):
    for wire in range(3):
        qml.RY(0.7 + wire, wires=wire)
    qml.ctrl(qml.adjoint(qml.Rot), 1)(w[0], inputs[..., 0], w[1], wires=0)
    qml.ctrl(qml.RY, 2)(w[2], wires=0)
    return qml.probs()


def not_at_zero(w, inputs):
    """Undefined or left out at zero, as an encoding of 1/x or of a logarithm is; here the angle itself is simple."""
    if not np.all(np.asarray(inputs)):
        raise ZeroDivisionError("a feature is 0")
    qml.RX(w[0] + inputs[..., 0], wires=0)
    return qml.probs()


@pytest.mark.parametrize(
    "function",
    [templates, inverses, every_gate, trotter, controlled, not_at_zero]
    + [
        transform(merging)
        for transform in (qml.transforms.merge_rotations, qml.compile, qml.transforms.cancel_inverses)
    ],
)
def test_templates_and_gates_are_expanded_to_what_the_oracle_knows(function):
    bound = bind(function, 3, 1, {}, SHAPES, 2)
    assert_same_circuit(bound, gate_program(bound))


def test_wire_labels_are_counted_in_order_of_appearance():
    def labelled(w, inputs):
        qml.RX(w[0], wires="b")
        qml.CNOT(wires=["b", "a"])
        return qml.probs(wires=["a", "b"])

    program = program_of(labelled, wires=2)
    assert [gate["wires"] for gate in program["gates"]] == [[0], [0, 1]]
    assert program["measurements"] == [{"kind": "probs", "wires": [1, 0]}]


def one_angle(expression):
    def function(w, inputs):
        qml.RX(expression(w, inputs), wires=0)
        return qml.expval(qml.Z(0))

    (gate,) = program_of(function)["gates"]
    return gate["params"][0]


def test_coefficients_are_exact():
    third = np.pi / 3
    assert one_angle(lambda w, x: third * w[1] - 0.1 * x[..., 0] + 0.7) == {
        "constant": 0.7,
        "weights": [[1, third]],
        "inputs": [[0, -0.1]],
        "products": [],
    }
    assert one_angle(lambda w, x: 2 * (np.pi - x[..., 0]) * (np.pi - x[..., 1])) == {
        "constant": 2 * np.pi * np.pi,
        "weights": [],
        "inputs": [[0, -2 * np.pi], [1, -2 * np.pi]],
        "products": [["i", 0, "i", 1, 2.0]],
    }
    assert one_angle(lambda w, x: 0.1 * w[0] ** 2 + 0.3 * w[1] * w[1] + w[0] - 3 * w[2] * x[..., 1]) == {
        "constant": 0.0,
        "weights": [[0, 1.0]],
        "inputs": [],
        "products": [["w", 0, "w", 0, 0.1], ["w", 1, "w", 1, 0.3], ["w", 2, "i", 1, -3.0]],
    }
    nothing = one_angle(lambda w, x: 0.0 * x[..., 0])
    assert nothing == {"constant": 0.0, "weights": [], "inputs": [], "products": []}
    assert one_angle(lambda w, x: w[0] - w[1])["weights"] == [[0, 1.0], [1, -1.0]]


def test_coefficients_are_exact_where_gates_are_left_out_near_zero():
    program = program_of(qml.compile(merging))
    assert program["not_covered"] is None
    found = [parameter for gate in program["gates"] for parameter in gate["params"]]
    assert {"constant": 0.0, "weights": [[1, 1.0], [2, -1.0]], "inputs": [], "products": []} in found
    assert {
        "constant": 0.25,
        "weights": [[0, -1.0], [1, 1.0]],
        "inputs": [],
        "products": [["w", 1, "i", 1, 1.0]],
    } in found
    assert {"constant": 0.3, "weights": [], "inputs": [], "products": []} in found


COEFFICIENTS = st.integers(-64, 64).map(lambda n: n / 16)


@st.composite
def quadratic_forms(draw):
    """Coefficients over five variables (three weights, two features), multiples of 1/16."""
    linear = draw(st.dictionaries(st.integers(0, 4), COEFFICIENTS, max_size=3))
    pairs = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda pair: tuple(sorted(pair)))
    return draw(COEFFICIENTS), linear, draw(st.dictionaries(pairs, COEFFICIENTS, max_size=3))


def omitting_what_does_little(function):
    """As transforms that merge gates do, and so never to be asked at zero."""

    def run(w, inputs):
        with qml.queuing.AnnotatedQueue() as queue:
            function(w, inputs)
        tape = qml.tape.QuantumScript.from_queue(queue)
        for gate in tape.operations:
            if abs(gate.data[0]) > 1e-8:
                qml.apply(gate)
        return [qml.apply(measurement) for measurement in tape.measurements]

    return run


@settings(max_examples=40, deadline=None)
@given(st.lists(quadratic_forms(), min_size=1, max_size=4))
def test_any_quadratic_forms_are_found_again_exactly(forms):
    def function(w, inputs):
        v = [w[0], w[1], w[2], inputs[..., 0], inputs[..., 1]]
        for constant, linear, products in forms:
            first = sum(c * v[i] for i, c in linear.items())
            second = sum(c * v[i] * v[k] for (i, k), c in products.items())
            qml.RX(constant + first + second, wires=0)
        return qml.expval(qml.Z(0))

    program = program_of(function)
    assert program["not_covered"] is None
    nothing = {"constant": 0.0, "weights": [], "inputs": [], "products": []}
    kept = [gate for gate in program["gates"] if gate["params"] != [nothing]]
    omitting = program_of(omitting_what_does_little(function))
    if "depends on the values" not in str(omitting["not_covered"]):  # a form that is zero at a point it is asked at
        assert omitting == {**program, "gates": kept}
    kinds = [("w", 0), ("w", 1), ("w", 2), ("i", 0), ("i", 1)]
    for gate, (constant, linear, products) in zip(program["gates"], forms, strict=True):
        (found,) = gate["params"]
        slopes = {("w", i): c for i, c in found["weights"]} | {("i", j): c for j, c in found["inputs"]}
        assert found["constant"] == constant
        assert slopes == {kinds[i]: c for i, c in linear.items() if c}
        expected = {(*kinds[i], *kinds[k]): c for (i, k), c in products.items() if c}
        assert {tuple(entry[:4]): entry[4] for entry in found["products"]} == expected


def rotated(expression):
    def function(w, inputs):
        qml.Hadamard(0)
        qml.RX(w[0], wires=0)
        qml.RY(expression(w, inputs), wires=0)
        return qml.expval(qml.Z(0))

    return function


def with_gate(make):
    def function(w, inputs):
        make(w, inputs)
        return qml.expval(qml.Z(0))

    return function


def branching(w, inputs):
    if w[0] > 0:
        qml.RX(w[0], wires=0)


def branching_on_data(w, inputs):
    if inputs[..., 0] > 0:
        qml.RX(w[0], wires=0)


def branching_on_both(w, inputs):
    if w[0] > 0 or inputs[..., 0] > 0:
        qml.RX(w[0], wires=0)


def measuring(make):
    return lambda w, inputs: make(w)


def random_angle(w, inputs, generator=np.random.default_rng(0)):  # noqa: B008
    qml.RX(generator.uniform(), wires=0)


def random_gate(w, inputs, generator=np.random.default_rng(0)):  # noqa: B008
    (qml.RX, qml.RY)[generator.integers(2)](w[0], wires=0)


NO_EXPRESSION = "a parameter of gate 2, RY, is no expression of weights and inputs that can be read"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (rotated(lambda w, x: np.clip(w[1], -100, 100)), NO_EXPRESSION),
        (rotated(lambda w, x: np.maximum(w[1], x[..., 0])), NO_EXPRESSION),
        (rotated(lambda w, x: np.where(w[1] > 0, w[1], 0.0)), NO_EXPRESSION),
        (rotated(lambda w, x: math.sin(w[1])), NO_EXPRESSION),
        (rotated(lambda w, x: np.asarray(w, float)[1] ** 3), NO_EXPRESSION),
        (with_gate(random_angle), "the quantum function draws random numbers: two traces at one point differ"),
        (with_gate(random_gate), "the quantum function draws random numbers: two traces at one point differ"),
        (with_gate(branching), "gate list depends on the values of the weights$"),
        (with_gate(branching_on_data), "gate list depends on the values of the inputs$"),
        (with_gate(branching_on_both), "gate list depends on the values of the weights"),
        (with_gate(lambda w, x: [qml.X(0), qml.StatePrep([0.6, 0.8], 0)]), "StatePrep at the start of a circuit alone"),
        (measuring(lambda w: qml.var(w[0] * qml.Z(0))), "the variance of what depends on weights"),
        (with_gate(lambda w, x: qml.RX(w, 0)), r"oracle does not cover RX of a parameter float64\[3\]"),
        (with_gate(lambda w, x: qml.RX(x[..., 5], 0)), "the quantum function fails on NumPy arrays .IndexError"),
        (with_gate(lambda w, x: [qml.X(wire) for wire in "abcd"]), "the circuit uses 5 wires, 3 are declared"),
        (measuring(lambda w: qml.sample(wires=0)), "oracle does not cover the measurement Sample"),
        (measuring(lambda w: qml.counts(wires=0)), "oracle does not cover the measurement Counts"),
        (measuring(lambda w: []), "the quantum function returns no measurement"),
    ],
)
def test_what_the_oracle_cannot_simulate_is_named_in_one_line(function, reason):
    program = program_of(function)
    assert program["not_covered"] is not None
    assert re.search(reason, program["not_covered"])
    assert "\n" not in program["not_covered"]
    assert program["gates"] == program["measurements"] == []


COMPUTED = [
    lambda w, x: np.sin(w[1]),
    lambda w, x: qml.math.exp(w[1] - x[..., 0]),
    lambda w, x: qnp.arctan(x)[..., 1],
    lambda w, x: np.arccos(w[1]) * np.arcsin(x[..., 0]),
    lambda w, x: np.mod(w[1], 4 * np.pi),
    lambda w, x: abs(w[0] * x[..., 1]),
    lambda w, x: w[0] * w[1] * x[..., 0],
    lambda w, x: w[1] ** 3,
    lambda w, x: 2 ** w[0] + np.sqrt(x[..., 1]) / np.log(w[2]),
    lambda w, x: (np.pi - x[..., 0]) * (np.pi - x[..., 1]) * w[1],
    lambda w, x: np.pi * x[..., 0] / np.linalg.norm(x),
    lambda w, x: 1 / (1 + np.exp(-w[2] * x[..., 0])),
    lambda w, x: np.dot(w[:2], np.tanh(x)),
]


@pytest.mark.parametrize("computed", COMPUTED)
def test_an_angle_that_is_no_quadratic_form_is_read_as_it_is_computed(computed):
    bound = bind(rotated(computed), 3, 1, {}, SHAPES, 2)
    program = gate_program(bound)
    assert program["not_covered"] is None
    assert_computes(bound, program)
    assert "expression" in program["gates"][2]["params"][0]
    assert "expression" not in program["gates"][1]["params"][0]


def assert_computes(bound, program, device="default.qubit"):
    assert program == json.loads(json.dumps(program))
    rng = np.random.default_rng(5)
    weights, inputs = rng.uniform(0.1, 0.9, SHAPES["w"]), rng.uniform(0.1, 0.9, (4, bound.features))
    node = qml.QNode(bound.function, qml.device(device, wires=3))
    expected = np.array([np.ravel(node({"w": weights}, row)) for row in inputs])
    np.testing.assert_allclose(oracle_predict(simulated(program), [weights], inputs), expected, rtol=0, atol=1e-13)


def prepared(w, inputs):
    qml.AmplitudeEmbedding(np.arctan(inputs), wires=[0, 1], normalize=True, pad_with=0.3)
    return qml.expval(qml.Z(0))


def damped(w, inputs):
    qml.RX(inputs[..., 0], wires=0)
    qml.AmplitudeDamping(1 / (1 + np.exp(-w[1])), wires=0)
    return qml.expval(qml.Z(0))


def weighted(w, inputs):
    qml.RX(inputs[..., 0], wires=0)
    return qml.expval(np.sin(w[0]) * qml.Z(0)), qml.expval(qml.dot([w[0] ** 3, np.exp(w[1])], [qml.Z(0), qml.X(0)]))


def embedded(w, inputs):
    qml.AngleEmbedding(np.arctan(inputs), wires=[0, 1])
    qml.QAOAEmbedding(inputs, np.sin(w).reshape(1, 3), wires=[0, 1])
    qml.ctrl(qml.U3, 0)(np.sin(w[0]), w[1] ** 3, w[2], wires=1)
    qml.adjoint(qml.Rot)(w[0] ** 3, w[1], w[2], wires=0)
    return qml.probs(wires=[0, 1])


@pytest.mark.parametrize(
    ("function", "device"),
    [(prepared, "default.qubit"), (damped, "default.mixed"), (weighted, "default.qubit"), (embedded, "default.qubit")],
)
def test_amplitudes_strengths_and_coefficients_may_be_computed_too(function, device):
    bound = bind(function, 3, 1, {}, SHAPES, 2)
    program = gate_program(bound)
    assert program["not_covered"] is None
    assert_computes(bound, program, device)


def test_a_circuit_of_any_number_of_features_needs_to_be_told_how_many():
    bound = bind(resolve(CIRCUITS["data_reuploading"]), 1, 1, {})
    assert gate_program(bound)["not_covered"] == "the number of features is not known"
    assert gate_program(dataclasses.replace(bound, features=2))["not_covered"] is None


def test_a_deep_circuit_has_every_weight_once_and_in_order():
    bound = library_circuit("deep", 4, 8)
    assert sum(np.prod(shape) for shape in bound.weight_shapes.values()) == 768
    program = gate_program(bound)
    indices = [i for gate in program["gates"] for p in gate["params"] for i, _ in p["weights"]]
    assert indices == list(range(768))


@pytest.mark.parametrize(("channel", "found"), [(qml.AmplitudeDamping, ["w"]), (qml.BitFlip, None)])
def test_strengths_without_a_shift_rule_are_named_though_the_oracle_covers_them(channel, found):
    """PennyLane's parameter-shift differentiates them by differences, for which the judge has to allow."""

    def noisy(w, inputs):
        qml.RX(inputs[..., 0], wires=0)
        channel(0.1 + 0.1 * w[0], wires=0)
        return qml.expval(qml.Z(0))

    program = program_of(noisy, wires=1)
    assert program["not_covered"] is None
    assert program.get("by_differences") == found


def measured_midway(w, inputs, postselect=None):
    qml.RX(inputs[..., 0], wires=0)
    qml.RY(w[0], wires=0)
    seen = qml.measure(0, postselect=postselect)
    qml.cond(seen, qml.RY)(w[1], wires=1)
    return qml.expval(qml.Z(1))


def test_what_feed_forward_differences_is_a_leak_and_no_strength_of_a_channel():
    """A parameter-shift that differences a gate under `cond` is off by 1e-8, and nobody is told (docs/found.md)."""
    program = program_of(measured_midway, wires=3)
    assert program["not_covered"] is None
    assert "by_differences" not in program


def test_a_postselection_goes_to_the_reference():
    """Deferred, it is a projection, after which the state has another norm."""

    def selected(w, inputs):
        return measured_midway(w, inputs, postselect=1)

    assert "postselection" in program_of(selected, wires=3)["not_covered"]


def test_without_pennylanes_own_normalisation_to_look_at_other_circuits_are_covered(monkeypatch):
    """It is private, and may be gone in another release."""
    monkeypatch.delattr(qml.StatePrep, "_preprocess")

    def plain(w, inputs):
        qml.RX(w[0] * inputs[..., 0], wires=0)
        return qml.expval(qml.Z(0))

    assert program_of(plain, wires=1)["not_covered"] is None
