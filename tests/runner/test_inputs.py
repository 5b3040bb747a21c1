"""What is shipped to every backend depends on the seed alone, and is the same number in both precisions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qparity.records import Variable, read
from qparity.runner.cell import CellEnded, shaped_targets
from qparity.runner.inputs import (
    STATE_STREAM,
    WEIGHT_STREAM,
    make_inputs,
    sent_and_declared,
    starting_values,
    to_bfloat16,
)
from qparity.scenario.schema import Scenario


def scenario(**changes):
    return Scenario.model_validate(
        {"name": "s", "data": {"samples": 10}, "training": {"epochs": 3, "batch_size": 4}} | changes
    )


WEIGHTS = [
    {"path": "q/weights", "shape": [2, 3], "dtype": "float64", "layer": "q", "random": True},
    {"path": "dense/kernel", "shape": [4, 2], "dtype": "float64", "layer": None, "random": True},
    {"path": "dense/bias", "shape": [2], "dtype": "float64", "layer": None, "random": False},
    {"path": "head/kernel", "shape": [1, 1], "dtype": "float64", "layer": None, "random": True},
    {"path": "pretrained/kernel", "shape": [2, 2], "dtype": "float64", "layer": None, "random": False},
]
INITIAL = [np.ones((2, 3)), np.arange(8.0).reshape(4, 2), np.full(2, 7.0), np.ones((1, 1)), np.eye(2) / 3]


def starting_weights(weights, initial, of):
    return starting_values(read(tuple[Variable, ...], weights), initial, of, WEIGHT_STREAM)


def test_both_precisions_start_from_the_same_numbers():
    single, double = make_inputs(scenario(dtype="float32")), make_inputs(scenario())
    assert single.x.dtype == np.float32
    assert double.x.dtype == np.float64
    assert np.array_equal(single.x, double.x)
    assert np.array_equal(single.y, double.y)
    narrow = [array.astype(np.float32) for array in INITIAL]
    both = starting_weights(WEIGHTS, narrow, scenario()), starting_weights(WEIGHTS, INITIAL, scenario())
    for single_weight, double_weight in zip(*both, strict=True):
        assert (single_weight.dtype, double_weight.dtype) == (np.float32, np.float64)
        assert np.array_equal(single_weight, double_weight)


def test_what_is_drawn_is_drawn_here_and_what_is_set_stays():
    angles, kernel, bias, one, pretrained = starting_weights(WEIGHTS, INITIAL, scenario())
    assert np.all((angles >= 0) & (angles < 2 * np.pi + 1e-6))
    assert np.ptp(angles) > 1
    assert np.array_equal(bias, np.full(2, 7.0))
    assert np.all(np.abs(kernel) <= 1.0)
    assert not np.array_equal(kernel, INITIAL[1])
    assert one != INITIAL[3]  # one element is "all equal" whatever a backend drew
    assert np.array_equal(pretrained, INITIAL[4].astype(np.float32))


def test_weights_of_16_bits_start_at_numbers_that_they_can_hold():
    assert np.array_equal(to_bfloat16(np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, -0.1], np.float32)),
                          np.array([1.0, 1.0, 1 + 2**-6, -0.10009765625], np.float32))  # fmt: skip
    half = {**WEIGHTS[1], "dtype": "bfloat16"}
    (drawn,) = starting_weights([half], [INITIAL[1].astype(np.float32)], scenario())
    assert np.array_equal(drawn, to_bfloat16(drawn))


def test_variables_that_are_not_trained_are_shipped_too():
    state = [
        {"path": "bn/moving_mean", "shape": [2], "dtype": "float64", "layer": None, "random": False},
        {"path": "frozen/kernel", "shape": [2, 2], "dtype": "float64", "layer": None, "random": True},
        {"path": "dropout/seed_generator_state", "shape": [2], "dtype": "uint32", "layer": None, "random": True},
        {"path": "noise/seed_generator_state", "shape": [2], "dtype": "uint32", "layer": None, "random": False},
    ]
    built = [np.zeros(2), np.ones((2, 2)), np.array([5, 0], np.uint32), np.array([7, 0], np.uint32)]
    state = read(tuple[Variable, ...], state)
    mean, frozen, drawn, kept = starting_values(state, built, scenario(), STATE_STREAM)
    assert np.array_equal(mean, built[0])
    assert not np.array_equal(frozen, starting_values(state, built, scenario(), WEIGHT_STREAM)[1])
    assert drawn.dtype == np.uint32
    assert not np.array_equal(drawn, built[2])
    assert np.array_equal(kept, built[3])


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_epoch_sees_every_sample_once(seed, shuffle):
    changed = scenario(seed=seed, training={"epochs": 3, "batch_size": 4, "shuffle": shuffle})
    order = make_inputs(changed).order
    assert order.shape == (3, 10)
    assert np.array_equal(np.sort(order, axis=1), np.tile(np.arange(10), (3, 1)))
    assert np.array_equal(order, make_inputs(changed).order)
    if not shuffle:
        assert np.array_equal(order[0], np.arange(10))


def test_another_seed_gives_other_weights():
    first, second = (starting_weights(WEIGHTS, INITIAL, scenario(seed=s)) for s in (0, 1))
    assert not np.array_equal(first[0], second[0])


def test_expected_says_what_was_sent():
    sent = scenario()
    inputs = make_inputs(sent)
    said = sent_and_declared(sent, inputs, starting_weights(WEIGHTS, INITIAL, sent), [np.zeros(3)])
    assert said["hyperparameters"]["beta_1"] == 0.9
    assert [len(said["hashes"][kind]) for kind in ("weights", "state")] == [5, 1]
    assert said["hashes"]["x"] != said["hashes"]["y"]


def test_targets_take_the_shape_of_the_predictions():
    y = np.arange(3.0).reshape(3, 1)
    assert shaped_targets(y, (1,)).shape == (3, 1)
    assert shaped_targets(y, ()).shape == (3,)
    assert np.array_equal(shaped_targets(y, (2,)), [[0, 0], [1, 1], [2, 2]])
    with np.testing.assert_raises(CellEnded):
        shaped_targets(np.zeros((3, 2)), (3,))
