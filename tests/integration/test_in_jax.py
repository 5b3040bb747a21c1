"""The tests of `tests/backend`, inside jax."""

import pytest

from tests.backend.inside import run_inside


@pytest.mark.backend("jax")
def test_layer_inside():
    run_inside("jax")
