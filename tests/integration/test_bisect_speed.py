"""A package of four releases whose last sleeps in every execution: `qparity bisect --speed` finds it."""

import json
import os

import pytest

from tests.conftest import backends
from tests.planted import CIRCUIT, wheel

pytestmark = pytest.mark.skipif("torch" not in backends(), reason="needs torch")

SLEEPS = 0.05
DEVICE = """
import time

from pennylane.devices import DefaultQubit


class Slow(DefaultQubit):
    name = "slow.qubit"

    def execute(self, circuits, execution_config=None):
        time.sleep({sleeps})
        return super().execute(circuits, execution_config)
"""
PLUGIN = "[pennylane.plugins]\nslow.qubit = slow:Slow\n"
SCENARIO = """
name = "slow"
circuit = "mine:circuit"
weight_shapes = { weights = [1] }
device = "slow.qubit"
diff_method = "parameter-shift"
data = { samples = 2 }
training = { batch_size = 1, epochs = 1 }
"""
COMMAND = ("bisect", "slow.toml", "-v", "torch", "--package", "slow", "--rounds", 8, "--speed")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a scenario on the slow device, and an index of its releases; the second cannot be installed."""
    folder = tmp_path_factory.mktemp("speed")
    for n in range(1, 5):
        files = {
            "slow.py": DEVICE.format(sleeps=0.0 if n < 4 else SLEEPS),
            f"slow-1.{n}.dist-info/entry_points.txt": PLUGIN,
        }
        needs = ["a_package_that_is_nowhere"] if n == 2 else []
        wheel(folder / "wheels", "slow", f"1.{n}", files, needs)
    (folder / "slow.toml").write_text(SCENARIO)
    (folder / "mine.py").write_text(CIRCUIT)
    return folder


@pytest.fixture(autouse=True)
def _index(place, monkeypatch):
    settings = {"NO_INDEX": "1", "FIND_LINKS": str(place / "wheels"), "CONFIG_FILE": os.devnull}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("QPARITY_ENVS", str(place / "envs"))


def test_the_slow_release_is_found_and_what_was_measured_is_kept(place, qparity):
    done = qparity(*COMMAND, 1.5, "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["old"], found["new"], found["between"], found["factor"]) == ("1.3", "1.4", [], 1.5)
    made = {each["release"]: each for each in found["evaluations"]}
    assert list(made) == ["1.4", "1.2", "1.3"]
    assert made["1.2"]["status"] == "not installed", "passed over for the one nearest to it"
    assert made["1.4"]["pace"]["low"] > 1.5
    assert made["1.3"]["pace"]["high"] < 1.5
    assert made["1.3"]["versions"]["slow"] == "1.3"
    assert made["1.3"]["pace"]["good_versions"]["slow"] == "1.1"
    text = (place / found["issue text"]).read_text()
    assert f"with 1.4 and {made['1.3']['said']} times with 1.3" in text
    assert "--good 1.1 --bad 1.4 --speed 1.5" in text
    rounds = json.loads(next(place.glob("results/bisect-slow-torch-slow-speed-*/1.4/timing.json")).read_text())[
        "rounds"
    ]
    assert all(set(each["samples"]) == {"1.1", "1.4"} for each in rounds), "both in every round"
    assert {tuple(each["order"]) for each in rounds} == {("1.1", "1.4"), ("1.4", "1.1")}, "in turn"


def test_another_factor_asks_what_was_measured_and_one_that_is_larger_finds_nothing(place, qparity):
    """All but what could not be installed is kept from the test before."""
    done = qparity(*COMMAND, 1000, "--json", cwd=place)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert ([each["release"] for each in found["evaluations"]], found["ran"]) == (["1.4"], 0)
    again = qparity(*COMMAND, 1.5, cwd=place)
    assert again.returncode == 0, again.stderr
    assert "releases: 4, evaluated: 3, 2 of them found from before" in again.stdout
