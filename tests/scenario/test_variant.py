"""Variant names, there and back."""

import pytest

from qparity.scenario.errors import ScenarioError
from qparity.scenario.variant import DEFAULT_VARIANTS, MODES, Variant


@pytest.mark.parametrize("name", MODES)
def test_names_round_trip(name: str) -> None:
    plain = Variant.parse(name)
    assert (plain.backend, plain.mode, plain.accelerator) == (*MODES[name], "cpu")
    assert str(plain) == name
    assert Variant.parse(f"{name}@cpu") == plain
    gpu = Variant.parse(f"{name}@gpu")
    assert gpu.accelerator == "gpu"
    assert str(gpu) == f"{name}@gpu"


def test_defaults() -> None:
    assert list(map(str, DEFAULT_VARIANTS)) == ["tf-graph", "torch", "jax-jit"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tensorflow", 'did you mean "tf"?'),
        ("tensorflow@gpu", 'did you mean "tf@gpu"?'),
        ("PyTorch", 'did you mean "torch"?'),
        ("jax_jit", 'did you mean "jax-jit"?'),
        ("torch@cuda", "torch@cpu or torch@gpu"),
        ("torch@", "torch@cpu or torch@gpu"),
        ("", "a variant: tf, tf-graph"),
        (3, "a variant: tf, tf-graph"),
    ],
)
def test_anything_else_is_refused_with_a_hint(text: object, hint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Variant.parse(text)
    assert hint in str(caught.value)
