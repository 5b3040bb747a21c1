"""`qparity hunt` finds what is planted, cut down, and accuses nothing else; killed, it goes on; finds are scripts."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from qparity.environments.interpreters import NOTHING
from qparity.hunt import hunt as hunting
from qparity.hunt import rewrites, shrink
from qparity.hunt.begin import begin
from qparity.hunt.told import by_cause
from qparity.runner.local import Options
from qparity.scenario.variant import Variant
from qparity.scenario.written import Gate
from tests.conftest import SOURCES, backends

pytestmark = pytest.mark.skipif("torch" not in backends(), reason="needs torch")

SEED, CELLS = 42, 20
# circuit of the seed -> fault, the step it begins at, verdict, stage, and a gate that must be left
PLANTED = {
    0: ("wrong-wire", 0, "LOCAL-FAULT", "forward", None),
    2: ("angle-modulus", 0, "LOCAL-FAULT", "forward", "RX"),
    3: ("update-lost", 0, "LOCAL-FAULT", "update", None),
    6: ("stale-weights", 1, "LOCAL-FAULT", "forward", None),
    8: ("angle-gradient-sign", 0, "LOCAL-FAULT", "gradient", "RX"),
    9: ("gradient-float32", 0, "PRECISION-LEAK", "gradient", None),
}
ONE_ANGLE = ("RX", "RY", "RZ", "MultiRZ", "PauliRot")
COMMAND = ("hunt", "--cells", CELLS, "--seed", SEED, "-v", "torch", "--json")


def test_six_planted_kinds_are_found_cut_down_and_nothing_else(qparity, tmp_path, monkeypatch):
    faults = [
        {"name": name, "step": step, "scenario": f"c{number:05d}*"} for number, (name, step, *_) in PLANTED.items()
    ]
    monkeypatch.setenv("QPARITY_FAULT", json.dumps(faults))
    done = qparity(*COMMAND, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    finds = [find for cause in told["causes"] for find in cause["finds"]]
    seen = {int(cell[1:6]): find for find in finds for cell in find["cells"]}
    assert set(seen) == set(PLANTED)
    for number, (name, _, verdict, stage, gate) in PLANTED.items():
        find = seen[number]
        assert (find["fault"]["verdict"], find["fault"]["stage"]) == (verdict, stage), find
        assert f"[injected fault: {name}]" in find["reason"]
        assert len(find["gates"]) <= 3, find
        assert gate is None or gate in find["gates"], find
        assert find["where"] == ["torch"]
    run = tmp_path / "results" / told["run"]
    shown = json.loads(qparity("show", "--json", cwd=tmp_path).stdout)
    small = {cell["scenario"] for cell in shown["cells"] if cell["scenario"].endswith("-small")}
    assert small == {find["small"] for find in finds}
    assert (seen[6]["steps"] > 1, seen[2]["steps"]) == (True, 1), "weights are stale from the second step on"
    one = seen[2]
    again = qparity("run", run / "finds" / f"{one['small']}.toml", "--no-timing", "--check", cwd=tmp_path)
    assert again.returncode == 1, "its scenario file shows the planted fault, too"
    script = subprocess.run([sys.executable, one["script"]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert script.returncode == 0, f"the libraries have no such fault: {script.stdout}{script.stderr}"


def test_nothing_is_found_in_a_clean_seed_and_killed_it_goes_on_with_what_is_not_done(qparity, tmp_path):
    command = [sys.executable, "-m", "qparity.cli", *map(str, COMMAND)]
    begun = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": SOURCES})
    patience = time.monotonic() + 300

    def done() -> list[int]:
        files = list(tmp_path.glob("results/*/hunt.json"))
        return json.loads(files[0].read_text())["done"] if files else []

    while len(done()) < 3 and begun.poll() is None and time.monotonic() < patience:
        time.sleep(0.05)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL
    before = done()
    assert 3 <= len(before) < CELLS / 2
    (run,) = tmp_path.glob("results/*")
    kept = {path.name: path.stat().st_mtime_ns for path in (run / "cells").glob("*.json")}
    refused = qparity("hunt", "--resume", run.name, "--seed", 5, cwd=tmp_path)
    assert refused.returncode == 2
    finished = qparity("hunt", "--resume", run.name, "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["causes"] == told["not_counted"] == []
    assert told["counts"]["passed"] > CELLS / 2
    assert sum(told["counts"].get(name, 0) for name in ("passed", "refused", "not compared")) == CELLS
    assert sorted(done()) == list(range(CELLS // 2))
    assert done()[: len(before)] == before
    now = {path.name: path.stat().st_mtime_ns for path in (run / "cells").glob("*.json")}
    assert len(now) == CELLS
    assert now | kept == now, "what was judged is not run again"
    checked = qparity("check", run.name, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_a_rewrite_that_is_another_function_is_found_by_the_second_witness(tmp_path, monkeypatch):
    """Both circuits are right by themselves: the oracle reads what each of them queues."""

    def wrong(gate: Gate) -> tuple[Gate, ...]:
        return (gate.changed(angles=(rewrites.scaled(gate.angles[0], 0.9),)),) if gate.gate in ONE_ANGLE else ()

    monkeypatch.setattr(rewrites, "RULES", {"wrong": wrong})
    monkeypatch.setattr(shrink, "MOST_TRIED", 12)
    monkeypatch.chdir(tmp_path)
    variants = [Variant.parse("torch")]
    run, state = begin(tmp_path, SEED, variants, (None, 4), ["test"], NOTHING)
    state, whole = hunting.hunt(run, state, Options(), lambda *_: None)
    assert whole
    (told,) = by_cause(run, state)
    for find in told.finds:
        assert find.rules == ("wrong",)
        assert set(find.gates) & set(ONE_ANGLE)
        assert find.fault.stage == "rewrite"
    script = subprocess.run([sys.executable, told.finds[0].script], capture_output=True, text=True, check=False)
    assert script.returncode == 1, script.stdout + script.stderr
    assert np.isfinite(float(script.stdout.rsplit(" ", 1)[-1]))


def test_a_channel_that_parameter_shift_differences_is_no_leak(qparity, tmp_path):
    (tmp_path / "noise.toml").write_text(
        'circuit = "qparity.circuit.written:written"\nweight_shapes = { weights = [1] }\nwires = 1\n'
        'device = "default.mixed"\ndiff_method = "parameter-shift"\ndata = { name = "random", samples = 2 }\n'
        "training = { batch_size = 2, epochs = 2 }\n[circuit_options]\n"
        'gates = [{ gate = "AmplitudeDamping", wires = [0], angles = [[[0.02, "w0"], [0.1]]] }]\n'
        'measured = [{ kind = "expval", terms = [[1.0, "X", [0]]] }, { kind = "probs", wires = [0] }]\n'
    )
    done = qparity("run", "noise.toml", "-v", "torch", "--no-timing", "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    other = qparity("hunt", "--resume", "latest", cwd=tmp_path)
    assert (other.returncode, "hunt.json" in other.stderr) == (2, True), "it is no hunt that could go on"


def test_bad_input_is_one_line(qparity, tmp_path):
    for words in (["--minutes", "nan"], ["--resume", "nope"], ["-v", "tensorflow"], ["--cells", "0"]):
        done = qparity("hunt", *words, cwd=tmp_path)
        assert done.returncode == 2, words
        assert len(done.stderr.strip().splitlines()) == 1
