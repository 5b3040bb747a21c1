"""Entropies: closed forms, differences of the oracle's own values, PennyLane, and what rounding is allowed."""

import numpy as np
import pennylane as qml
import pytest

from qparity import records
from qparity.circuit.definition import bind
from qparity.circuit.program import gate_program
from qparity.oracle import chain_factors, entropy, norms, operation_counts, predict, steepness, vjp
from qparity.parity import tolerances as tol

from .programs import arguments, random_program, read

EXTENDED = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
U = 2.0**-53


def entangled(measurement, base=None):
    """RY(w) and a CNOT: the eigenvalues of either wire are cos^2(w/2) and sin^2(w/2)."""
    gates = [{"name": "RY", "wires": [0], "params": [{"weights": [[0, 1.0]]}]}, {"name": "CNOT", "wires": [0, 1]}]
    measured = {"kind": "entropy", "parts": measurement} | ({} if base is None else {"base": base})
    return read({"schema": 1, "wires": 2, "features": 1, "weights": [{"name": "w", "shape": [1]}], "gates": gates,
                 "measurements": [measured], "not_covered": None})  # fmt: skip


def one_wire(program, angle):
    """The value and the derivative in long double."""
    bars = np.ones((1, 1), np.longdouble)
    found, (slope,), _ = vjp(program, [np.array([angle], np.longdouble)], np.zeros((1, 1)), bars, None, np.clongdouble)
    return found[0, 0], slope.reshape(-1)[0]


@pytest.mark.parametrize("angle", [1e-6, 0.1, 1.0, np.pi / 2, 3.0])
@pytest.mark.parametrize(("parts", "base", "times"), [
    ([[1, [0]]], None, 1), ([[1, [1]]], 2, 1 / np.log(np.longdouble(2))),
    ([[1, [0]], [1, [1]], [-1, [0, 1]]], None, 2),
])  # fmt: skip
def test_an_entangled_pair_has_the_closed_form(angle, parts, base, times):
    """A pure state's mutual information is twice the entropy of a half."""
    p, q = (f(np.longdouble(angle) / 2) ** 2 for f in (np.cos, np.sin))
    value, slope = one_wire(entangled(parts, base), angle)
    bits = 1e-17 if EXTENDED else 1e-13
    assert abs(value + times * (p * np.log(p) + q * np.log(q))) < bits * (1 if base is None else 10)
    steep = times * np.sin(np.longdouble(angle)) / 2 * (np.log(p) - np.log(q))
    assert abs(slope - steep) < bits * 1e4  # at 1e-6 an eigenvalue of 2.5e-13 has fewer right digits


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_the_slopes_of_the_values(seed, noisy):
    data = random_program(seed)
    data["measurements"] = [{"kind": "entropy", "parts": [[1, [0]], [1, [2, 1]], [-1, [0, 2, 1]]]},
                            {"kind": "entropy", "parts": [[1, [1]]], "base": 2}]  # fmt: skip
    if noisy:
        data["gates"] += [{"name": "DepolarizingChannel", "wires": [w], "params": [{"constant": 0.2}]} for w in (0, 1)]
    program = read(data)
    weights, x, bars, offsets = arguments(seed)
    bars = bars[:, :2].astype(np.longdouble)
    weights = [w.astype(np.longdouble) for w in weights]
    _, by_weight, _ = vjp(program, weights, x.astype(np.longdouble), bars, offsets, np.clongdouble)
    rng = np.random.default_rng(seed)
    along = [rng.normal(size=w.shape) for w in weights]
    h = np.longdouble(1e-5 if EXTENDED else 1e-4)

    def value(distance):
        moved = [w + distance * d for w, d in zip(weights, along, strict=True)]
        return (predict(program, moved, x.astype(np.longdouble), offsets, np.clongdouble) * bars).sum()

    slope = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    expected = sum((g * d).sum() for g, d in zip(by_weight, along, strict=True))
    assert abs(slope - expected) < (1e-10 if EXTENDED else 1e-7) * max(1, abs(expected))
    assert abs(expected) > 1e-6


@pytest.mark.parametrize("matrix", [
    np.zeros((4, 4)), np.eye(4) / 4, np.diag([0.5, 0.5, 0, 0]), np.full((4, 4), 0.25),
    np.array([[0.5, 0.5j], [-0.5j, 0.5]]),
])  # fmt: skip
def test_matrices_of_equal_eigenvalues_are_taken_apart(matrix):
    many = np.repeat(matrix.astype(np.clongdouble)[:, :, None], 2, axis=2)
    values, vectors = entropy.eigen(many)
    back = np.einsum("iar,ar,jar->ijr", vectors, values, vectors.conj())
    assert float(np.abs(back - many).max()) < 4 * np.finfo(np.longdouble).eps
    np.testing.assert_allclose(np.sort(values[:, 0]).astype(float), np.linalg.eigvalsh(matrix), atol=1e-15)


