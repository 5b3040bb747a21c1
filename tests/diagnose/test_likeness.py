"""What wrong numbers look like is said where a known mistake gives all of them, and nowhere else."""

import pytest

from qparity.diagnose import find
from qparity.diagnose.likeness import likeness
from tests.diagnose.test_hostile_run import make

SAID = {
    "sign flip": "every entry of the gradient has the opposite sign",
    "gradient x2": "every entry of the gradient is 2 times what is expected",
    "sum for mean": "the loss is 4 times what is expected: the batch has 4 samples",
    "float32 forward": "every entry of the prediction is a float32 number",
    "float32 gradient": "every entry of the gradient is a float32 number",
    "wrong wire": "gate 1, qml.RZ(weights[0][0], wires=0), on wire 1",
    "reversed CNOT": "every CNOT turned round",
    "secretly shuffled": "the numbers of the prediction are right, in another order",
    "secretly stale": "that of the weights before step 1: they are stale by 1 step",
    "lr + 1e-4": "every entry of the change of the weights is (1 + 0.0001) times what is expected",
}


@pytest.mark.parametrize("fault", SAID)
def test_a_known_mistake_is_named(tmp_path, fault):
    run = make(tmp_path, fault, at=2 if fault == "secretly stale" else 0)
    assert SAID[fault] in likeness(find(run, "fake/torch"))


@pytest.mark.parametrize("fault", ["off by one", "gradient x(1+1e-4)", "beta2 .9991"])
def test_what_nothing_known_gives_is_left_alone(tmp_path, fault):
    assert likeness(find(make(tmp_path, fault), "fake/torch")) == ""
