"""Dense matrices, controls, preparations, noise, further measurements: by two independent routes each.

The gradient by central differences in long double; values by Kraus sums, and density matrices against states.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qparity.oracle import NotCovered, chain_factors, norms, predict, smoothing, vjp
from qparity.oracle.maps import LAWS, MIXTURES

from .programs import arguments, random_program, read

SEEDS = st.integers(0, 10_000)
WIRES = 3
CHANNELS = [*LAWS, *MIXTURES, "PauliError(XY)", "QubitChannel"]
MEASURED = {
    "expval": {"kind": "expval", "terms": [[0.7, [["X", 0], ["Y", 2]]], [0.4, []]]},
    "var": {"kind": "var", "terms": [[0.7, [["X", 0]]], [-0.3, [["Z", 0], ["Y", 1]]], [0.4, []]]},
    "probs": {"kind": "probs", "wires": [2, 0]},
    "purity": {"kind": "purity", "wires": [2, 0]},
    "state": {"kind": "state"},
    "coefficients": {
        "kind": "expval",
        "terms": [[0.0, [["X", 0]]], [0.0, [["Z", 1]]]],
        "coefficients": [{"weights": [[4, 2.0]]}, {"constant": 0.3, "products": [["w", 1, "i", 0, 1.0]]}],
    },
}


def numbers(matrix):
    flat = np.asarray(matrix, complex).reshape(-1)
    return np.stack([flat.real, flat.imag], axis=1).reshape(-1).tolist()


def unitary(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


def form(rng, low=-1.0, high=1.0):
    """A number between the bounds for weights and inputs of size 1, with both in it."""
    middle, reach = (low + high) / 2, (high - low) / 40
    return {
        "constant": middle,
        "weights": [[int(rng.integers(6)), reach * rng.normal()]],
        "products": [["w", int(rng.integers(6)), "i", int(rng.integers(2)), reach * rng.normal()]],
    }


def dense(rng):
    wires = [int(w) for w in rng.permutation(WIRES)]
    controls = int(rng.integers(2))
    size = 2 ** (2 if controls else int(rng.integers(1, 3)))
    used = wires[: controls + int(np.log2(size))]
    return {"name": "QubitUnitary", "wires": used, "params": [], "controls": controls,
            "numbers": numbers(unitary(rng, size))}  # fmt: skip


def controlled(rng):
    name, width = [("RX", 1), ("Rot", 1), ("IsingXY", 2), ("GlobalPhase", 0), ("PauliY", 1)][rng.integers(5)]
    count = {"Rot": 3, "PauliY": 0}.get(name, 1)
    wires = [int(w) for w in rng.permutation(WIRES)[: width + 1]]
    return {"name": name, "wires": wires, "controls": 1, "params": [form(rng) for _ in range(count)]}


def channel(rng, name):
    wires = [int(w) for w in rng.permutation(WIRES)]
    if name == "QubitChannel":
        both = unitary(rng, 4)[:, :2].reshape(2, 2, 2)
        return {"name": name, "wires": wires[:1], "params": [], "numbers": numbers(both)}
    if name.startswith("PauliError"):
        return {"name": name, "wires": wires[:2], "params": [form(rng, 0.1, 0.3)]}
    ranges = [(0.1, 0.3)] * LAWS.get(name, 1)
    if name == "ThermalRelaxationError":
        ranges = [(0.1, 0.3), (1.0, 1.4), (0.8, 1.0), (0.2, 0.5)]
    return {"name": name, "wires": wires[:1], "params": [form(rng, *r) for r in ranges]}


def prepared(rng, name):
    if name == "QubitDensityMatrix":
        u = unitary(rng, 4)
        return {"name": name, "wires": [2, 0], "params": [],
                "numbers": numbers(u @ np.diag([0.4, 0.3, 0.2, 0.1]) @ u.conj().T)}  # fmt: skip
    count = 4 * int(rng.integers(1, 3))
    return {"name": name, "wires": [2, 0], "params": [form(rng, k - 1, k + 1) for k in range(count)]}


def program_of(seed, kinds, measured, start=None):
    """A random program with these gates among rotations, and these measurements."""
    rng = np.random.default_rng([seed, 9])
    data = random_program(seed, WIRES, 3)
    made = {"dense": dense, "controlled": controlled}
    middle = [made[k](rng) if k in made else channel(rng, k) for k in kinds]
    first = [prepared(rng, start)] if start else []
    after = random_program(seed + 1, WIRES, 2)["gates"]
    data["gates"] = [*first, *data["gates"], *middle, *after]
    data["measurements"] = [MEASURED[m] for m in measured]
    return data


def assert_slope(data, seed):
    program = read(data)
    weights, x, _, offsets = arguments(seed, steps=2)
    rng = np.random.default_rng(seed)
    bars = rng.normal(size=(len(x), program.outputs))
    predictions, by_weight, by_input = vjp(program, weights, x, bars, offsets, np.clongdouble)
    assert np.array_equal(predictions, predict(program, weights, x, offsets, np.clongdouble))
    directions, along = [rng.normal(size=w.shape) for w in weights], rng.normal(size=x.shape)
    h = np.longdouble(2.0**-14)

    def objective(times):
        moved = [w.astype(np.longdouble) + times * h * d for w, d in zip(weights, directions, strict=True)]
        return (predict(program, moved, x + times * h * along, offsets, np.clongdouble) * bars).sum()

    slope = (8 * (objective(1) - objective(-1)) - (objective(2) - objective(-2))) / (12 * h)
    expected = sum((g * d).sum() for g, d in zip(by_weight, directions, strict=True)) + (by_input * along).sum()
    assert abs(slope - expected) < 1e-10 * max(1, abs(expected))
    assert abs(expected) > 1e-6


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_gradients_of_states(seed):
    measured = ["expval", "var", "probs", "purity", "state", "coefficients"]
    start = [None, "StatePrep", "AmplitudeEmbedding"][seed % 3]
    assert_slope(program_of(seed, ["dense", "controlled", "dense"], measured, start), seed)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
@pytest.mark.parametrize("name", CHANNELS)
def test_gradients_of_density_matrices(name, seed):
    measured = ["expval", "var", "probs", "purity", "coefficients"]
    start = [None, "StatePrep", "AmplitudeEmbedding", "QubitDensityMatrix"][seed % 4]
    assert_slope(program_of(seed, ["dense", name, "controlled", name], measured, start), seed)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_a_density_matrix_without_noise_is_the_state(seed):
    measured = ["expval", "var", "probs", "purity", "coefficients"]
    start = [None, "StatePrep", "AmplitudeEmbedding"][seed % 3]
    data = program_of(seed, ["dense", "controlled"], measured, start)
    if start == "StatePrep":  # amplitudes of any norm are no state of purity 1, and are simulated as they are
        data["gates"] = data["gates"][1:]
    quiet = {"name": "BitFlip", "wires": [1], "params": [{"constant": 0.0}]}
    pure, mixed = read(data), read(data | {"gates": [*data["gates"], quiet]})
    assert (pure.mixed, mixed.mixed) == (False, True)
    weights, x, _, offsets = arguments(seed)
    bars = np.random.default_rng(seed).normal(size=(len(x), pure.outputs))
    one, other = (vjp(p, weights, x, bars, offsets, np.clongdouble) for p in (pure, mixed))
    for a, b in zip([one[0], one[2], *one[1]], [other[0], other[2], *other[1]], strict=True):
        assert np.abs(a - b).max() < 1e-16


def kraus(name, p):
    """Kraus matrices as textbooks have them."""
    x, y, z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
    low, up, down, high = (np.outer(*np.eye(2)[[i, j]]) for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)))
    if name == "BitFlip":
        return [np.sqrt(1 - p[0]) * np.eye(2), np.sqrt(p[0]) * x]
    if name == "PhaseFlip":
        return [np.sqrt(1 - p[0]) * np.eye(2), np.sqrt(p[0]) * z]
    if name == "DepolarizingChannel":
        return [np.sqrt(1 - p[0]) * np.eye(2), *(np.sqrt(p[0] / 3) * m for m in (x, y, z))]
    if name == "AmplitudeDamping":
        return [low + np.sqrt(1 - p[0]) * high, np.sqrt(p[0]) * down]
    if name == "PhaseDamping":
        return [low + np.sqrt(1 - p[0]) * high, np.sqrt(p[0]) * high]
    if name == "GeneralizedAmplitudeDamping":
        falls, rises = np.sqrt(1 - p[1]), np.sqrt(p[1])
        kept, lost = np.sqrt(1 - p[0]), np.sqrt(p[0])
        return [falls * (low + kept * high), falls * lost * down, rises * (kept * low + high), rises * lost * up]
    if name == "ResetError":
        stays = np.sqrt(1 - p[0] - p[1]) * np.eye(2)
        return [stays, *(np.sqrt(p[0]) * m for m in (low, down)), *(np.sqrt(p[1]) * m for m in (up, high))]
    excited, t1, t2, time = p
    reset = 1 - np.exp(-time / t1)
    flip = (1 - reset) * (1 - np.exp(-time / t2) / np.exp(-time / t1)) / 2
    to_low, to_high = (1 - excited) * reset, excited * reset
    stays = [np.sqrt(1 - flip - reset) * np.eye(2), np.sqrt(flip) * z]
    return [*stays, *(np.sqrt(to_low) * m for m in (low, down)), *(np.sqrt(to_high) * m for m in (up, high))]


@pytest.mark.parametrize("name", [*LAWS, *MIXTURES])
def test_channels_are_their_kraus_sums(name):
    rng = np.random.default_rng(3)
    p = {"ThermalRelaxationError": [0.2, 1.5, 1.1, 0.4]}.get(name, [0.3, 0.2][: LAWS.get(name, 1)])
    first = unitary(rng, 2)
    start = first @ np.diag([0.8, 0.2]) @ first.conj().T
    expected = sum(k @ start @ np.conj(k).T for k in kraus(name, p))
    assert np.trace(expected) == pytest.approx(1)
    words = [[[1.0, [[letter, 0]]]] for letter in "XYZ"]
    program = read({
        "wires": 1, "features": 1, "weights": [{"name": "w", "shape": [1]}],
        "gates": [
            {"name": "QubitDensityMatrix", "wires": [0], "params": [], "numbers": numbers(start)},
            {"name": name, "wires": [0], "params": [{"constant": c} for c in p]},
        ],
        "measurements": [{"kind": "expval", "terms": word} for word in words],
    })  # fmt: skip
    got = predict(program, [np.zeros(1)], np.zeros((1, 1)))[0]
    paulis = [[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]]
    assert np.allclose(got, [np.trace(expected @ np.array(p)).real for p in paulis], atol=1e-15)


def test_zero_noise_has_a_derivative():
    """Where Kraus matrices have roots of zero."""
    data = random_program(1, 2, 0)
    data["gates"] += [{"name": "DepolarizingChannel", "wires": [0], "params": [{"weights": [[0, 0.0], [5, 1.0]]}]}]
    program = read(data)
    weights, x, bars, offsets = arguments(1)
    weights[1][..., 1] = 0
    _, gradients, _ = vjp(program, weights, x, bars, offsets)
    assert np.isfinite(gradients[1]).all()
    assert abs(gradients[1][0, 1]) > 1e-3


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"name": "QubitUnitary", "wires": [0], "params": [], "numbers": [1.0]}, "has 1 numbers, expected 8"),
        ({"name": "QubitUnitary", "wires": [0, 1], "params": [], "numbers": [0.0] * 8}, "expected 32"),
        ({"name": "QubitChannel", "wires": [0], "params": [], "numbers": []}, "a multiple of 8"),
        ({"name": "PauliError(XQ)", "wires": [0, 1], "params": [{}]}, "PauliError"),
        ({"name": "PauliError(X)", "wires": [0, 1], "params": [{}]}, "PauliError"),
        ({"name": "BitFlip", "wires": [0], "params": []}, "0 parameters, expected 1"),
        ({"name": "BitFlip", "wires": [0, 1], "params": [{}], "controls": 1}, "with controls"),
        ({"name": "RX", "wires": [0], "params": [{}], "controls": 2}, "2 controls on 1 wires"),
        ({"name": "AmplitudeDamping", "wires": [0, 1], "params": [{}]}, "on 2 wires, expected 1"),
        ({"name": "StatePrep", "wires": [0], "params": [{}]}, "1 parameters, expected 2"),
    ],
)
def test_malformed_gates_are_refused_by_name(gate, words):
    data = random_program(1, gates=0)
    with pytest.raises(ValueError, match=words):
        read(data | {"gates": [gate]})


def test_what_is_prepared_stands_at_the_start():
    data = random_program(1)
    late = {"name": "StatePrep", "wires": [0], "params": [{"constant": 1.0}, {}]}
    read(data | {"gates": [late, *data["gates"]]})
    with pytest.raises(NotCovered, match="at the start"):
        read(data | {"gates": [*data["gates"], late]})


def test_noise_is_of_few_wires():
    noise = {"name": "BitFlip", "wires": [0], "params": [{"constant": 0.1}]}
    with pytest.raises(NotCovered, match="7 wires with noise"):
        read(random_program(1) | {"wires": 7, "gates": [noise]})


def test_many_channels_are_taken_few_rows_at_a_time(monkeypatch):
    from qparity.oracle import adjoint

    data = program_of(3, ["BitFlip"] * 5 + ["AmplitudeDamping"] * 4, ["expval", "var"])
    program = read(data)
    weights, x, _, offsets = arguments(3, rows=6)
    bars = np.ones((6, 2))
    whole = vjp(program, weights, x, bars, offsets)
    monkeypatch.setattr(adjoint, "CHUNK_AMPLITUDES", 2**9)
    monkeypatch.setattr(adjoint, "KEPT_STATES", 3)
    assert len(adjoint._chunks(program, 6)) > 1
    few = vjp(program, weights, x, bars, offsets)
    for a, b in zip((whole[0], whole[2], *whole[1]), (few[0], few[2], *few[1]), strict=True):
        assert np.abs(a - b).max() < 1e-14


def test_a_short_vector_moves_its_state_further():
    data = random_program(1, gates=0)
    amplitudes = [{"inputs": [[0, 1.0]]}, {"inputs": [[1, 1.0]]}]
    data["gates"] = [{"name": "AmplitudeEmbedding", "wires": [0], "params": amplitudes}]
    program, none = read(data), np.zeros((1, 6))
    of_inputs = [chain_factors(program, none, np.array([x]), np.array([0, 1]))[1] for x in ([0.03, 0.04], [30.0, 40.0])]
    assert of_inputs[0] == pytest.approx([40, 40])
    assert of_inputs[1].tolist() == [1, 1]


def test_noise_may_be_smoothed_and_nothing_else():
    weights, x, _, offsets = arguments(1)
    flat = np.concatenate([w.reshape(1, -1) for w in weights], axis=1)
    assert smoothing(read(random_program(1)), flat, x, offsets) == 0
    twice = [smoothing(read(program_of(1, ["BitFlip"] * n, ["expval"])), flat, x, offsets) for n in (1, 2)]
    assert 0 < twice[0] < twice[1]


def test_norms_follow_trained_coefficients():
    program = read(program_of(1, [], ["coefficients", "var"]))
    weights, x, _, offsets = arguments(1)
    weights[0][...], weights[1][...], x[...] = 0, 3, 0
    flat = np.concatenate([w.reshape(1, -1) for w in weights], axis=1)
    assert norms(program, flat, x, offsets)[0].tolist() == pytest.approx([6.3, 3 * 1.4**2])


def test_all_combinations_of_measurements_keep_their_columns():
    weights, x, _, offsets = arguments(2)
    alone = {name: predict(read(program_of(2, ["dense"], [name])), weights, x, offsets) for name in MEASURED}
    for names in itertools.permutations(MEASURED, 2):
        together = predict(read(program_of(2, ["dense"], names)), weights, x, offsets)
        assert np.allclose(together, np.concatenate([alone[n] for n in names], axis=1), atol=1e-14)
