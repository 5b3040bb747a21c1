"""Timing on the real backends: interleaved rounds resolve what is different, and do not resolve what is the same."""

import asyncio
import csv
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import psutil
import pytest

from qparity.records import Timing
from qparity.runner.condition import sentinel
from qparity.runner.inputs import make_inputs
from qparity.runner.local import available_cores
from qparity.runner.plan import make_blocks
from qparity.runner.pool import Pool
from qparity.runner.rounds import Bench, Lane, Record, TimingOptions, started, stopped
from qparity.runner.timing import parties, time_block
from qparity.scenario.load import load_files
from qparity.store import Run
from qparity.timing import Speed, read_block, samples_s
from tests.conftest import SOURCES, backends, variants_of

BLOCK = """
variants = {variants}
data = {{ samples = 6 }}
training = {{ batch_size = 3, epochs = 2 }}
diff_method = "backprop"
"""

# A user's settings by which JAX would find compiled what an earlier run has compiled.
KEEP_COMPILED = {
    "JAX_COMPILATION_CACHE_DIR": "{}/compiled",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


@dataclass(frozen=True)
class Timed:
    """A run of torch and jax-jit on one scenario, its record, and the cells that `show --json` says."""

    folder: Path
    run: Run
    document: Timing
    cells: dict


@pytest.fixture(scope="module")
def timed(tmp_path_factory, qparity):
    folder = tmp_path_factory.mktemp("timed")
    (folder / "s.toml").write_text(BLOCK.format(variants='["torch", "jax-jit"]'))
    with pytest.MonkeyPatch.context() as user:
        for name, value in KEEP_COMPILED.items():
            user.setenv(name, value.format(folder))
        done = qparity("run", "s.toml", "--rounds", 30, "--check", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"timed s: torch the reference.*, jax-jit [\d.]+x faster than torch \[", done.stdout)
    run = Run.load(folder / "results" / done.stdout.splitlines()[-1])
    assert run.damaged == []
    cells = json.loads(qparity("show", "--json", cwd=folder).stdout)["cells"]
    return Timed(folder, run, run.timing("s"), {c["variant"]: c for c in cells})


@pytest.mark.backend("torch", "jax")
def test_a_sweep_with_timing_resolves_jit_against_eager(timed):
    reference, jit = timed.cells["torch"]["timing"], timed.cells["jax-jit"]["timing"]
    assert (reference["reference"], reference["ratio"]) == ("torch", None)
    assert jit["speed"] == "faster"
    assert jit["ratio_low"] < jit["ratio"] < jit["ratio_high"] < 1 / 5
    assert jit["rounds"] >= 6
    assert 0 < jit["break_even"][0] < jit["break_even"][1] < jit["break_even"][2]
    assert timed.cells["jax-jit"]["step_s"] == pytest.approx(timed.cells["torch"]["step_s"] * jit["ratio"], rel=0.5)
    assert jit["start_s"] > reference["start_s"]
    assert 0 < jit["inference_s"] < reference["inference_s"]
    assert all(0 < cell["limit_s"] < cell["step_s"] / 100 for cell in timed.cells.values())
    assert not list(timed.folder.glob("compiled/*"))
    orders = {tuple(each["order"]) for each in timed.document.raw["rounds"]}
    assert orders == {("torch", "jax-jit"), ("jax-jit", "torch")}


@pytest.mark.backend("torch", "jax")
def test_a_profile_says_whose_code_ran(timed):
    eager, jit = (timed.cells[name]["timing"]["shares"] for name in ("torch", "jax-jit"))
    assert sum(eager.values()) == pytest.approx(1)
    assert eager["PennyLane"] + eager["framework"] > 0.4, "a QNode step by step"
    assert jit["PennyLane"] < 0.1, "compiled away"
    stacks = [stack for stack, _ in timed.document.lanes["torch"].children[0].profile.named]
    assert any("qparity.circuit.layer:call" in stack and "pennylane" in " ".join(stack) for stack in stacks)


@pytest.mark.backend("torch", "jax")
def test_every_fresh_process_trained_alike_and_compiled_nothing_while_it_was_timed(timed):
    for lane in timed.document.raw["lanes"].values():
        assert len(lane["children"]) == 3
        assert len({child["weights_sha256"] for child in lane["children"]}) == 1
        assert all(child["finite"] and child["memory"]["peak_bytes"] > 0 for child in lane["children"])
        assert all(child["recompilations"] == 0 for child in lane["children"])
        for once in ("inference_s", "profile"):
            assert [child[once] is not None for child in lane["children"]] == [True, False, False]
        assert lane["steps"] % lane["steps_per_execution"] == 0


@pytest.mark.backend("torch", "jax")
def test_the_phases_add_up_to_the_wall_time(timed):
    """Within 5%; a cell this small may also lose a tenth of a second between two processes on a busy machine."""
    for lane in timed.document.raw["lanes"].values():
        for child in lane["children"]:
            assert sum(child["phases"].values()) == pytest.approx(child["wall_s"], rel=0.05, abs=0.1)
    for outcome in timed.run.outcomes().values():
        phases = outcome.phases
        parts = ("spawn_s", "build_s", "audit_s", "fit_s", "waiting_s", "close_s")
        assert sum(phases[name] for name in parts) == pytest.approx(phases["wall_s"], rel=0.05, abs=0.1)
        assert 0 < outcome.memory.baseline_bytes < outcome.memory.peak_bytes


@pytest.mark.backend("torch", "jax")
def test_pytest_benchmark_reads_the_export(timed, qparity):
    exported = qparity("export", "--format", "pytest-benchmark", "-o", "base.json", cwd=timed.folder)
    assert exported.returncode == 0, exported.stderr
    command = ["pytest-benchmark", "compare", "base.json", "--columns=min,median,rounds", "--csv=table.csv"]
    compared = subprocess.run(command, cwd=timed.folder, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    with (timed.folder / "table.csv").open() as file:
        rows = {row["param:variant"]: row for row in csv.DictReader(file)}
    assert float(rows["torch"]["median"]) == pytest.approx(timed.cells["torch"]["step_s"])
    assert float(rows["jax-jit"]["median"]) == pytest.approx(timed.cells["jax-jit"]["step_s"])
    assert int(rows["torch"]["rounds"]) == timed.cells["torch"]["timing"]["rounds"]


@pytest.mark.backend("torch", "jax")
def test_cells_are_pytest_items_that_replay_their_rounds(timed):
    plugin = () if entry_points(group="pytest11", name="qparity") else ("-p", "qparity.pytest_plugin")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, "--qparity", "s.toml"]
    command += ["--qparity-run", timed.run.id, "--benchmark-json=replayed.json"]
    # a run of its own: in a process that says it is one of several, pytest-benchmark measures nothing
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = alone | {"PYTHONPATH": SOURCES}
    done = subprocess.run(command, cwd=timed.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    found = json.loads((timed.folder / "replayed.json").read_text())["benchmarks"]
    recorded = {variant: samples_s(timed.document, variant) for variant in timed.cells}
    assert {bench["params"]["place"][1]: bench["stats"]["data"] for bench in found} == {
        variant: pytest.approx(samples) for variant, samples in recorded.items()
    }


KNOWN = """
[[expectations]]
scenario = "another"
verdict = "LOCAL-FAULT"
reason = "of another file"
expires = 9999-01-01
"""


@pytest.mark.backend("torch")
def test_cells_as_pytest_items_show_progress_and_take_what_check_and_run_take(tmp_path):
    (tmp_path / "one.toml").write_text(BLOCK.format(variants='["torch"]'))
    (tmp_path / "known.toml").write_text(KNOWN)
    plugin = () if entry_points(group="pytest11", name="qparity") else ("-p", "qparity.pytest_plugin")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, "--qparity", "one.toml"]
    environment = os.environ | {"PYTHONPATH": SOURCES}

    def tried(*options):
        return subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True)

    wrong = tried("--qparity-budget", "2m", "--qparity-no-timing")
    assert (wrong.returncode, list(tmp_path.glob("results/*"))) == (pytest.ExitCode.USAGE_ERROR, [])
    assert '--qparity-budget = "2m": expected no --qparity-no-timing beside it' in wrong.stderr
    done = tried("--qparity-no-timing", "--qparity-expectations", "known.toml")
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "fits no cell of this run" in done.stdout
    assert "[1/1] ✓ one torch" in done.stderr
    (folder,) = tmp_path.glob("results/*")
    assert Run.load(folder).timing("one") is None


