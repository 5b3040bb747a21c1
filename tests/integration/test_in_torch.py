"""The tests of `tests/backend`, inside torch."""

import pytest

from tests.backend.inside import run_inside


@pytest.mark.backend("torch")
def test_layer_inside():
    run_inside("torch")
