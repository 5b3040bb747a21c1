"""The tests of `tests/backend`, inside tensorflow."""

import pytest

from tests.backend.inside import run_inside


@pytest.mark.backend("tensorflow")
def test_layer_inside():
    run_inside("tensorflow")