@pytest.mark.backend("torch", "jax")
def test_a_resumed_run_is_not_timed_again_and_damaged_rounds_are_not_believed(timed, qparity):
    again = qparity("run", "s.toml", "--resume", "latest", cwd=timed.folder)
    assert again.returncode == 0, again.stderr
    assert "timed" not in again.stdout
    assert timed.run.timing("s").raw == timed.document.raw
    assert qparity("show", cwd=timed.folder).stdout.count("machine's limit]") == 2
    file = timed.run.path / "timings" / "s.json"
    whole = file.read_text()
    file.write_text('{"schema": 1, "lanes": {}, "rounds": [{}], "left_out": {}}')
    assert qparity("show", cwd=timed.folder).stdout.count("[not timed: ") == 2
    file.write_text(whole)


def test_a_variant_against_itself_is_not_resolved_as_10_percent_different(tmp_path):
    name = variants_of(backends()[-1])[-1] if "torch" not in backends() else "torch"
    (tmp_path / "s.toml").write_text(BLOCK.format(variants=json.dumps([name])))
    (block,) = make_blocks(load_files([tmp_path / "s.toml"], None, None))
    lanes = [Lane("a", block.cells[0]), Lane("b", block.cells[0])]

    async def measure():
        async with Pool(tmp_path, 1, {}) as pool:
            return await time_block(pool, block, lanes, tmp_path, available_cores()[-1:], TimingOptions(rounds=30))

    document = asyncio.run(measure())
    timing = read_block(document).lanes["b"]
    assert not document.left_out
    assert timing.rounds >= 6
    assert not (timing.speed is Speed.SLOWER and timing.ratio.low > 1.1)
    assert not (timing.speed is Speed.FASTER and timing.ratio.high < 1 / 1.1)
    assert {tuple(each["order"]) for each in document.raw["rounds"]} == {("a", "b"), ("b", "a")}


