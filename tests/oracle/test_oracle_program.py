"""Reading gate programs: what is refused, and in which words."""

import numpy as np
import pytest

from qparity.oracle import NotCovered, chain_factors, predict, reference_dtype

from .programs import arguments, random_program, read


def changed(**entries):
    return random_program(1) | entries


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"wires": 1}, "features: expected an entry here"),
        (changed(wires=0), "wires=0"),
        (changed(measurements=[]), "no measurement"),
        (changed(gates=[{"name": "RX", "wires": [9], "params": [{}]}]), "wires .9. of RX"),
        (changed(gates=[{"name": "CNOT", "wires": [0, 0], "params": []}]), "distinct"),
        (changed(gates=[{"name": "CNOT", "wires": [0], "params": []}]), "expected 2"),
        (changed(gates=[{"name": "RX", "wires": [0], "params": []}]), "0 parameters, expected 1"),
        (changed(gates=[{"name": "RX", "wires": [0], "params": [{"weights": [[6, 1.0]]}]}]), "number 6"),
        (changed(measurements=[{"kind": "expval", "terms": [[1, [["Q", 0]]]]}]), "Pauli letter 'Q'"),
        (changed(measurements=[{"kind": "entropy"}]), "an entropy of nothing"),
        (changed(measurements=[{"kind": "entropy", "parts": [[1, [0]]], "base": 1}]), "logarithms of base 1"),
        (changed(measurements=[{"kind": "entropy", "parts": [[1, [0, 0]]]}]), "distinct"),
    ],
)
def test_malformed_programs_are_refused_by_name(data, words):
    with pytest.raises(ValueError, match=words):
        read(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(not_covered="mid-circuit measurement"), "mid-circuit"),
        (changed(gates=[{"name": "QFT", "wires": [0], "params": []}]), "does not cover QFT"),
        (changed(measurements=[{"kind": "vn_entropy", "wires": [0]}]), "measurement vn_entropy"),
        (changed(wires=6, measurements=[{"kind": "entropy", "parts": [[1, [0, 1, 2, 3, 4, 5]]]}]), "takes at most 5"),
        (changed(wires=17), "at most 16"),
    ],
)
def test_what_the_oracle_lacks_is_not_covered(data, words):
    with pytest.raises(NotCovered, match=words):
        read(data)


def test_wrong_shapes_are_refused():
    program = read(random_program(1))
    weights, x, _, offsets = arguments(1)
    with pytest.raises(ValueError, match="weight b"):
        predict(program, [weights[0], weights[0]], x, offsets)
    with pytest.raises(ValueError, match="inputs of shape"):
        predict(program, weights, x[:, :1], offsets)


def test_norms_are_sums_of_coefficients():
    assert read(random_program(1)).norms.tolist() == [pytest.approx(2.4), 1, 1, 1, 1]


def test_chain_factor_is_one_for_a_plain_weight_and_grows_with_what_multiplies_it():
    data = random_program(1, gates=0)
    data["gates"] = [
        {"name": "RX", "wires": [0], "params": [{"weights": [[0, 1.0]]}]},
        {"name": "RX", "wires": [0], "params": [{"products": [["w", 1, "i", 0, 2.0]]}]},
    ]
    factors = chain_factors(read(data), np.ones((1, 6)), np.array([[3.0, 0.0]]), np.array([0, 1]))
    assert factors[0].tolist() == [1, 6, 1, 1, 1, 1]


def test_reference_is_one_dtype_above():
    assert reference_dtype("float32") == (np.complex128, np.float64)
    assert reference_dtype("float64") == (np.clongdouble, np.longdouble)
    with pytest.raises(ValueError, match="float16"):
        reference_dtype("float16")
