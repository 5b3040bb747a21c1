"""Ledger, local engine and the dispatch to a cluster, without processes: who runs when, and where results go."""

import asyncio
import dataclasses
import errno
from collections import deque

import pytest

from qparity.runner import events, local
from qparity.runner.begin import begin
from qparity.runner.cell import ATTEMPTS, CellResult, Draft
from qparity.runner.local import Options, run_blocks
from qparity.runner.sweep import Halted, Ledger, lanes_of, sweep
from qparity.scenario.load import load_files
from qparity.store import Run
from tests.runner.stand_in import GOOD, StandInPool, blocks


@pytest.fixture
def opened(tmp_path):
    """A run of two blocks of two cells, its blocks, and a ledger with what it tells."""
    blocks(tmp_path, "torch", "jax", seeds=2)
    run, planned = begin(load_files([tmp_path / "s.toml"]), tmp_path / "results", None, None, ["test"], False)
    told = []
    return run, planned, Ledger(run, planned, told.append, retry=False), told


def ended(cell, status="ok"):
    return Draft(cell, "torch@cpu-1t", "fork", status, None if status == "ok" else "so it is").result


# The ledger


def test_a_result_is_on_disk_before_anybody_hears_of_it(opened):
    run, planned, ledger, told = opened
    cell = planned[0].cells[0]
    stored = []
    ledger.listen = lambda event: stored.append(Run.load(run.path).outcome(cell.id).status)
    ledger.store(cell, ended(cell))
    assert stored == ["ok"]
    assert isinstance(told[0], events.SweepStarted)


def test_only_what_has_no_outcome_is_left(opened):
    run, planned, ledger, _ = opened
    assert [len(block.cells) for block in ledger.left] == [2, 2]
    first, second = planned
    for cell in (*first.cells, second.cells[0]):
        ledger.store(cell, ended(cell, "ok" if cell.id == second.cells[0].id else "crashed"))
    told = []
    again = Ledger(Run.load(run.path), planned, told.append, retry=False)
    assert [[cell.id for cell in block.cells] for block in again.left] == [[second.cells[1].id]]
    assert set(told[0].done) == {*(cell.id for cell in first.cells), second.cells[0].id}
    retried = Ledger(Run.load(run.path), planned, told.append, retry=True)
    assert [len(block.cells) for block in retried.left] == [2, 1], "what crashed is tried again, what trained is not"


def test_a_block_that_was_resumed_in_part_is_announced_whole(opened):
    _, planned, ledger, told = opened
    ledger.finished(dataclasses.replace(planned[0], cells=planned[0].cells[:1]))
    assert told[-1] == events.BlockFinished(planned[0])


def test_what_a_worker_says_of_itself_is_kept(opened):
    run, _, ledger, told = opened
    for key, state in (("torch@cpu-1t", "ready"), ("jax@cpu-1t", "unavailable")):
        ledger.hear(events.WorkerStarted(key, state, {"python": "3.11"}))
    assert list(Run.load(run.path).record.workers) == ["torch@cpu-1t"]
    assert [event.state for event in told[1:]] == ["ready", "unavailable"]


def test_a_full_disk_halts_the_sweep_with_the_file_and_nothing_is_announced(opened, monkeypatch):
    run, planned, ledger, told = opened

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "there.json")

    monkeypatch.setattr(run, "write_outcome", full)
    with pytest.raises(Halted, match=r"there\.json"):
        ledger.store(planned[0].cells[0], ended(planned[0].cells[0]))
    assert len(told) == 1


def test_only_what_trained_to_the_end_without_a_fault_is_timed(opened):
    run, planned, ledger, _ = opened
    good, bad = planned[0].cells
    ledger.store(good, ended(good))
    ledger.store(bad, ended(bad, "failed"))
    assert [lane.cell.id for lane in lanes_of(run, planned[0])] == [good.id]
    spoilt, _ = planned[1].cells
    ledger.store(spoilt, CellResult(ended(spoilt).outcome.changed(fault={"name": "x"}), None))
    assert lanes_of(run, planned[1]) == []
    assert ledger.untimed() == planned


