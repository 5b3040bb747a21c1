"""Layers that one backend has wrong are named, with their direction: a sample of benchmarks/planted_faults.py."""

import importlib.util
import sys
from dataclasses import replace

import pytest

from tests.conftest import ROOT, variants

spec = importlib.util.spec_from_file_location("planted_faults", ROOT / "benchmarks" / "planted_faults.py")
planted_faults = sys.modules["planted_faults"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planted_faults)

EAGER = next(variant for variant in ("torch", "tf", "jax") if variant in variants())
NAMES = ("running-mean", "second-call", "partial-batch", "derivative")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What was found of the sample, by fault: on one backend, since it is the judge's part that is looked at."""
    faults = {fault.name: fault for fault in planted_faults.FAULTS}
    planted = [(faults[name], "float32", EAGER, False) for name in NAMES]
    return {each.fault.name: each for each in planted_faults.found(tmp_path_factory.mktemp("planted"), planted)}


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_fault_is_found_with_its_layer_and_its_direction(found, name):
    assert found[name].right, found[name].words


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_or_a_direction_that_is_another_one_is_not_right(found, name):
    one = found[name]
    other = planted_faults.BACKWARD if one.layer.direction == planted_faults.FORWARD else planted_faults.FORWARD
    assert not replace(one, layer=replace(one.layer, direction=other)).right
    assert not replace(one, layer=replace(one.layer, layer="circuit")).right
