"""Timing on the real backends: interleaved rounds resolve what is different, and do not resolve what is the same."""

import asyncio
import json
import re
import time

import psutil
import pytest

from harness.runner.condition import sentinel
from harness.runner.inputs import make_inputs
from harness.runner.local import available_cores
from harness.runner.plan import make_blocks
from harness.runner.pool import Pool
from harness.runner.timing import Lane, Record, TimingOptions, parties, started, stopped, time_block
from harness.scenario.load import load_files
from harness.store import Run
from harness.timing import Speed, read_block
from tests.conftest import VARIANTS, backends

BLOCK = """
variants = {variants}
data = {{ samples = 6 }}
training = {{ batch_size = 3, epochs = 2 }}
diff_method = "backprop"
"""


@pytest.mark.timeout(240)
@pytest.mark.backend("torch", "jax")
def test_a_sweep_with_timing_resolves_jit_against_eager(tmp_path, qparity):
    (tmp_path / "s.toml").write_text(BLOCK.format(variants='["torch", "jax-jit"]'))
    done = qparity("run", "s.toml", "--rounds", 6, "--check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"timed s: torch the reference.*, jax-jit 0\.", done.stdout)
    cells = {c["variant"]: c for c in json.loads(qparity("show", "--json", cwd=tmp_path).stdout)["cells"]}
    reference, jit = cells["torch"]["timing"], cells["jax-jit"]["timing"]
    assert (reference["reference"], reference["ratio"]) == ("torch", None)
    assert jit["speed"] == "faster"
    assert jit["ratio_low"] < jit["ratio"] < jit["ratio_high"] < 1 / 5
    assert jit["rounds"] >= 6
    assert 0 < jit["break_even"][0] < jit["break_even"][1] < jit["break_even"][2]
    assert cells["jax-jit"]["step_s"] == pytest.approx(cells["torch"]["step_s"] * jit["ratio"], rel=0.5)
    assert jit["start_s"] > reference["start_s"]

    run = Run.load(tmp_path / "results" / done.stdout.splitlines()[-1])
    document = run.timing("s")
    assert run.damaged == []
    for lane in document["lanes"].values():
        assert len(lane["children"]) == 3
        assert len({child["weights_sha256"] for child in lane["children"]}) == 1
        assert all(child["finite"] and child["memory"]["peak_bytes"] > 0 for child in lane["children"])
        assert lane["steps"] % lane["steps_per_execution"] == 0
        for child in lane["children"]:
            assert sum(child["phases"].values()) == pytest.approx(child["wall_s"], rel=0.05)
            assert child["recompilations"] == 0
        assert [child["inference_s"] is not None for child in lane["children"]] == [True, False, False]
    for outcome in run.outcomes().values():
        phases = outcome["phases"]
        parts = ("spawn_s", "build_s", "audit_s", "fit_s", "waiting_s", "close_s")
        assert sum(phases[name] for name in parts) == pytest.approx(phases["wall_s"], rel=0.05)
        assert 0 < outcome["memory"]["baseline_bytes"] < outcome["memory"]["peak_bytes"]
    assert all(0 < cell["limit_s"] < cell["step_s"] / 100 for cell in cells.values())
    assert 0 < jit["inference_s"] < reference["inference_s"]
    orders = {tuple(each["order"]) for each in document["rounds"]}
    assert orders == {("torch", "jax-jit"), ("jax-jit", "torch")}

    again = qparity("run", "s.toml", "--resume", "latest", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "timed" not in again.stdout
    assert run.timing("s") == document

    assert "a step, 0." in (shown := qparity("show", cwd=tmp_path).stdout)
    assert shown.count("above the machine's limit]") == 2
    (run.path / "timings" / "s.json").write_text('{"schema": 1, "lanes": {}, "rounds": [{}], "left_out": {}}')
    assert qparity("show", cwd=tmp_path).stdout.count("a step, unpaired]") == 2


@pytest.mark.timeout(120)
def test_a_variant_against_itself_is_not_resolved_as_10_percent_different(tmp_path):
    name = VARIANTS[backends()[-1]][-1] if "torch" not in backends() else "torch"
    (tmp_path / "s.toml").write_text(BLOCK.format(variants=json.dumps([name])))
    (block,) = make_blocks(load_files([tmp_path / "s.toml"], None, None))
    lanes = [Lane("a", block.cells[0]), Lane("b", block.cells[0])]

    async def measure():
        async with Pool(tmp_path, 1, {}) as pool:
            return await time_block(pool, block, lanes, tmp_path, available_cores()[-1:], TimingOptions(rounds=9))

    document = asyncio.run(measure())
    timing = read_block(document).lanes["b"]
    assert not document["left_out"]
    assert timing.rounds >= 6
    assert not (timing.speed is Speed.SLOWER and timing.ratio.low > 1.1)
    assert not (timing.speed is Speed.FASTER and timing.ratio.high < 1 / 1.1)
    assert {tuple(each["order"]) for each in document["rounds"]} == {("a", "b"), ("b", "a")}


@pytest.mark.timeout(120)
def test_waiting_children_and_the_waiting_parent_use_no_cpu(tmp_path):
    (tmp_path / "s.toml").write_text(BLOCK.format(variants=json.dumps([VARIANTS[backends()[-1]][-1]])))
    (block,) = make_blocks(load_files([tmp_path / "s.toml"], None, None))
    lane, options, record = Lane("a", block.cells[0]), TimingOptions(stretch_s=1.0), Record()

    async def measure():
        async with Pool(tmp_path, 1, {}) as pool:
            cpus = available_cores()[-1:]
            child = await started(pool, block, lane, 0, make_inputs(block.scenario), tmp_path, cpus, options, record)
            assert child is not None, record.left_out
            process = psutil.Process(child.pid)
            before = sum(process.cpu_times()[:2])
            await asyncio.sleep(1.0)
            idle = sum(process.cpu_times()[:2]) - before
            wall, own = time.perf_counter(), time.process_time()
            sample = (await child.request("go")).body
            share = (time.process_time() - own) / (time.perf_counter() - wall)
            await stopped(lane, child, options, record)
            return idle, share, sample, process.cpu_affinity() == cpus

    idle, share, sample, pinned = asyncio.run(measure())
    assert idle <= 0.02
    assert share < 0.02
    assert pinned
    assert sample["cpu_s"] <= 1.05 * sample["wall_s"]
    assert record.lanes["a"]["children"][0]["finite"]


@pytest.mark.timeout(120)
def test_a_lane_that_dies_is_left_out_with_its_reason_and_the_rest_is_measured(tmp_path):
    name = VARIANTS[backends()[-1]][0]
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
    assert document["left_out"]["ill"] == "the process ended with exit code 7"
    assert list(document["lanes"]) == ["well"]
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
