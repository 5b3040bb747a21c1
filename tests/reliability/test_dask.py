"""The Dask engine on a real cluster of two nodes: the local engine's results, whoever dies.

The tests stand in the order of what they leave of the cluster: all of it, one node, no scheduler.
"""

import itertools
import subprocess
import sys
from collections import defaultdict

import psutil
import pytest

from tests.reliability.sweeps import Sweeps, assert_same, wait_for

pytest.importorskip("distributed")

from distributed import Client

from qparity.runner.cluster import cluster


@pytest.fixture(scope="module")
def nodes():
    """(address, processes of the nodes)."""
    with cluster(2) as running, Client(running[0]) as client:
        client.wait_for_workers(2)
        yield running


@pytest.fixture
def on_cluster(sweeps, nodes):
    """Start a sweep on the cluster."""
    return lambda *more: sweeps.start("--engine", "dask", "--scheduler", nodes[0], *more)


def spans(run) -> dict[int, list[tuple[float, float]]]:
    """(begin, end) of each block by the process of the node it ran on, in order."""
    found = defaultdict(list)
    for block in run.plan.blocks:
        lines = [line.split() for cell in block.cells for line in run.log_path(cell.id).read_text().splitlines()]
        (node,) = {int(node) for _, node, _ in lines}  # one block, one node
        times = [float(moment) for *_, moment in lines]
        found[node].append((min(times), max(times)))
    return {node: sorted(each) for node, each in found.items()}


def finish(process, code: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    assert "Traceback" not in out + err
    return err


def test_same_results_as_here_and_one_block_at_a_time_on_a_node(sweeps, on_cluster, nodes, undisturbed):
    finish(on_cluster("--timing"))
    run = sweeps.run
    assert_same(run, undisturbed)
    assert spans(run).keys() == {process.pid for process in nodes[1]}  # both had their share
    for blocks in spans(run).values():
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(blocks))
    (node,) = run.record.nodes  # two processes, one machine
    assert {o.node for o in run.outcomes().values()} == {node}
    assert {o.worker for o in run.outcomes().values()} <= run.record.workers.keys()
    timing = run.timing("null-seed0")
    assert timing.raw["node"] == node
    assert timing.left_out.keys() == {"torch", "jax"}  # the null worker cannot be timed


def test_a_killed_client_loses_nothing_that_was_stored(sweeps, on_cluster, undisturbed):
    process = on_cluster()
    wait_for(sweeps.stored)
    process.kill()
    process.communicate()
    kept = {path: path.stat().st_mtime_ns for path in sweeps.stored()}
    assert len(kept) < 12
    finish(on_cluster("--resume", "latest"))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_same(sweeps.run, undisturbed)


def test_the_block_of_a_killed_node_ends_on_the_other(sweeps, on_cluster, nodes, undisturbed):
    process = on_cluster()
    wait_for(sweeps.stored)
    killed, other = nodes[1]
    killed.kill()
    finish(process)
    assert_same(sweeps.run, undisturbed)
    assert spans(sweeps.run).keys() <= {killed.pid, other.pid}
    assert other.poll() is None


def test_a_dead_scheduler_ends_the_sweep_with_one_line_and_a_resume_completes(sweeps, on_cluster, nodes, undisturbed):
    process = on_cluster()
    wait_for(sweeps.stored)
    alive = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    (scheduler,) = [p for p in alive if "scheduler" in p.cmdline()]
    scheduler.kill()
    line = finish(process, 3).strip().splitlines()[-1]
    assert f"lost the Dask scheduler {nodes[0]}" in line
    assert "--resume" in line
    assert sweeps.run.record.state == "interrupted"
    assert_same(sweeps.sweep("latest"), undisturbed)


def test_a_node_without_the_resource_is_one_line(sweeps: Sweeps):
    with cluster(0) as (address, _):
        command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        worker = subprocess.Popen([*command, "--local-directory", str(sweeps.folder)], stderr=subprocess.DEVNULL)
        try:
            process = sweeps.start("--engine", "dask", "--scheduler", address)
            assert "no node can run null-seed0: dask worker --resources 'machine=1'" in finish(process, 3)
        finally:
            worker.kill()
            worker.wait()


def test_an_address_without_scheduler_is_one_line(sweeps: Sweeps, monkeypatch):
    process = sweeps.start("--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert "--scheduler" in finish(process, 2)
    assert not sweeps.results.exists()  # no run was begun