@pytest.mark.parametrize(
    ("raised", "state", "outcome"),
    [
        (None, "finished", True),
        (KeyboardInterrupt(), "interrupted", False),
        (asyncio.CancelledError(), "interrupted", False),
        (OSError(errno.EIO, "Input/output error", "a"), "interrupted", Halted),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [Halted("lost")])]), "interrupted", Halted),
        (RuntimeError("a fault of ours"), "interrupted", RuntimeError),
    ],
)
def test_a_run_is_closed_whatever_an_engine_does(opened, raised, state, outcome):
    run, planned, *_ = opened

    async def engine(ledger):
        cell = planned[0].cells[0]
        ledger.store(cell, ended(cell))
        if raised is not None:
            raise raised

    if isinstance(outcome, bool):
        assert sweep(run, planned, Options(), engine=engine) is outcome
    else:
        with pytest.raises(outcome):
            sweep(run, planned, Options(), engine=engine)
    read = Run.load(run.path)
    assert read.record.state == state
    assert len(read.missing()) == 3, "what was finished until then is kept"


# The local engine


def run_all(planned, pool, options=None, afterwards=local.nothing):
    stored, finished, heard = {}, [], []
    asyncio.run(
        run_blocks(
            planned,
            pool.logs,
            options or Options(jobs=2, memory_bytes=2**40),
            lambda cell, result: stored.__setitem__(cell.id, result),
            heard.append,
            finished.append,
            afterwards,
            pool,
        )
    )
    return stored, finished, heard


def test_every_cell_is_stored_and_every_block_finished_after_its_cells(tmp_path):
    planned = blocks(tmp_path, "torch", "jax", seeds=3)
    stored, finished, heard = run_all(planned, StandInPool())
    assert set(stored) == {cell.id for block in planned for cell in block.cells}
    assert {result.outcome.status for result in stored.values()} == {"ok"}
    assert sorted(b.scenario.name for b in finished) == sorted(b.scenario.name for b in planned)
    assert {event.cell.id for event in heard if isinstance(event, events.CellProgress)} == set(stored)


@pytest.mark.parametrize(("jobs", "memory", "most"), [(1, 2**40, 1), (3, 2**40, 3), (3, 200, 2)])
def test_no_more_cells_at_once_than_jobs_and_memory_allow(tmp_path, monkeypatch, jobs, memory, most):
    monkeypatch.setattr(local.memory, "least_bytes", lambda scenario: 100)
    running, seen = set(), []

    class Counting(StandInPool):
        async def server(self, variant, device=""):
            running.add(len(seen))
            seen.append(len(running))
            number = len(seen) - 1
            await asyncio.sleep(0.02)
            running.discard(number)
            return self

    planned = blocks(tmp_path, "torch", "jax", "tf", seeds=2)
    stored, *_ = run_all(planned, Counting(), Options(jobs=jobs, memory_bytes=memory))
    assert len(stored) == 6
    assert max(seen) == most


def test_measuring_begins_when_no_cell_runs_any_more(tmp_path):
    planned = blocks(tmp_path, "torch", "jax")
    pool, at = StandInPool(), []

    async def measure(given, cpus):
        at.append((given is pool, [child.ended for child in pool.children], bool(cpus)))

    run_all(planned, pool, afterwards=measure)
    assert at == [(True, ["closed", "closed"], True)]


def test_a_cell_that_fails_stops_no_other(tmp_path):
    def broken():
        raise RuntimeError("an answer that nobody expected")

    planned = blocks(tmp_path, "torch", "jax")
    stored, *_ = run_all(planned, StandInPool({**GOOD, "prepare": broken}, GOOD))
    assert sorted(result.outcome.status for result in stored.values()) == ["failed", "ok"]


# The cluster

