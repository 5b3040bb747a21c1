"""The circuit library: every circuit resolves, runs, broadcasts, and measures what its file says."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pennylane as qml
import pytest

import qparity.circuit.library as library
from qparity.circuit.definition import CircuitError, bind, output_size, resolve
from qparity.circuit.library.hardware_efficient import dead_weights
from qparity.circuit.library.qaoa import qaoa
from qparity.circuit.library.vqe import vqe
from qparity.scenario.registry import CIRCUITS


def bound_circuit(name, wires, layers, **options):
    return one_feature_at_least(bind(resolve(CIRCUITS[name]), wires, layers, options))


def one_feature_at_least(bound):
    """A circuit that takes any number of features, given one."""
    return dataclasses.replace(bound, features=bound.features or 1)


def random_point(bound, seed=0, batch=()):
    rng = np.random.default_rng(seed)
    weights = {name: rng.uniform(-3, 3, shape) for name, shape in bound.weight_shapes.items()}
    return weights, rng.uniform(-2, 2, (*batch, bound.features))


def predict(bound, weights, inputs):
    """Predictions as the layer makes them: all measurements along the last axis."""
    results = qml.QNode(bound.function, qml.device("default.qubit", wires=bound.wires))(weights, inputs)
    batch = np.shape(inputs)[:-1]
    return np.concatenate([np.reshape(result, (*batch, -1)) for result in results], axis=-1)


def gradient(bound, weights, inputs, step=np.pi / 2):
    """Parameter-shift derivatives of the first output, exact for weights that enter one Pauli rotation each."""
    derivatives = {}
    for name, array in weights.items():
        derivatives[name] = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            moved = [{**weights, name: array.copy()} for _ in range(2)]
            for sign, point in zip((1, -1), moved, strict=True):
                point[name][index] += sign * step
            up, down = (predict(bound, point, inputs)[..., 0] for point in moved)
            derivatives[name][index] = (up - down) / 2
    return derivatives


def test_every_file_is_a_listed_circuit_and_every_listed_circuit_a_file():
    files = {path.stem for path in Path(library.__file__).parent.glob("[!_]*.py")}
    assert files == set(CIRCUITS)
    for name, path in CIRCUITS.items():
        assert resolve(path).__name__ == name


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_circuit_says_in_its_docstring_what_it_takes(name):
    function = resolve(CIRCUITS[name])
    for argument in (*function.weight_shapes(2, 1), "inputs", "wires"):
        assert f"{argument}: " in function.__doc__
    assert importlib.util.find_spec(CIRCUITS[name].partition(":")[0]) is not None


@pytest.mark.parametrize("wires", [1, 2, 3])
@pytest.mark.parametrize("name", CIRCUITS)
def test_a_batch_gives_what_its_samples_give_one_by_one(name, wires):
    bound = bound_circuit(name, wires, 2)
    weights, inputs = random_point(bound, batch=(5,))
    batched = predict(bound, weights, inputs)
    stacked = np.stack([predict(bound, weights, sample) for sample in inputs])
    assert batched.shape == (5, output_size(bound))
    np.testing.assert_allclose(batched, stacked, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in CIRCUITS if name != "vqe"])
def test_predictions_depend_on_the_inputs_and_on_every_weight_array(name):
    bound = bound_circuit(name, 3, 2)
    weights, inputs = random_point(bound)
    before = predict(bound, weights, inputs)
    for feature in range(bound.features):
        moved = inputs + 0.3 * np.eye(bound.features)[feature]
        assert np.abs(predict(bound, weights, moved) - before).max() > 1e-3
    for array in weights:
        assert np.abs(predict(bound, {**weights, array: weights[array] + 0.3}, inputs) - before).max() > 1e-3


@pytest.mark.parametrize(("wires", "features"), [(1, 2), (1, 3), (2, 3), (3, 2)])
def test_encoding_ignores_no_feature(wires, features):
    bound = bind(resolve(CIRCUITS["data_reuploading"]), wires, 2, {}, features=features)
    weights, inputs = random_point(bound)
    before = predict(bound, weights, inputs)
    effects = [predict(bound, weights, inputs + 0.4 * row) - before for row in np.eye(features)]
    assert all(np.abs(effect).max() > 1e-3 for effect in effects)
    assert len({round(float(effect[0]), 9) for effect in effects}) == features


@pytest.mark.parametrize("scaling", [1.0, 0.5, 2.0])
def test_data_reuploading_on_one_wire_is_a_fourier_series_of_degree_layers(scaling):
    layers = 3
    bound = bound_circuit("data_reuploading", 1, layers, scaling=scaling)
    weights, _ = random_point(bound)
    x = 2 * np.pi * np.arange(16) / 16 / scaling
    spectrum = np.fft.rfft(predict(bound, weights, x[:, None])[:, 0]) / 16
    assert np.abs(spectrum[1 : layers + 1]).min() > 1e-4
    assert np.abs(spectrum[layers + 1 :]).max() < 1e-15


def test_data_reuploading_has_the_entangler_it_is_told():
    gates = {}
    for entangler in ("cnot", "cz", "none"):
        tape = bound_circuit("data_reuploading", 3, 2, entangler=entangler).tape()
        gates[entangler] = [op.name for op in tape.operations if len(op.wires) == 2]
    assert gates == {"cnot": ["CNOT"] * 6, "cz": ["CZ"] * 6, "none": []}
    with pytest.raises(CircuitError, match="entangler = 'swap'"):
        bound_circuit("data_reuploading", 2, 1, entangler="swap").tape()


@pytest.mark.parametrize(("wires", "layers"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_the_dead_light_cone_is_exactly_the_weights_said_to_be_dead(wires, layers):
    bound = bound_circuit("hardware_efficient", wires, layers)
    weights, inputs = random_point(bound)
    derivatives = np.abs(gradient(bound, weights, inputs)["weights"])
    dead = dead_weights(wires, layers)
    assert dead.shape == derivatives.shape
    assert dead[-1, 1:].all()
    assert derivatives[dead].max() < 1e-15
    assert derivatives[~dead].min() > 1e-6


def test_probabilities_sum_to_one():
    bound = bound_circuit("probabilities", 3, 2)
    predictions = predict(bound, *random_point(bound, batch=(4,)))
    assert predictions.shape == (4, 8)
    assert predictions.min() >= 0
    np.testing.assert_allclose(predictions.sum(axis=-1), 1, atol=1e-14)


def test_qaoa_returns_the_terms_of_its_cost_hamiltonian():
    assert [output_size(bind(qaoa, wires, 2, {})) for wires in (1, 2, 3, 5)] == [1, 3, 6, 10]
    bound = bind(qaoa, 3, 2, {}, features=3)
    weights, inputs = random_point(bound)
    gates = bound.tape(weights, inputs).operations
    (state,) = qml.execute([qml.tape.QuantumScript(gates, [qml.state()])], qml.device("default.qubit", wires=3))
    words = [qml.Z(0) @ qml.Z(1), qml.Z(1) @ qml.Z(2), qml.Z(2) @ qml.Z(0), qml.Z(0), qml.Z(1), qml.Z(2)]
    expected = [np.vdot(state, qml.matrix(word, wire_order=range(3)) @ state).real for word in words]
    np.testing.assert_allclose(predict(bound, weights, inputs), expected, atol=1e-14)


def test_qaoa_refuses_features_it_has_no_wire_for():
    with pytest.raises(CircuitError, match="3 features on 2 wires"):
        bind(qaoa, 2, 1, {}, features=3).tape()


def test_qaoa_without_mixing_changes_no_cost():
    """exp(-i gamma H) commutes with every term, so |+...+> keeps expectation zero."""
    bound = bind(qaoa, 3, 2, {}, features=2)
    weights, inputs = random_point(bound)
    np.testing.assert_allclose(predict(bound, {**weights, "beta": np.zeros(2)}, inputs), 0, atol=1e-14)


def test_vqe_energy_ignores_the_inputs_and_is_bounded_by_the_ground_state():
    bound = bind(vqe, 3, 2, {"coupling": 0.7, "field": 1.3}, features=1)
    weights, inputs = random_point(bound, batch=(4,))
    energies = predict(bound, weights, inputs)
    assert energies.shape == (4, 1)
    assert np.ptp(energies) == 0
    hamiltonian = bound.tape().measurements[0].obs
    assert np.linalg.eigvalsh(qml.matrix(hamiltonian, wire_order=range(3)))[0] <= energies[0, 0]
    ferromagnet = {"weights": np.zeros((3, 3))}
    np.testing.assert_allclose(predict(bound, ferromagnet, inputs), -0.7 * 2, atol=1e-14)
    along_x = {"weights": np.stack([np.zeros(3), np.zeros(3), np.full(3, np.pi / 2)])}
    np.testing.assert_allclose(predict(bound, along_x, inputs), -1.3 * 3, atol=1e-14)


def test_deep_has_the_gates_its_docstring_counts():
    assert len(bound_circuit("deep", 4, 3).tape().operations) == 3 * (17 * 4)
