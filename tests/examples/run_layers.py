"""The layer of README.md and that of docs/layer.md in a plain `model.fit`, on every backend and in both precisions."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import ROOT, SOURCES
from tests.examples.blocks import blocks_of

WAYS = {
    "tf-graph": ("tensorflow", "run_eagerly=False, jit_compile=False"),
    "torch": ("torch", "run_eagerly=True, jit_compile=False"),
    "jax-jit": ("jax", "run_eagerly=False, jit_compile=True"),
}
FIT = """
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.uniform(0.1, 1, (6, model.input_shape[1])), rng.uniform(-1, 1, (6, 1))
model.compile("adam", "mse", {compiled})
history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
assert np.isfinite(history.history["loss"]).all()
assert len(set(history.history["loss"])) == 2, "it learns nothing"
assert model.predict(x, verbose=0).shape == (6, 1)
"""


def scripts() -> dict[str, str]:
    """The circuit and the layer of README.md, and the first block of docs/layer.md."""
    readme = [block.text for block in blocks_of(ROOT / "README.md") if block.language == "python"]
    circuit = next(text for text in readme if "def circuit" in text)
    layer = next(text for text in readme if "QKerasLayer(circuit" in text)
    page = next(block.text for block in blocks_of(ROOT / "docs" / "layer.md") if block.language == "python")
    return {"README.md": circuit + layer, "docs/layer.md": page}


@pytest.mark.parametrize(("which", "dtype", "variant"), list(product(scripts(), ("float32", "float64"), WAYS)))
def test_the_layer_of_a_page_trains(which: str, dtype: str, variant: str, tmp_path: Path):
    backend, compiled = WAYS[variant]
    declared = f"import keras\n\nkeras.config.set_floatx({dtype!r})\n"
    script = tmp_path / "script.py"
    script.write_text(declared + scripts()[which] + FIT.format(compiled=compiled), encoding="utf-8")
    told = {"KERAS_BACKEND": backend, "PYTHONPATH": SOURCES} | ({"JAX_ENABLE_X64": "1"} if dtype == "float64" else {})
    done = subprocess.run([sys.executable, str(script)], env=os.environ | told, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
