"""One cell from start to outcome, with a child that is written down: how each way to end is recorded."""

import asyncio
import dataclasses

import numpy as np
import pytest

from qparity.runner.cell import ATTEMPTS, FAULT_VARIABLE, epochs_to_repeat, run_cell
from qparity.runner.pool import Unavailable
from qparity.runner.process import ChildDied, ServerDied
from qparity.scenario.schema import Scenario, Training
from qparity.worker.protocol import Message, ProtocolError
from tests.runner.stand_in import GOOD, StandInPool, audited, blocks, inputs_of, prepared


def run(folder, pool, timeout=30.0, memory_bytes=None, change=lambda cell: cell):
    (block,) = blocks(folder, "torch")
    told = []
    result = asyncio.run(
        run_cell(
            pool,
            block,
            change(block.cells[0]),
            inputs_of(block),
            folder / "log",
            [0],
            timeout,
            lambda phase, step: told.append((phase, step)),
            memory_bytes,
        )
    )
    return result, told


def raising(error):
    def answer():
        raise error

    return answer


def refusing(status):
    return lambda: Message("error", {"status": status, "reason": "so it is"})


def test_a_cell_is_prepared_recorded_and_fitted_in_that_order(tmp_path):
    pool = StandInPool()
    result, told = run(tmp_path, pool)
    (child,) = pool.children
    assert [kind for kind, *_ in child.asked] == ["prepare", "audit", "fit"]
    assert child.ended == "closed"
    assert (result.outcome.raw["status"], result.outcome.raw["reason"]) == ("ok", None)
    assert result.outcome.raw["fit"]["equals_audit"] is True
    assert {"loss", "gradients/0", "final_weights/0"} <= set(result.trace)
    assert result.outcome.raw["phases"]["step_s"] == 0.1
    assert [phase for phase, _ in told] == ["starting", "building", "audit", "audit", "fit", "fit"]


def test_fit_repeats_whole_epochs_until_it_has_taken_enough_steps():
    def repeated(samples, epochs, size):
        training = Training(batch_size=size, epochs=epochs)
        order = np.array([np.arange(samples)] * epochs)
        return epochs_to_repeat(order, Scenario(name="s", training=training))

    assert [repeated(70, 30, 32), repeated(7, 2, 4), repeated(1000, 9, 1), repeated(12, 9, 1)] == [4, 2, 1, 1]


def test_what_is_sent_is_what_is_recorded_as_sent(tmp_path):
    from qparity.parity.setup import sha256

    pool = StandInPool()
    result, _ = run(tmp_path, pool)
    sent = pool.children[0].asked[1][2]
    hashes = result.outcome.raw["expected"]["hashes"]
    assert hashes["x"] == sha256(sent["x"])
    assert hashes["order"] == sha256(sent["order"])
    assert hashes["weights"] == [sha256(sent["weights/0"])]


@pytest.mark.parametrize(
    ("request_", "answer", "status"),
    [
        ("prepare", refusing("unsupported"), "unsupported"),
        ("prepare", refusing("failed"), "failed"),
        ("prepare", raising(ChildDied("killed by SIGSEGV")), "crashed"),
        ("audit", raising(ProtocolError("not a message")), "crashed"),
        ("audit", lambda: Message("surprise", {}), "crashed"),
        ("audit", lambda: audited(loss=(1.0, float("nan"))), "diverged"),
        ("fit", refusing("failed"), "failed"),
        ("fit", lambda: Message("done", {}), "failed"),
        ("audit", lambda: asyncio.Event().wait(), "timeout"),
    ],
)
def test_however_a_child_ends_the_cell_has_an_outcome(tmp_path, request_, answer, status):
    pool = StandInPool({**GOOD, request_: answer})
    result, _ = run(tmp_path, pool, timeout=0.3)
    assert result.outcome.raw["status"] == status
    assert result.outcome.raw["reason"]
    assert pool.children[0].ended == ("closed" if status == "diverged" else "killed")
    assert (result.trace is not None) == (status == "diverged" or request_ == "fit"), "what was recorded is kept"


