"""What is written of a find: a scenario file that is the scenario, and a script for what ended with NaN."""

import json
import subprocess
import sys

import pytest

from qparity.hunt import kept
from qparity.hunt.draw import draw
from qparity.hunt.kept import Fault, Find, State
from qparity.hunt.scripts import toml, write_script
from qparity.records import Plan
from qparity.scenario.load import parse
from qparity.scenario.variant import Variant
from qparity.scenario.written import Gate, Measurement, Written
from qparity.store import Run, StoreError, atomic

TORCH = Variant.parse("torch")


def find(**fields) -> Find:
    about = {"device": "default.mixed", "diff_method": "backprop", "variant": "torch", "cells": ("c00000/torch",)}
    return Find(**({"fault": Fault("diverged"), "reason": "gradient is nan"} | about | fields))


def test_a_scenario_file_is_the_scenario(tmp_path):
    for number in range(60):
        scenario = draw(3, number, [TORCH]).scenario()
        (read,) = parse(toml(scenario, ["torch", "jax-jit"]).encode(), tmp_path / "one.toml").scenarios
        assert read == scenario


@pytest.mark.backend("torch")
def test_the_script_of_a_training_that_leaves_the_finite_numbers_shows_that(tmp_path):
    """docs/found/mixed_state_nan.py: two outcomes have no probability."""
    gates = (Gate("RX", (0,), (((1.0, ("w0",)),),)), Gate("CNOT", (0, 1)))
    drawn = draw(3, 0, [TORCH])
    settings = {"device": "default.mixed", "diff_method": "backprop", "wires": 2, "dtype": "float64"}
    measured = Measurement("expval", ((1.0, "Z", (0,)),))
    drawn.training.update(settings)
    run = Run.create(tmp_path, Plan().to_dict(), {}, ["test"])
    script, why = write_script(run, find(), [drawn.scenario(Written(gates, (measured,)))], tmp_path)
    assert script is not None, why
    done = subprocess.run([sys.executable, "-W", "ignore", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (1, ["not finite"]), done.stderr


def test_finds_with_the_same_left_are_one():
    gates = ("RX", "adjoint(PauliRot)")
    assert find(gates=gates, measured=("expval",)).key == find(gates=gates[1:], measured=("expval",)).key
    assert find(gates=gates).key != find(gates=("RX",)).key
    assert find(gates=gates).key != find(gates=gates, device="default.qubit").key
    assert find(gates=gates).key != find(gates=gates, steps=2).key
    assert find(gates=("RX",)).key == find(gates=("RX", "RX")).key != find(gates=("CNOT",)).key


def test_what_is_kept_is_read_with_suspicion(tmp_path):
    state = State(3, ("torch",), 60.0, None, 1.5, (0, 1), {"circuits": 2, "passed": 4}, (find(where=("torch",)),))
    kept.write(tmp_path, state)
    assert kept.load(tmp_path) == state
    assert state.drawn == 4
    document = json.loads((tmp_path / kept.FILE).read_text())
    for key, value in (("seed", "3"), ("done", [-1]), ("finds", [{}]), ("counts", {"passed": 0.5})):
        atomic.write_json(tmp_path / kept.FILE, document | {key: value})
        with pytest.raises(StoreError, match=key):
            kept.load(tmp_path)
    (tmp_path / kept.FILE).write_text("{")
    with pytest.raises(StoreError, match=r"hunt\.json"):
        kept.load(tmp_path)
