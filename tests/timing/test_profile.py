"""Profiles: whose code ran, the tree of calls, and the picture of it."""

import re

import pytest

from qparity.records import read
from qparity.records.timing import Profile
from qparity.reporting.flame import boxes, flame
from qparity.timing.profile import group_of, shares, tree

FUNCTIONS = (
    "keras.src.trainers.trainer:step", "keras.src.utils.traceback_utils:error_handler", "pennylane.qnode:execute",
    "torch.autograd:backward", "threading:wait",
)  # fmt: skip
STACKS = (((0, 1, 2), 60), ((0, 3), 25), ((0,), 10), ((4,), 5))
PROFILE = Profile(10, 0.1, 100, 0, FUNCTIONS, STACKS)


@pytest.mark.parametrize(
    ("function", "group"),
    [
        ("pennylane.devices.default_qubit:execute", "PennyLane"), ("jax._src.api:jit", "framework"),
        ("jaxlib.xla:run", "framework"), ("tensorflow.python.eager:execute", "framework"),
        ("numpy:dot", "NumPy"), ("qparity.circuit.layer:call", "qparity"), ("threading:wait", "Python"),
        ("torchvision.io:read", "Python"),
    ],
)  # fmt: skip
def test_whose_code_a_function_is(function, group):
    assert group_of(function) == group


def test_shares_are_of_the_innermost_function_and_add_up():
    found = shares(PROFILE)
    expected = {"PennyLane": 0.6, "framework": 0.25, "Keras": 0.1, "Python": 0.05}
    assert {name: share for name, share in found.items() if share} == expected
    assert sum(found.values()) == pytest.approx(1)
    assert shares(Profile(1, 0.1, 0, 0, (), ())) == {}


def test_the_tree_counts_what_is_called_and_leaves_out_wrappers():
    step, wait = tree(PROFILE).largest()
    assert (step.count, wait.count) == (95, 5)
    assert [call.function for call in step.largest()] == ["pennylane.qnode:execute", "torch.autograd:backward"]


def test_the_picture_is_as_wide_as_the_samples_and_shows_no_markup():
    drawn = {box.call.function: box for box in boxes(PROFILE)}
    assert drawn["pennylane.qnode:execute"].share == pytest.approx(0.6)
    assert drawn["torch.autograd:backward"].left == pytest.approx(0.6)
    assert drawn["torch.autograd:backward"].row == 1
    svg = flame(Profile(1, 0.1, 1, 0, ("<b>:<script>",), (((0,), 1),)), "a <label>")
    assert "<script>" not in svg
    assert "<b>" not in svg
    assert re.search(r"<title>&lt;b&gt;:&lt;script&gt;: 100.0%</title>", svg)
    assert boxes(Profile(1, 0.1, 0, 0, (), ())) == []


def test_a_profile_is_read_as_it_was_written():
    from dataclasses import asdict

    assert read(Profile, asdict(PROFILE)) == PROFILE
    for odd in ([["a"]], [[[5], 1]], [[[], 1]], [[[-1], 1]]):
        with pytest.raises(ValueError, match=r"stacks\[0\]"):
            read(Profile, asdict(PROFILE) | {"stacks": odd})
