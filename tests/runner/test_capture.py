"""Functions that make data run in an interpreter of their own; options of scripts are for scripts."""

import numpy as np
import pytest

from qparity.runner.capture import CaptureError, ScriptOptions, load_all
from qparity.runner.inputs import inputs_of
from qparity.runner.plan import make_blocks
from qparity.scenario.errors import ScenarioError

MODULE = """
import sys
import numpy as np

def load(samples, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(size=(samples, 4, 3))
    return x, (x.sum(axis=(1, 2)) > 0).astype(int)

def few(samples):
    return np.zeros((samples, 2)), np.zeros(samples - 1)

def words():
    return np.array(["a", "b"]), np.zeros(2)

def where(samples):
    import os
    there = ["tensorflow", "torch", "jax"].index(os.environ["KERAS_BACKEND"])
    with open("asked", "a") as file:
        file.write("once ")
    return np.full((samples, 2), there), np.zeros(samples)

def broken():
    raise RuntimeError("no data today")
"""


@pytest.fixture
def scenario(tmp_path):
    (tmp_path / "my_data.py").write_text(MODULE)

    def written(source, more=""):
        file = tmp_path / "s.toml"
        file.write_text(
            f'variants = ["torch"]\nmodel = "m:build"\ndata = {{ source = "{source}", samples = 6{more} }}\n'
        )
        (tmp_path / "m.py").write_text("def build(): ...\n")
        return file

    return written


def test_a_function_makes_the_data_of_a_scenario(scenario):
    (block,) = make_blocks(load_all([scenario("my_data:load", ", scale = 2.0")]))
    inputs = inputs_of(block)
    assert (inputs.x.shape, inputs.y.shape, inputs.shape) == ((6, 4, 3), (6, 1), ((4, 3), 1))
    half = inputs_of(make_blocks(load_all([scenario("my_data:load")]))[0])
    assert np.allclose(inputs.x, 2 * half.x)
    assert block.scenario.data.sha256


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("my_data:few", "as many targets as samples"),
        ("my_data:words", "real numbers"),
        ("my_data:broken", "no data today"),
        ("my_data:absent", "absent"),
    ],
)
def test_a_function_that_makes_no_data_is_one_line(scenario, source, told):
    with pytest.raises(CaptureError, match=told) as raised:
        load_all([scenario(source)])
    assert "\n" not in str(raised.value)


@pytest.mark.backend("torch")
def test_a_function_is_asked_once_and_finds_a_backend_that_is_there(scenario, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    file = scenario("my_data:where")
    file.write_text(file.read_text() + '[matrix]\ndtype = ["float32", "float64"]\n')
    blocks = load_all([file])
    assert len(blocks) == 2
    assert all((block.given.x == 1).all() for block in blocks)  # torch
    assert (tmp_path / "asked").read_text() == "once "


def test_a_module_that_is_not_there_is_bad_input(scenario):
    with pytest.raises(ScenarioError, match=r"no nowhere\.py"):
        load_all([scenario("nowhere:load")])


@pytest.mark.parametrize("options", [ScriptOptions(steps=3), ScriptOptions(("a",)), ScriptOptions(fit=2)])
def test_options_of_scripts_are_for_scripts(scenario, options):
    with pytest.raises(ScenarioError, match="training script"):
        load_all([scenario("my_data:load")], options=options)


def test_a_script_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(ScenarioError, match="that is there"):
        load_all([tmp_path / "train.py"])
