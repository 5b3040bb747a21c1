"""What is seen while a sweep runs: a live table on a terminal, one plain line a cell anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from qparity.records import Outcome, Place, Worker, read
from qparity.runner.events import (
    BlockFinished,
    BlockTimed,
    CellFinished,
    CellProgress,
    Event,
    Listener,
    SweepStarted,
    WorkerStarted,
)
from qparity.runner.plan import Block, Cell
from qparity.scenario.text import printable
from qparity.store import Run
from qparity.summary.judging import judge_block
from qparity.summary.speeds import phrase, with_timing
from qparity.summary.summarise import view_of
from qparity.summary.terminal import STYLES, cell_line, entry
from qparity.summary.view import CellView
from qparity.summary.words import seconds

MOST_ROWS = 24


@contextmanager
def live(run: Run, console: Console | None = None) -> Iterator[Listener]:
    """A listener that shows the sweep as it goes.

    Whole blocks are judged in a thread: meanwhile the sweep must hear its cells, or it would take them for stuck. While
    anything is timed, nothing is judged.
    """
    console = console or Console()
    board = Board(run, console)
    hear = board.hear if console.is_terminal else board.hear_plainly
    judged: list[Future[None]] = []

    def listen(event: Event) -> None:
        if isinstance(event, BlockFinished):
            judged.append(thread.submit(hear, event))
            return
        if isinstance(event, CellProgress) and event.phase == "timing":
            wait()
        hear(event)

    def wait() -> None:
        while judged:
            judged.pop(0).result()

    shown = Live(board, console=console, refresh_per_second=8, transient=True) if console.is_terminal else nullcontext()
    with shown, ThreadPoolExecutor(1) as thread:
        try:
            yield listen
        except BaseException:
            thread.shutdown(cancel_futures=True)
            raise
        wait()


class Board:
    """The state of a sweep as it is shown."""

    def __init__(self, run: Run, console: Console) -> None:
        self.run, self.console = run, console
        self.blocks: tuple[Block, ...] = ()
        self.variants: list[str] = []
        self.finished: dict[str, CellView] = {}
        self.running: dict[str, tuple[Cell, str, int, int, float]] = {}
        self.divergences: list[CellView] = []
        self.total, self.start, self.found = 0, time.monotonic(), 0
        self.note, self.printed = "", 0
        self.timed: set[str] = set()
        self.spinner = Spinner("dots", style="green")

    def hear(self, event: Event) -> None:
        """Take in an event; the table is drawn from the state."""
        match event:
            case SweepStarted(blocks, done):
                self.blocks, self.found = blocks, len(done)
                self.variants = list(dict.fromkeys(str(c.variant) for b in blocks for c in b.cells))
                self.total = sum(len(b.cells) for b in blocks)
                for block in blocks:
                    if any(c.id in done for c in block.cells):
                        self.judge(block, set(done))
            case WorkerStarted(key, "ready", about):
                self.note = f"{key}: imported in {seconds(read(Worker, about).import_s)}"
            case WorkerStarted(key, state, _, reason):
                self.note = printable(f"{key}: {reason or state}")
            case CellProgress(cell, phase, step, steps):
                began = self.running[cell.id][4] if cell.id in self.running else time.monotonic()
                if phase == "timing":  # one at a time: the others of the block wait
                    self.running.clear()
                self.running[cell.id] = (cell, phase, step, steps, began)
            case CellFinished(cell, outcome):
                self.running.pop(cell.id, None)
                self.finished[cell.id] = unjudged(cell, outcome)
            case BlockFinished(block):
                self.judge(block, {c.id for c in block.cells})
            case BlockTimed(block):
                self.running = {}
                self.timed.add(block.scenario.name)  # within a budget a block may be timed again
                mine = [self.finished[c.id] for c in block.cells if c.id in self.finished]
                self.finished |= {view.id: view for view in with_timing(self.run, mine)}

    def hear_plainly(self, event: Event) -> None:
        """Print a line for every cell of a block once it is judged."""
        self.hear(event)
        if isinstance(event, WorkerStarted) and event.state != "starting":
            self.print(self.note)
        if isinstance(event, BlockTimed):
            timed = [self.finished[c.id] for c in event.block.cells if c.id in self.finished]
            said = ", ".join(f"{v.variant} {phrase(v.timing)}" for v in timed if v.timing)
            self.print(f"timed {event.block.scenario.name}: {said or 'nothing'}")
        if isinstance(event, BlockFinished):
            for cell in event.block.cells:
                if cell.id in self.finished:
                    self.printed += 1
                    self.print(f"[{self.printed}/{self.total}] {cell_line(self.finished[cell.id])}")

    def print(self, line: str) -> None:
        """One plain line."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def judge(self, block: Block, done: set[str]) -> None:
        """Replace the finished cells of a block by their judged views, and note what diverged."""
        planned = block.planned()
        judgements = judge_block(self.run, planned)
        for cell in (c for c in planned.cells if c.id in done):
            view = view_of(self.run, Place(planned, cell.id, cell.variant), judgements.get(cell.id))
            self.finished[view.id] = view
            if view.mark in ("fail", "error"):
                self.divergences.append(view)

    def __rich__(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("scenario", overflow="fold")
        for variant in self.variants:
            table.add_column(variant, no_wrap=True)
        for block in self.shown():
            cells = {str(c.variant): c for c in block.cells}
            table.add_row(block.scenario.name, *(self.entry(cells.get(v)) for v in self.variants))
        title = f"{self.run.id}   {len(self.blocks)} scenarios × {len(self.variants)} variants"
        lines: list[RenderableType] = [Text(title, "italic dim"), table]
        hidden = len(self.blocks) - len(self.shown())
        if hidden:
            lines.append(Text(f"and {hidden} more scenarios", "dim"))
        lines.append(self.progress())
        lines += [Text(printable(f"{v.symbol} {v.name}: {v.line}"), STYLES[v.mark]) for v in self.divergences[-5:]]
        return Group(*lines)

    def shown(self) -> list[Block]:
        """The rows that fit: what runs or failed first."""
        if len(self.blocks) <= MOST_ROWS:
            return list(self.blocks)
        busy = {cell.scenario.name for cell, *_ in self.running.values()}
        bad = {v.scenario for v in self.divergences}
        ranked = sorted(self.blocks, key=lambda b: (b.scenario.name not in busy, b.scenario.name not in bad))
        return ranked[:MOST_ROWS]

    def entry(self, cell: Cell | None) -> Text:
        """One place of the table."""
        if cell is None or (cell.id not in self.finished and cell.id not in self.running):
            return Text("" if cell is None else "·", style="dim")
        if cell.id in self.finished:
            view = self.finished[cell.id]
            return Text("◑ judging", style="dim cyan") if view.line == UNJUDGED else entry(view)
        _, phase, step, steps, _ = self.running[cell.id]
        return Text(f"◐ {phase}" + (f" {step}/{steps}" if phase == "audit" else ""), style="cyan")

    def progress(self) -> RenderableType:
        """What is happening now, how far, and how long it may still take."""
        now = time.monotonic()
        done, total = len(self.finished), self.total
        doing = ", ".join(
            f"{cell.scenario.name} · {cell.variant} · {phase} {seconds(now - began)}"
            for cell, phase, _, _, began in list(self.running.values())[:2]
        )
        fresh = done - self.found
        left = (now - self.start) / fresh * (total - done) if fresh > 0 and done < total else None
        count, completed = f"{done}/{total} cells", done / max(1, total)
        if self.timed or any(phase == "timing" for _, phase, *_ in self.running.values()):
            timed = len(self.timed)
            count, completed, left = f"{timed}/{len(self.blocks)} timed", timed / len(self.blocks), None
        bar = Table.grid(padding=(0, 1), expand=True)
        for flexible in (False, False, False, False, True):
            bar.add_column(ratio=1 if flexible else None, no_wrap=True)
        bar.add_row(
            self.spinner,
            ProgressBar(total=1.0, completed=completed, width=30),
            Text(count, style="green"),
            Text(f"about {seconds(left)} left" if left is not None else "", style="cyan"),
            Text(doing or self.note, overflow="ellipsis", no_wrap=True),
        )
        return bar


UNJUDGED = "finished, not judged yet"


def unjudged(cell: Cell, outcome: Outcome) -> CellView:
    """A finished cell before its block is judged."""
    mark = {"ok": "uncompared", "unsupported": "unsupported"}.get(outcome.status, "error")
    return CellView(
        id=cell.id,
        scenario=cell.scenario.name,
        variant=str(cell.variant),
        status=outcome.status,
        mark=mark,  # type: ignore[arg-type]
        line=outcome.reason or UNJUDGED,
        phases=outcome.seconds,
    )
