"""Two independent routes to every number: adjoint and finite difference, float64 and long double, closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qparity.oracle import GateProgram, flatten_weights, operation_counts, predict, vjp
from qparity.oracle import program as oracle_program
from qparity.oracle.adjoint import infidelity
from qparity.oracle.program import parameter_values
from qparity.oracle.statevector import apply, inner, simulate, zero_state

from .programs import NAMES, PARAMETERS, arguments, random_program, read

SEEDS = st.integers(0, 10_000)
LONG = np.finfo(np.longdouble).eps < 1e-17


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(3, 4))
def test_adjoint_gradient_is_the_slope_of_the_prediction(seed, wires):
    program = read(random_program(seed, wires))
    weights, x, bars, offsets = arguments(seed, steps=2)
    predictions, by_weight, by_input = vjp(program, weights, x, bars, offsets, np.clongdouble)
    assert np.array_equal(predictions, predict(program, weights, x, offsets, np.clongdouble))
    rng = np.random.default_rng(seed)
    directions = [rng.normal(size=w.shape) for w in weights]
    along_x, h = rng.normal(size=x.shape), 1e-5

    def objective(sign):
        moved = [w.astype(np.longdouble) + sign * h * d for w, d in zip(weights, directions, strict=True)]
        f = predict(program, moved, x + np.longdouble(sign * h) * along_x, offsets, np.clongdouble)
        return (f * bars).sum()

    slope = (objective(1) - objective(-1)) / (2 * h)
    expected = sum((g * d).sum() for g, d in zip(by_weight, directions, strict=True)) + (by_input * along_x).sum()
    assert abs(slope - expected) < 1e-6 * max(1, abs(expected))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 200))
def test_rows_taken_few_at_a_time_are_the_same_rows(seed, numbers):
    program = read(random_program(seed, 3))
    weights, x, bars, offsets = arguments(seed, steps=4, rows=3)
    at_once = vjp(program, weights, x, bars, offsets, np.clongdouble)
    flat = flatten_weights(program, weights, np.longdouble)
    counts = operation_counts(program, flat, x, offsets)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(oracle_program, "SLAB_NUMBERS", numbers)
        few = vjp(program, weights, x, bars, offsets, np.clongdouble)
        assert np.array_equal(predict(program, weights, x, offsets, np.clongdouble), few[0])
        np.testing.assert_allclose(operation_counts(program, flat, x, offsets), counts, rtol=1e-15)
    for a, b in zip((few[0], few[2], *few[1]), (at_once[0], at_once[2], *at_once[1]), strict=True):
        assert np.abs(a - b).max() < 64 * np.finfo(a.dtype).eps


def test_infidelity_is_that_of_the_states():
    program = read(random_program(5, 3))
    stacked, x, *_ = arguments(5)
    weights = [w[0] for w in stacked]
    moved = [w + 1e-3 for w in weights]
    states = [
        simulate(
            program,
            parameter_values(program, flatten_weights(program, [w[None] for w in each], float), x, [0, len(x)]),
            complex,
        )
        for each in (weights, moved)
    ]
    expected = (1 - np.abs(inner(*states)) ** 2).max()
    assert infidelity(program, (weights, moved), x) == pytest.approx(expected, rel=1e-9)
    assert expected > 1e-8


@pytest.mark.parametrize("name", [n for n in NAMES if PARAMETERS[n]])
def test_every_parametrised_gate_has_the_right_derivative(name):
    program = read(random_program(7, 3, 4, [name]))
    weights, x, bars, offsets = arguments(7)
    _, by_weight, _ = vjp(program, weights, x, bars, offsets, np.clongdouble)
    h = 1e-5
    for k, w in enumerate(weights):
        for index in np.ndindex(w.shape):
            values = []
            for sign in (1, -1):
                moved = [a.astype(np.longdouble) for a in weights]
                moved[k][index] += sign * np.longdouble(h)
                values.append((predict(program, moved, x, offsets, np.clongdouble) * bars).sum())
            assert abs((values[0] - values[1]) / (2 * h) - by_weight[k][index]) < 1e-7


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_adjoint_equals_parameter_shift(seed):
    names = ["RX", "RY", "RZ", "CNOT", "Hadamard", "MultiRZ", "IsingXX", "CZ"]
    data = random_program(seed, 3, 20, names)
    for k, gate in enumerate(g for g in data["gates"] if g["params"]):
        gate["params"] = [{"constant": 0.1 * k, "weights": [[k % 6, 1.0]]}]
    weights, x, bars, _ = arguments(seed)
    plain = [w[0] for w in weights]
    _, by_weight, _ = vjp(read(data), plain, x, bars, dtype=np.clongdouble)
    shifted = np.zeros(6, np.longdouble)
    for gate in data["gates"]:
        for p in gate["params"]:
            constant, values = p["constant"], []
            for sign in (1, -1):
                p["constant"] = constant + sign * np.pi / 2
                values.append((predict(read(data), plain, x, dtype=np.clongdouble) * bars).sum())
            p["constant"] = constant
            shifted[p["weights"][0][0]] += (values[0] - values[1]) / 2
    gradient = np.concatenate([g.ravel() for g in by_weight])
    assert np.abs(shifted - gradient).max() < 1e-13
    assert np.abs(gradient).max() > 1e-6


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(3, 5))
def test_programs_are_unitary_and_reversible(seed, wires):
    program = read(random_program(seed, wires, 20))
    weights, x, _, offsets = arguments(seed)
    flat = np.concatenate([w.reshape(1, -1) for w in weights], axis=1).astype(np.longdouble)
    theta = parameter_values(program, flat, x.astype(np.longdouble), offsets)
    state = simulate(program, theta, np.clongdouble)
    eps = np.finfo(np.longdouble).eps
    assert np.abs(inner(state, state) - 1).max() < 200 * eps
    for operation in reversed(program.operations):
        apply(state, operation, theta, inverse=True)
    assert np.abs(state - zero_state(wires, len(x), np.clongdouble)).max() < 200 * eps


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_double_and_long_double_agree_to_double_rounding(seed):
    program = read(random_program(seed, 4, 20))
    weights, x, bars, offsets = arguments(seed)
    low = vjp(program, weights, x, bars, offsets, np.complex128)
    high = vjp(program, weights, x, bars, offsets, np.clongdouble)
    assert high[0].dtype == np.longdouble
    assert low[0].dtype == np.float64
    assert np.abs(low[0] - high[0]).max() < 2e-14
    assert np.abs(low[2] - high[2]).max() < 2e-13


@pytest.mark.skipif(not LONG, reason="no long double on this platform")
def test_trigonometry_is_done_in_long_double():
    program = rx_program(1, encode=False)
    theta = 0.7
    f = predict(program, [np.array([theta])], np.zeros((1, 1)), dtype=np.clongdouble)
    assert abs(f[0, 0] - np.cos(np.longdouble(theta))) < 3e-19


def test_rx_rotates_z_as_a_cosine():
    program = rx_program(1, encode=False)
    for t in np.linspace(-7, 7, 29):
        f, (g,), _ = vjp(program, [np.array([t])], np.zeros((1, 1)), np.ones((1, 1)))
        assert f[0, 0] == pytest.approx(np.cos(t), abs=1e-15)
        assert g[0] == pytest.approx(-np.sin(t), abs=1e-15)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_reuploading_circuit_is_a_truncated_fourier_series(layers):
    """Schuld, Sweke and Meyer (2021): L encodings by RX give frequencies -L..L, and here no fewer."""
    program = rx_program(layers, encode=True)
    x = np.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    weights = [np.random.default_rng(layers).uniform(0, 6, 2 * layers + 2)]
    spectrum = np.abs(np.fft.rfft(predict(program, weights, x)[:, 0])) / 32
    assert spectrum[layers + 1 :].max() < 1e-15
    assert spectrum[layers] > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-7, 7), min_size=4, max_size=4))
def test_fourier_coefficients_are_those_of_the_bloch_sphere(angles):
    """RZ RY, RX(x), RZ RY turn a vector in space: f = z.B(xx + (1 - xx) cos x + [x] sin x)A z, all of it real."""

    def turn(angle, axis):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        r = np.eye(3)
        r[i, i] = r[j, j] = np.cos(angle)
        r[j, i], r[i, j] = np.sin(angle), -np.sin(angle)
        return r

    before, after = turn(angles[1], 1) @ turn(angles[0], 2), turn(angles[3], 1) @ turn(angles[2], 2)
    along, cross = np.diag([1.0, 0, 0]), np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    expected = [(after @ part @ before)[2, 2] for part in (along, np.eye(3) - along, cross)]
    x = np.arange(8)[:, None] * np.pi / 4
    spectrum = np.fft.rfft(predict(rx_program(1, encode=True), [np.array(angles)], x)[:, 0]) / 8
    assert spectrum[0].real == pytest.approx(expected[0], abs=1e-14)
    assert 2 * spectrum[1].real == pytest.approx(expected[1], abs=1e-14)
    assert -2 * spectrum[1].imag == pytest.approx(expected[2], abs=1e-14)


def test_stacked_steps_are_the_steps_one_by_one():
    program = read(random_program(5))
    weights, x, bars, offsets = arguments(5, steps=4)
    together = vjp(program, weights, x, bars, offsets)
    for t in range(4):
        rows = slice(offsets[t], offsets[t + 1])
        alone = vjp(program, [w[t] for w in weights], x[rows], bars[rows])
        assert np.allclose(together[0][rows], alone[0], atol=1e-15)
        for all_steps, one in zip(together[1], alone[1], strict=True):
            assert np.allclose(all_steps[t], one, atol=1e-14)


def test_probabilities_are_ordered_by_the_wires_asked_for():
    data = random_program(0, 2, 0)
    data["gates"] = [{"name": "PauliX", "wires": [0], "params": []}]
    data["measurements"] = [{"kind": "probs", "wires": [0, 1]}, {"kind": "probs", "wires": [1, 0]}]
    weights, x, _, offsets = arguments(0, rows=1)
    f = predict(read(data), weights, x, offsets)
    assert f.tolist() == [[0, 0, 1, 0, 0, 1, 0, 0]]


def rx_program(layers: int, encode: bool) -> GateProgram:
    gates = []
    for k in range(layers if encode else 0):
        gates += [gate("RZ", "weights", 2 * k), gate("RY", "weights", 2 * k + 1), gate("RX", "inputs", 0)]
    gates += [gate("RZ", "weights", 2 * layers), gate("RY", "weights", 2 * layers + 1)] if encode else []
    gates += [] if encode else [gate("RX", "weights", 0)]
    return read({
        "wires": 1, "features": 1, "weights": [{"name": "w", "shape": [2 * layers + 2 if encode else 1]}],
        "gates": gates, "measurements": [{"kind": "expval", "terms": [[1.0, [["Z", 0]]]]}],
    })  # fmt: skip


def gate(name, source, index):
    return {"name": name, "wires": [0], "params": [{source: [[index, 1.0]]}]}


@pytest.mark.parametrize("offsets", [None, np.array([0, 2, 3])])
def test_a_circuit_between_layers_may_have_no_weights(offsets):
    gates = [{"name": "RY", "wires": [0], "params": [{"inputs": [[0, 1.0]]}]}]
    measured = [{"kind": "expval", "terms": [[1.0, [["Z", 0]]]]}]
    program = read({"wires": 1, "features": 1, "weights": [], "gates": gates, "measurements": measured})
    x = np.array([[0.3], [-1.1], [2.0]])
    predictions, by_weight, by_input = vjp(program, [], x, np.full((3, 1), 2.0), offsets)
    np.testing.assert_allclose(predictions, np.cos(x), atol=1e-15)
    np.testing.assert_allclose(by_input, -2 * np.sin(x), atol=1e-15)
    assert by_weight == []
