"""The sweep that nothing disturbs, to compare with."""

import pytest

from qparity.store import Run
from tests.reliability.sweeps import Sweeps

SECONDS = 0.1


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Run:
    return Sweeps(tmp_path_factory.mktemp("undisturbed"), seconds=SECONDS).sweep()


@pytest.fixture
def sweeps(tmp_path) -> Sweeps:
    return Sweeps(tmp_path, seconds=SECONDS)