MEASURED = {
    "wire": lambda: qml.vn_entropy(wires=[1]),
    "two wires of three": lambda: qml.vn_entropy(wires=[0, 2], log_base=2),
    "mutual information": lambda: qml.mutual_info(wires0=[0], wires1=[1]),
}


def circuit(measured):
    def function(weights, inputs):
        for wire in range(3):
            qml.RY(inputs[..., wire], wires=wire)
        for k in range(2):
            for wire in range(2):
                qml.RX(weights[k, wire], wires=wire)
                qml.CRX(weights[k, wire], wires=[wire, wire + 1])
        return measured()

    return function


def by_pennylane(measured, weights, x):
    """Value and gradient, of weights (2, 2), on autograd."""
    qnode = qml.QNode(circuit(measured), qml.device("default.qubit", wires=3), diff_method="backprop")
    w = qml.numpy.array(weights, requires_grad=True)
    return float(qnode(w, x)), qml.grad(qnode, argnums=0)(w, x)


def compared(measured, weights, x):
    """What PennyLane is off by, over what it may be: of the value, and of each entry of the gradient."""
    function = circuit(measured)
    program = records.read(records.Program, gate_program(bind(function, 3, 1, {}, {"weights": (2, 2)}, 3))).simulated
    rows, real = x[None], np.longdouble
    value, (slope,), _ = vjp(program, [weights.astype(real)], rows.astype(real), np.ones((1, 1), real), None,
                             np.clongdouble)  # fmt: skip
    given = (program, weights.reshape(1, -1), rows, np.array([0, 1]))
    counts, size = operation_counts(*given), norms(*given)
    factors = chain_factors(*given)[0].reshape(weights.shape)
    far, steep = steepness(*given, size, U)
    got, by_weight = by_pennylane(measured, weights, x)
    of_value = abs(got - float(value[0, 0])) / tol.forward(U, counts[0], far[0, 0])
    allowed = tol.gradient(U, counts[0], steep[0, 0] * factors, "backprop")
    return of_value, np.abs(by_weight - slope.reshape(weights.shape).astype(float)) / allowed, allowed


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("scale", [1e-9, 1e-8, 2e-8, 5e-8, 1e-7, 1e-4, 1e-2, 1.0, 3.0])
@pytest.mark.parametrize("name", MEASURED)
def test_pennylane_is_within_rounding_also_where_a_wire_is_almost_pure(name, scale):
    rng = np.random.default_rng(int(1e3 * abs(np.log10(scale))))
    for _ in range(3):
        weights, x = scale * rng.uniform(0.3, 1, (2, 2)), rng.uniform(-3, 3, 3)
        of_value, of_gradient, _ = compared(MEASURED[name], weights, x)
        assert of_value < 1
        assert of_gradient.max() < 1


def test_the_tolerance_of_a_generic_state_leaves_no_room_for_float32():
    """Also of more wires than the others can be entangled with, which always have eigenvalues of zero."""
    weights, x = np.array([[0.9, 1.4], [2.0, 0.6]]), np.array([0.3, -0.8, 1.1])
    for name, measured in MEASURED.items():
        allowed = compared(measured, weights, x)[2]
        assert allowed.max() < 1e-11, name
        assert np.abs(by_pennylane(measured, weights, x)[1]).max() > 0.05, name


def test_right_bits_are_counted_at_what_an_entropy_can_be():
    assert entangled([[1, [0]]]).norms == pytest.approx([np.log(2)])
    assert entangled([[1, [0]]], 2).norms == pytest.approx([1])
    assert entangled([[1, [0]], [1, [1]], [-1, [0, 1]]], 2).norms == pytest.approx([2])


def test_of_an_eigenvalue_that_is_almost_zero_less_is_known():
    program = entangled([[1, [0]]])
    size = []
    for angle in (1.0, 1e-3, 0.0):
        given = (program, np.array([[angle]]), np.zeros((1, 1)), np.array([0, 1]))
        size.append(float(steepness(*given, norms(*given), U)[1][0, 0]))
    assert size[0] < 30 < size[1] < 1e4 < size[2] < 200 / np.sqrt(U)
