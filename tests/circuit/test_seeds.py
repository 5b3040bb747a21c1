"""A training script's seeds: TensorFlow is not imported for them, and is seeded where the script imports it."""

import os
import subprocess
import sys

import pytest

from tests.conftest import SOURCES

SCRIPT = """
import sys
from qparity.worker.reference import keras_on_numpy
keras_on_numpy.load()
import keras
import numpy as np
from qparity.circuit.seeds import seeded

with seeded():
    first = np.random.rand()
    keras.utils.set_random_seed(3)
    assert "tensorflow" not in sys.modules
    import tensorflow as tf
    drawn = float(tf.random.uniform(()))
    keras.utils.set_random_seed(3)
    assert float(tf.random.uniform(())) == drawn
tf.random.set_seed(3)
assert float(tf.random.uniform(())) == drawn
with seeded():
    assert np.random.rand() == first
print("right")
"""


@pytest.mark.backend("tensorflow")
def test_tensorflow_is_seeded_when_it_is_imported():
    environment = os.environ | {"PYTHONPATH": SOURCES, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, text=True, capture_output=True, timeout=300)
    assert run.stdout == "right\n", run.stderr[-3000:]