def test_waiting_children_and_the_waiting_parent_use_no_cpu(tmp_path):
    (tmp_path / "s.toml").write_text(BLOCK.format(variants=json.dumps([variants_of(backends()[-1])[-1]])))
    (block,) = make_blocks(load_files([tmp_path / "s.toml"], None, None))
    lane, options, record = Lane("a", block.cells[0]), TimingOptions(stretch_s=1.0), Record()

    async def measure():
        async with Pool(tmp_path, 1, {}) as pool:
            cpus = available_cores()[-1:]
            bench = Bench(pool, block, tmp_path, cpus, options, record)
            fresh = await started(bench, make_inputs(block.scenario), lane, 0)
            assert fresh is not None, record.left_out
            process = psutil.Process(fresh.child.pid)
            before = sum(process.cpu_times()[:2])
            await asyncio.sleep(1.0)
            idle = sum(process.cpu_times()[:2]) - before
            wall, own = time.perf_counter(), time.process_time()
            sample = (await fresh.child.request("go")).body
            share = (time.process_time() - own) / (time.perf_counter() - wall)
            await stopped(bench, lane, fresh)
            return idle, share, sample, process.cpu_affinity() == cpus

    idle, share, sample, pinned = asyncio.run(measure())
    assert idle <= 0.02
    assert share < 0.02
    assert pinned
    assert sample["cpu_s"] <= 1.05 * sample["wall_s"]
    assert record.lanes["a"].children[0]["finite"]


def test_a_lane_that_dies_is_left_out_with_its_reason_and_the_rest_is_measured(tmp_path):
    name = variants_of(backends()[-1])[0]
    (tmp_path / "mischief.py").write_text(
        "import os\nimport pennylane as qml\n"
        "def f(inputs, weights, how):\n"
        "    if how == 'die' : os._exit(7)\n"
        "    qml.RX(inputs[..., 0], wires=0)\n    qml.RY(weights[0], wires=0)\n    return qml.expval(qml.Z(0))\n"
    )
    (tmp_path / "s.toml").write_text(
        f'variants = ["{name}"]\ncircuit = "mischief:f"\nweight_shapes = {{ weights = [1] }}\n'
        "data = { samples = 4 }\ntraining = { batch_size = 2 }\n"
        "[matrix]\ncircuit_options = [{ how = 'live' }, { how = 'die' }]\n"
    )
    well, ill = make_blocks(load_files([tmp_path / "s.toml"], None, None))
    lanes = [Lane("well", well.cells[0]), Lane("ill", ill.cells[0])]

    async def measure():
        async with Pool(tmp_path, 1, {}) as pool:
            options = TimingOptions(rounds=6, children=2, stretch_s=0.02)
            return await time_block(pool, well, lanes, tmp_path, available_cores()[-1:], options)

    document = asyncio.run(measure())
    assert document.left_out["ill"].endswith("exit code 7")
    assert list(document.lanes) == ["well"]
    assert read_block(document).lanes["well"].step_s > 0


def test_no_more_children_than_memory_holds_and_the_first_is_always_there():
    lanes = [Lane(str(k), None) for k in range(6)]
    assert [[lane.name for lane in party] for party in parties(lanes, 3)] == [
        ["0", "1", "2"],
        ["0", "3", "4"],
        ["0", "5"],
    ]
    assert parties(lanes, 6) == [lanes]
    assert all(len(party) == 2 for party in parties(lanes, 0))


def test_the_sentinel_leaves_the_parent_where_it_was():
    before = available_cores()
    assert 1e-5 < sentinel(before[:1]) < 1.0
    assert available_cores() == before


@pytest.mark.backend("torch", "jax")
def test_a_budget_is_kept_and_what_it_did_not_reach_is_timed_by_the_command_that_is_said(tmp_path, qparity):
    """One that holds nothing, then the resumed run with another one."""
    (tmp_path / "s.toml").write_text(BLOCK.format(variants='["torch", "jax-jit"]'))
    first = qparity("run", "s.toml", "--budget", "0.1s", "--check", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    *_, said, _, _, name = first.stdout.splitlines()
    assert said.startswith("Speed: nothing was timed within the budget of 0.1s; to time it: qparity run s.toml --check")
    run = Run.load(tmp_path / "results" / name)
    assert (run.record.budget.given_s, run.timing("s")) == (0.1, None)
    spent = run.record.budget.spent_s
    assert 0.1 < spent < 60
    again = qparity("run", "s.toml", "--resume", name, "--budget", "3m", "--target-width", "0.5", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "not timed" not in again.stdout
    run = Run.load(run.path)
    assert run.damaged == []
    assert (run.record.budget.given_s, run.record.budget.spent_s > spent) == (180.0, True)
    lane = read_block(run.timing("s")).lanes["jax-jit"]
    assert lane.ratio.high < 1 / 2
    assert lane.rounds >= 6
