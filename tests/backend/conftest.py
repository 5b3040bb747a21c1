"""Tests that run inside one Keras backend: `tests/integration/test_in_torch.py` and its like start them.

To run them by hand: `KERAS_BACKEND=torch QPARITY_IN_BACKEND=torch pytest tests/backend`.
"""

import os
import sys

import numpy as np
import pytest

IN_BACKEND = os.environ.get("QPARITY_IN_BACKEND")
collect_ignore_glob = [] if IN_BACKEND else ["test_*.py"]

if IN_BACKEND:
    from qparity.worker import backends

    os.environ.update(backends.environment(IN_BACKEND, "cpu", 1))
    if IN_BACKEND != "tensorflow":
        sys.modules["tensorflow"] = None  # Keras would import it to set its seed: 10 s, and nothing here needs it


@pytest.fixture(scope="session")
def backend():
    """The backend's own worker-side object, started for float64."""
    loaded = backends.load(IN_BACKEND, "cpu", 1)
    loaded.start("float64")
    return loaded


@pytest.fixture(autouse=True)
def _float64(backend):
    """Declared float64, and the same starting weights in every run of the suite."""
    import keras

    def declare() -> None:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")  # Keras keeps the first one it made, whatever floatx becomes

    declare()
    keras.utils.set_random_seed(7)
    yield
    declare()


@pytest.fixture
def rng():
    return np.random.default_rng(7)
