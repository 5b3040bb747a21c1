"""Parents, servers and children die at any moment: no process is left, nothing finished is lost, a resume completes."""

import random
import shlex
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qparity.runner import cell
from qparity.summary import summarise
from tests.conftest import ROOT
from tests.reliability.sweeps import Sweeps, assert_same, wait_for

MOMENTS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=2)


def test_the_undisturbed_sweep_is_judged_and_passes(undisturbed):
    view = summarise(undisturbed)
    assert view.counts["pass"] == len(view.cells) == 12


def test_a_killed_parent_leaves_no_process_and_a_run_to_resume(sweeps, undisturbed):
    process = sweeps.start("-j", 1)
    wait_for(sweeps.stored)
    assert sweeps.processes()
    process.kill()
    process.communicate()
    wait_for(lambda: not sweeps.processes(), 5.0)
    kept = {path: path.stat().st_mtime_ns for path in sweeps.stored()}
    assert 0 < len(kept) < 12
    assert sweeps.run.record.state == "running"
    assert_same(sweeps.sweep("latest"), undisturbed)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(MOMENTS)
def test_interrupts_at_any_moments_cost_nothing_that_was_finished(tmp_path_factory, undisturbed, moments):
    sweeps = Sweeps(tmp_path_factory.mktemp("interrupted"), seconds=0.1)

    def begun():  # or interrupted before there was a run to resume
        return "latest" if list(sweeps.results.glob("*/run.json")) else None

    for moment in moments:
        process = sweeps.start(*(["--resume", "latest"] if begun() else []))
        wait_for(lambda process=process: len(sweeps.processes()) > 1 or process.poll() is not None)  # it does something
        before = len(sweeps.stored())
        target = before + round(moment * (12 - before))
        wait_for(lambda target=target: len(sweeps.stored()) >= target)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode in (130, 0), out + err  # 0: it had finished
        assert "Traceback" not in out + err
        wait_for(lambda: not sweeps.processes(), 5.0)
    assert_same(sweeps.sweep(begun()), undisturbed)


def test_a_sweep_in_the_background_of_a_script_can_be_terminated(sweeps, undisturbed):
    """A shell without job control starts what ends in `&` with Ctrl-C ignored."""
    process = sweeps.start("-j", 1, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(sweeps.stored)
    process.send_signal(signal.SIGINT)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    wait_for(lambda: not sweeps.processes(), 5.0)
    printed = shlex.split(err.strip().splitlines()[-1].partition("go on with: qparity ")[2])
    assert printed[-2:] == ["--resume", sweeps.run.id]
    on = subprocess.run([sys.executable, "-m", "qparity.cli", *printed], cwd=ROOT, capture_output=True, text=True)
    assert on.returncode == 0, on.stderr
    assert_same(sweeps.run, undisturbed)


def test_a_killed_server_costs_nothing(sweeps, undisturbed):
    process = sweeps.start()
    wait_for(sweeps.stored)
    for _ in range(cell.ATTEMPTS - 1):  # were all of them to meet one cell, it would still have an attempt left
        if servers := sweeps.servers(process):
            random.choice(servers).kill()
        seen = len(sweeps.stored())
        wait_for(lambda seen=seen: len(sweeps.stored()) > seen or process.poll() is not None)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert_same(sweeps.run, undisturbed)


@pytest.fixture
def misfortune(tmp_path, monkeypatch):
    """Null cells to which something happens: `misfortune("hang")`."""
    monkeypatch.setenv("QPARITY_TEST_FLAG", str(tmp_path))
    monkeypatch.setenv("QPARITY_TEST_FOLDER", str(tmp_path))
    return lambda how, cells=2: Sweeps(tmp_path, cells, how=how)


def test_killed_children_are_crashed_cells_and_a_retry_mends_them(misfortune, monkeypatch, tmp_path_factory):
    sweeps = misfortune("hang")
    process = sweeps.start("-j", 1)
    for done in (0, 1):
        wait_for(lambda done=done: len(sweeps.stored()) == done and sweeps.children(process))[0].kill()
    process.communicate(timeout=60)
    assert process.returncode == 3
    outcomes = sweeps.run.outcomes().values()
    assert {(o.status, o.reason) for o in outcomes} == {("crashed", "killed by SIGKILL")}
    assert sweeps.run.missing() == []
    monkeypatch.delenv("QPARITY_TEST_FLAG")
    undisturbed = Sweeps(tmp_path_factory.mktemp("well"), 2, how="hang").sweep()
    assert_same(sweeps.sweep("latest", retry=True), undisturbed)


def test_an_answer_that_nobody_expected_fails_its_cell_alone(misfortune):
    sweeps = misfortune("odd-answer")
    assert {(o.status, o.reason.partition(":")[0]) for o in sweeps.sweep().outcomes().values()} == {
        ("failed", "Unreadable")
    }


def test_a_cell_that_kills_its_server_is_not_tried_for_ever(misfortune):
    outcomes = misfortune("kill-server").sweep().outcomes().values()
    assert {o.reason for o in outcomes} == {f"its worker server died {cell.ATTEMPTS} times"}
    assert {o.status for o in outcomes} == {"crashed"}


def test_what_a_cell_has_started_ends_with_it_though_it_ignores_signals(misfortune):
    sweeps = misfortune("orphan")
    assert {o.status for o in sweeps.sweep(timeout=1.0).outcomes().values()} == {"timeout"}
    wait_for(lambda: not sweeps.processes(), 5.0)
    process = sweeps.start("--resume", "latest", "--retry")
    wait_for(lambda: any("time.sleep(99)" in " ".join(p.info["cmdline"] or ()) for p in sweeps.processes()))
    process.kill()
    process.communicate()
    wait_for(lambda: not sweeps.processes(), 5.0)
