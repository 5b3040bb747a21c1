"""The live table says what is happening, and never that a cell agrees before it was judged."""

import io
import threading

import pytest
from rich.console import Console

from qparity.records import Outcome
from qparity.reporting import live as module
from qparity.reporting.live import Board, live
from qparity.runner.events import BlockFinished, BlockTimed, CellFinished, CellProgress, SweepStarted
from qparity.runner.plan import make_blocks, to_plan
from qparity.scenario.load import load_files
from qparity.store import Run


@pytest.fixture
def board(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text('variants = ["torch", "jax"]\n[matrix]\nlayers = [1, 2]\n', encoding="utf-8")
    blocks = make_blocks(load_files([file]))
    run = Run.create(tmp_path / "results", to_plan(blocks).to_dict(), {}, ["qparity"])
    console = Console(file=io.StringIO(), width=140, force_terminal=True, color_system=None)
    board = Board(run, console)
    board.hear(SweepStarted(tuple(blocks), ()))
    return board


def shown(board: Board) -> str:
    with board.console.capture() as captured:
        board.console.print(board)
    return captured.get()


def outcome(status="ok"):
    return Outcome({"status": status, "reason": None if status == "ok" else "because", "phases": {"step_s": 0.02}})


def test_a_finished_cell_is_no_pass_until_it_is_judged(board):
    torch, jax = board.blocks[0].cells
    board.hear(CellFinished(torch, outcome()))
    board.hear(CellProgress(jax, "audit", 17, 30))
    text = shown(board)
    assert "◑ judging" in text
    assert "◐ audit 17/30" in text
    assert "✓" not in text
    assert "1/4 cells" in text
    assert "2 scenarios × 2 variants" in text


def test_what_went_wrong_is_listed_below_the_table(board):
    board.hear(CellFinished(board.blocks[0].cells[0], outcome("crashed")))
    board.hear(BlockFinished(board.blocks[0]))  # nothing was stored: both cells are missing
    text = shown(board)
    assert "! two-layers1 · torch: missing: no outcome was recorded" in text


def test_while_rounds_are_timed_the_scenarios_are_counted(board):
    for block in board.blocks:
        for cell in block.cells:
            board.hear(CellFinished(cell, outcome()))
    board.hear(CellProgress(board.blocks[0].cells[0], "timing", 1, 15))
    assert "0/2 timed" in shown(board)
    board.hear(BlockTimed(board.blocks[0]))
    assert "1/2 timed" in shown(board)
    assert "left" not in shown(board).splitlines()[-1]


def test_judging_holds_up_no_cell_but_what_is_timed(board, monkeypatch):
    """A sweep that could not hear its cells while a large block is judged would take them for stuck."""
    allowed, order = threading.Event(), []

    def slow(run, block):
        allowed.wait(60)
        order.append("judged")
        return {}

    monkeypatch.setattr(module, "judge_block", slow)
    block = board.blocks[0]
    with live(board.run, Console(file=io.StringIO(), width=140)) as listen:
        listen(SweepStarted(tuple(board.blocks), ()))
        listen(BlockFinished(block))
        listen(CellProgress(board.blocks[1].cells[0], "audit", 1, 30))
        order.append("heard")
        allowed.set()
        listen(CellProgress(block.cells[0], "timing", 0, 40))
        order.append("timed")
    assert order == ["heard", "judged", "timed"]


def test_what_goes_wrong_while_judging_is_not_lost(board, monkeypatch):
    monkeypatch.setattr(module, "judge_block", lambda run, block: 1 / 0)
    with pytest.raises(ZeroDivisionError), live(board.run, Console(file=io.StringIO())) as listen:
        listen(BlockFinished(board.blocks[0]))
