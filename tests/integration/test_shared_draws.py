"""Random layers draw the same numbers on every backend, in graphs and compiled, and good ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SOURCES, backends

EXACT = ("uniform", "again", "randint", "shuffle", "categorical", "mask", "rows")


@pytest.fixture(scope="module")
def drawn():
    """What each backend, and the reference, drew."""
    script = Path(__file__).parent / "shared_draws.py"
    environment = os.environ | {"PYTHONPATH": SOURCES}
    started = {
        name: subprocess.Popen([sys.executable, script, name], env=environment, stdout=subprocess.PIPE, text=True)
        for name in ("numpy", *backends())
    }
    return {name: json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for name, process in started.items()}


def test_what_is_uniform_or_a_mask_is_the_same_to_the_last_bit(drawn):
    for name in EXACT:
        assert len({found[name]["bits"] for found in drawn.values()}) == 1, name


def test_normal_numbers_are_the_same_to_rounding(drawn):
    for name in ("normal", "truncated"):
        for found in drawn.values():
            np.testing.assert_allclose(found[name]["some"], drawn["numpy"][name]["some"], atol=2e-6)


def test_masks_of_a_training_are_the_same_in_graphs_and_under_xla(drawn):
    fits = {found[name]["bits"] for found in drawn.values() for name in found if name.startswith("fit")}
    assert len(fits) == 1


def test_the_numbers_are_good_ones(drawn):
    found = drawn["numpy"]
    assert found["uniform"]["bits"] != found["again"]["bits"]
    assert abs(found["uniform"]["mean"] - 0.5) < 0.01
    assert abs(found["uniform"]["std"] - 12**-0.5) < 0.01
    assert abs(found["normal"]["mean"]) < 0.03
    assert abs(found["normal"]["std"] - 1) < 0.03
    assert abs(found["truncated"]["std"] - 0.8796) < 0.02
    assert max(map(abs, found["truncated"]["some"])) <= 2
    assert abs(found["mask"]["mean"] - 0.7) < 0.1
    assert sorted(found["shuffle"]["some"]) == list(range(20))
