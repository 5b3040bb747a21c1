"""A package of ten releases whose seventh turns a gate the other way: `qparity bisect` finds it, killed in between."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import SOURCES, backends
from tests.planted import CIRCUIT, wheel

pytestmark = pytest.mark.skipif("jax" not in backends(), reason="needs jax")

DEVICE = """
from pennylane import RX
from pennylane.devices import DefaultQubit
from pennylane.tape import QuantumScript

{first}


class Planted(DefaultQubit):
    name = "planted.qubit"

    def execute(self, circuits, execution_config=None):
        tapes = (circuits,) if isinstance(circuits, QuantumScript) else circuits
        found = super().execute([turned(tape) for tape in tapes], execution_config)
        return found[0] if isinstance(circuits, QuantumScript) else found


def turned(tape):
    gates = [RX({sign} * gate.data[0], gate.wires) if gate.name == "RX" else gate for gate in tape.operations]
    return tape.copy(operations=gates)
"""
PLUGIN = "[pennylane.plugins]\nplanted.qubit = planted:Planted\n"
SCENARIO = """
name = "turned"
circuit = "mine:circuit"
weight_shapes = { weights = [1] }
device = "planted.qubit"
diff_method = "parameter-shift"
data = { samples = 2 }
training = { batch_size = 1, epochs = 1 }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a scenario on the planted device, and an index of its releases; a pre-release repairs it.

    The eighth cannot be imported.
    """
    folder = tmp_path_factory.mktemp("bisect")
    for n in range(1, 12):
        release = f"1.{n}" if n < 11 else "1.11rc1"
        first = "import a_module_that_is_nowhere" if n == 8 else ""
        code = DEVICE.format(sign=-1 if 7 <= n < 11 else 1, first=first)
        files = {"planted.py": code, f"planted-{release}.dist-info/entry_points.txt": PLUGIN}
        wheel(folder / "wheels", "planted", release, files)
    (folder / "turned.toml").write_text(SCENARIO)
    (folder / "mine.py").write_text(CIRCUIT)
    return folder


@pytest.fixture(autouse=True)
def _index(place, monkeypatch):
    settings = {"NO_INDEX": "1", "FIND_LINKS": str(place / "wheels"), "CONFIG_FILE": os.devnull}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("QPARITY_ENVS", str(place / "envs"))


COMMAND = ("bisect", "turned.toml", "-v", "jax", "--package", "planted", "--json")


def kept(place) -> list[str]:
    """The releases whose evaluation is on disk."""
    files = list(place.glob("results/bisect-*/evaluations.json"))
    return [each["release"] for each in json.loads(files[0].read_text())["evaluations"]] if files else []


def test_the_release_is_found_in_four_evaluations_though_it_is_killed(place, qparity):
    begun = subprocess.Popen(
        [sys.executable, "-m", "qparity.cli", *COMMAND], cwd=place, env=os.environ | {"PYTHONPATH": SOURCES}
    )
    patience = time.monotonic() + 600
    while len(kept(place)) < 2 and begun.poll() is None and time.monotonic() < patience:
        time.sleep(0.1)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    before = kept(place)
    done = qparity(*COMMAND, cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["old"], found["new"], found["between"]) == ("1.6", "1.7", [])
    assert before == ["1.10", "1.5"]
    assert [each["release"] for each in found["evaluations"]] == ["1.10", "1.5", "1.7", "1.6"]
    assert found["ran"] == 2, "what was run before it was killed is not run again"
    ends = {each["release"]: (each["said"], each["tensor"]) for each in found["evaluations"]}
    assert ends["1.7"] == ("LOCAL-FAULT forward", "predictions")
    assert ends["1.6"][0] == "ROUNDING"
    run = json.loads((place / next(place.glob("results/bisect-*/1.6/*/run.json"))).read_text())
    versions = {key.partition("@")[0]: worker["versions"] for key, worker in run["workers"].items()}
    assert versions["jax"]["planted"] == "1.6"
    assert run["environment"]["requirements"] == ["planted==1.6"]
    text = (place / found["issue text"]).read_text()
    assert "planted 1.6: exit code 0, it does not show" in text
    assert "planted 1.7: exit code 1, the divergence shows" in text


def test_a_release_that_cannot_be_imported_is_passed_over_and_said(place, qparity):
    """It goes on from what the test before has kept."""
    done = qparity(*COMMAND, "--good", "1.6", cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["old"], found["new"]) == ("1.6", "1.7")
    broken = next(each for each in found["evaluations"] if each["release"] == "1.8")
    assert (broken["verdict"], found["ran"]) == (None, 1)
    assert "a_module_that_is_nowhere" in broken["reason"]
    assert "planted 1.8: " in done.stderr
    assert "cannot say" in done.stderr


def test_a_table_over_releases_says_which_pass_and_goes_on_from_what_is_kept(place, qparity):
    """1.6 and 1.7 were evaluated by the tests before; the table of the file has the ends besides."""
    text = SCENARIO + '[versions]\nplanted = ["oldest", "1.6", "1.7", "1.8"]\n'
    (place / "table.toml").write_text(text)
    done = qparity("versions", "table.toml", "-v", "jax", "-o", "versions.md", "--report", "page.html", cwd=place)
    assert done.returncode == 1, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| 1.")]
    assert rows == [
        "| 1.1 | ✓ ROUNDING |",
        "| 1.6 | ✓ ROUNDING |",
        "| 1.7 | ✗ LOCAL-FAULT forward |",
        "| 1.8 | ? unsupported |",
    ]
    assert "| planted | turned on jax |" in done.stdout
    assert "a_module_that_is_nowhere" in done.stdout
    assert (place / "versions.md").read_text() == done.stdout
    page = (place / "page.html").read_text()
    assert '<td id="planted/1.7/turned%20on%20jax"><a class="fail"' in page
    assert "a_module_that_is_nowhere" in page
    found = json.loads(qparity("versions", "table.toml", "-v", "jax", "--json", cwd=place).stdout)
    assert [row["release"] for row in found["rows"]] == ["1.1", "1.6", "1.7", "1.8"]
    assert found["exit_code"] == 1


def test_the_newest_is_a_pre_release_only_if_that_is_asked_for(place, qparity):
    """The others are kept from the tests before."""
    (place / "newest.toml").write_text(SCENARIO + '[versions]\nplanted = ["newest"]\n')
    for asked, row in (
        ([], "| 1.10 | ✗ LOCAL-FAULT forward |"),
        (["--pre"], "| 1.11rc1 | ✓ ROUNDING |"),
        (["--package", "planted=1.11rc1"], "| 1.11rc1 | ✓ ROUNDING |"),
    ):
        done = qparity("versions", "newest.toml", "-v", "jax", *asked, cwd=place)
        assert row in done.stdout.splitlines(), done.stdout + done.stderr


@pytest.mark.parametrize("asked", ["planted", "planted=", "=1.1", "planted==1.1"])
def test_odd_releases_are_one_line(place, qparity, asked):
    done = qparity("versions", "turned.toml", "-v", "jax", "--package", asked, cwd=place)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "expected NAME=RELEASE,RELEASE" in done.stderr


def test_a_watch_says_which_release_changes_a_verdict(place, qparity):
    """All of it is kept from the tests before."""
    done = qparity("watch", "turned.toml", "-v", "jax", "--package", "planted=1.5", "-o", "issue.md", cwd=place)
    assert done.returncode == 1, done.stdout + done.stderr
    text = (place / "issue.md").read_text()
    assert "## A newer release changes a verdict" in text
    assert "turned on jax: planted 1.5 → 1.10: ROUNDING → LOCAL-FAULT forward." in text
    assert "planted 1.6 is ROUNDING, 1.7 is LOCAL-FAULT forward" in text
    same = qparity("watch", "turned.toml", "-v", "jax", "--package", "planted=1.7", cwd=place)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "as before" in same.stdout
    newest = qparity("watch", "turned.toml", "-v", "jax", "--package", "planted=1.10", cwd=place)
    assert newest.returncode == 0
    assert "There is nothing newer than planted 1.10." in newest.stdout
    missing = qparity("watch", "turned.toml", "-v", "jax", "--package", "planted", cwd=place)
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
    assert "planted is not installed" in missing.stderr