def test_an_update_that_makes_nan_of_finite_gradients_is_a_divergence(tmp_path):
    said = audited()
    said.arrays["new_weights/0"][1] = np.nan
    result, _ = run(tmp_path, StandInPool({**GOOD, "audit": lambda: said}))
    assert (result.outcome.raw["status"], result.outcome.raw["diverged_step"]) == ("diverged", 1)
    assert result.outcome.raw["reason"] == "w after the update is nan at step 1"


def test_a_divergence_names_its_first_step_and_nothing_is_fitted_after_it(tmp_path):
    pool = StandInPool({**GOOD, "audit": lambda: audited(loss=(1.0, float("inf")))})
    result, _ = run(tmp_path, pool)
    assert result.outcome.raw["diverged_step"] == 1
    assert [kind for kind, *_ in pool.children[0].asked] == ["prepare", "audit"]


def test_a_cell_starts_again_when_its_server_dies_but_not_for_ever(tmp_path):
    dying = {**GOOD, "audit": raising(ServerDied())}
    pool = StandInPool(dying, GOOD)
    assert run(tmp_path, pool)[0].outcome.raw["status"] == "ok"
    assert [child.ended for child in pool.children] == ["killed", "closed"]
    pool = StandInPool(dying)
    assert run(tmp_path, pool)[0].outcome.raw["status"] == "crashed"
    assert len(pool.children) == ATTEMPTS


def test_the_death_of_a_child_is_its_own_and_not_tried_again(tmp_path):
    pool = StandInPool({**GOOD, "audit": raising(ChildDied("exit code 7"))}, GOOD)
    result, _ = run(tmp_path, pool)
    assert (result.outcome.raw["status"], result.outcome.raw["reason"]) == ("crashed", "exit code 7")
    assert len(pool.children) == 1


def test_what_cannot_run_is_refused_before_a_server_starts(tmp_path):
    pool = StandInPool(refuse=AssertionError("no server is asked"))
    big = {"scenario": blocks(tmp_path, "torch")[0].scenario.model_copy(update={"wires": 30})}
    result, _ = run(tmp_path, pool, memory_bytes=2**30, change=lambda cell: dataclasses.replace(cell, **big))
    assert result.outcome.raw["status"] == "unsupported"
    assert "1 GiB" in result.outcome.raw["reason"]


@pytest.mark.parametrize("status", ["unsupported", "failed"])
def test_a_backend_that_cannot_run_says_why(tmp_path, status):
    result, _ = run(tmp_path, StandInPool(refuse=Unavailable(status, "not installed")))
    assert (result.outcome.raw["status"], result.outcome.raw["reason"]) == (status, "not installed")


def test_being_cancelled_ends_the_child_and_is_passed_on(tmp_path):
    pool = StandInPool({**GOOD, "audit": lambda: asyncio.Event().wait()})
    (block,) = blocks(tmp_path, "torch")

    async def cancelled():
        running = asyncio.create_task(
            run_cell(pool, block, block.cells[0], inputs_of(block), tmp_path / "log", None, 30.0, lambda *_: None)
        )
        while not (pool.children and len(pool.children[0].asked) == 2):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert pool.children[0].ended == "killed"


def test_an_injected_fault_is_sent_recorded_and_never_fitted(tmp_path, monkeypatch):
    monkeypatch.setenv(FAULT_VARIABLE, '[{"name": "other", "variant": "jax"}, {"name": "loss-scaled", "step": 1}]')
    pool = StandInPool({**GOOD, "prepare": prepared})
    result, _ = run(tmp_path, pool)
    (_, body, _), *others = pool.children[0].asked
    assert body["fault"] == {"name": "loss-scaled", "step": 1, "size": None}
    assert result.outcome.raw["fault"] == {"name": "loss-scaled", "step": 1}
    assert [kind for kind, *_ in others] == ["audit"]
