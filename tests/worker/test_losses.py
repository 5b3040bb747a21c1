"""The losses of the exact channel are Keras', value and slope."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from qparity.scenario.errors import ScenarioError
from qparity.scenario.losses import LOSSES
from qparity.scenario.schema import Training
from tests.conftest import SOURCES

OPTIONS = {
    "huber": [{"delta": 0.3}],
    "binary_crossentropy": [{"from_logits": True}, {"label_smoothing": 0.2}],
    "categorical_crossentropy": [{"from_logits": True}, {"label_smoothing": 0.2}],
    "sparse_categorical_crossentropy": [{"from_logits": True}],
    "binary_focal_crossentropy": [{"apply_class_balancing": True}, {"from_logits": True, "gamma": 1.5}],
    "categorical_focal_crossentropy": [{"from_logits": True}, {"alpha": 0.5}],
}
CASES = [(name, options) for name in LOSSES if name != "energy" for options in [{}, *OPTIONS.get(name, [])]]
COMPARE = """
import json, sys, numpy as np, keras
keras.config.set_floatx("float64")
from qparity.scenario.schema import Training
from qparity.worker.training import make_loss
rng, off = np.random.default_rng(1), {}
labels = rng.integers(0, 3, (5, 1))
for number, (name, options) in enumerate(json.load(sys.stdin)):
    f = rng.uniform(0.05, 0.95, (5, 3))
    one_hot = np.eye(3)[labels[:, 0]]
    y = labels if name.startswith("sparse") else one_hot if "categorical" in name or "binary" in name else \\
        rng.integers(0, 2, (5, 3)) * 1.0 if "hinge" in name else rng.uniform(0.1, 1, (5, 3))
    if options.get("from_logits"):
        f = 4 * f - 2
    losses = [make_loss(Training(loss=name, loss_options=options, numerics=n)) for n in ("exact", "stock")]
    pairs = [[float(loss(y, f, weight)) for loss in losses] for weight in (None, rng.uniform(0, 3, 5))]
    off[number] = max(abs(a - b) / max(1e-3, abs(b)) for a, b in pairs)
print(json.dumps(off))
"""


def test_both_channels_are_one_definition():
    environment = os.environ | {"KERAS_BACKEND": "numpy", "PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", COMPARE]
    done = subprocess.run(
        command, input=json.dumps(CASES), env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-1500:]
    off = json.loads(done.stdout.splitlines()[-1])
    assert len(off) == len(CASES)
    assert {str(CASES[int(n)]): error for n, error in off.items() if not error < 1e-6} == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [({"delta": "x"}, "a number"), ({"delt": 1.0}, "did you mean delta"), ({"delta": True}, "a number")],
)
def test_an_option_that_is_none_is_refused(options, words):
    with pytest.raises((ScenarioError, ValueError), match=words):
        Training(loss="huber", loss_options=options)
    assert np.isfinite(Training(loss="huber", loss_options={"delta": 0.5}).loss_options["delta"])