pytest.importorskip("distributed")
from qparity.runner import dask  # noqa: E402


class StandInClient:
    """A client of a cluster with these nodes; `answers` are (seconds, result or error) for each task in turn."""

    def __init__(self, nodes, answers):
        self.nodes, self.answers, self.submitted, self.cancelled = nodes, deque(answers), [], []

    async def run_on_scheduler(self, function):
        return dict(self.nodes)

    def submit(self, function, task, workers, **options):
        self.submitted.append((workers[0], task.block.scenario.name))
        seconds, answer = self.answers.popleft()

        class Future:
            def __await__(self):
                yield from asyncio.sleep(seconds).__await__()
                if isinstance(answer, Exception):
                    raise answer
                return answer(workers[0], task)

            def release(self):
                pass

        return Future()

    async def cancel(self, futures):
        self.cancelled += futures


def answered(address, task):
    results = [(cell, ended(cell)) for cell in task.left]
    return dask.NodeAnswer(address, {"packages": {}}, results, {}, None, {"torch@cpu-1t": {"python": "3.11"}})


def dispatched(ledger, client):
    waiting = deque(dask.tasks(ledger, Options(), None))
    asyncio.run(asyncio.wait_for(dask.dispatch(client, waiting, ledger), 30))


def test_blocks_go_to_nodes_and_their_cells_say_which(opened):
    run, _, ledger, _ = opened
    client = StandInClient({"a": {"machine": 1.0}, "b": {"machine": 1.0}}, [(0, answered)] * 2)
    dispatched(ledger, client)
    assert {address for address, _ in client.submitted} == {"a", "b"}
    outcomes = Run.load(run.path).outcomes().values()
    assert len(outcomes) == 4
    assert {outcome.node for outcome in outcomes} == {"a", "b"}
    assert set(Run.load(run.path).record.nodes) == {"a", "b"}


def test_a_node_gets_its_next_block_when_it_has_ended_the_last(opened):
    _, _, ledger, _ = opened
    client = StandInClient({"a": {"machine": 1.0}}, [(0, answered)] * 2)
    dispatched(ledger, client)
    assert [address for address, _ in client.submitted] == ["a", "a"]
    assert len({name for _, name in client.submitted}) == 2


def killed():
    from distributed.scheduler import KilledWorker

    return KilledWorker("task", None, 1)


def test_the_block_of_a_dead_node_is_tried_again_but_not_for_ever(opened):
    run, _, ledger, _ = opened
    answers = [(0, killed()), (0, answered), (0, answered)]
    client = StandInClient({"a": {"machine": 1.0}}, answers)
    dispatched(ledger, client)
    assert len(client.submitted) == 3
    assert {outcome.status for outcome in Run.load(run.path).outcomes().values()} == {"ok"}


def test_a_block_that_kills_every_node_is_a_crash(opened):
    run, planned, ledger, _ = opened
    ledger.left = ledger.left[:1]
    ledger.blocks = ledger.blocks[:1]
    client = StandInClient({"a": {"machine": 1.0}}, [(0, killed())] * ATTEMPTS)
    dispatched(ledger, client)
    outcomes = Run.load(run.path).outcomes()
    assert set(outcomes) == {cell.id for cell in planned[0].cells}
    assert {outcome.status for outcome in outcomes.values()} == {"crashed"}


def test_nodes_that_can_run_nothing_halt_the_sweep_with_what_they_lack(opened):
    *_, ledger, _ = opened
    with pytest.raises(Halted, match="machine=1"):
        dispatched(ledger, StandInClient({"a": {"cpu": 1.0}}, []))


def test_an_error_that_is_raised_on_a_node_names_the_node(opened):
    *_, ledger, _ = opened
    with pytest.raises(Halted, match=r"a\b.*ZeroDivisionError"):
        dispatched(ledger, StandInClient({"a": {"machine": 1.0}}, [(0, ZeroDivisionError("there"))]))
