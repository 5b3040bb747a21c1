"""A recorded training as a run folder, with what the reference says of it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

from qparity.recording.replay import Replayed
from qparity.records import Outcome
from qparity.records.trace import Trace
from qparity.runner.cell import Draft, consult, first_not_finite
from qparity.runner.plan import Block, Cell, to_plan
from qparity.runner.pool import Pool
from qparity.runner.reference import References
from qparity.scenario.identity import cell_id
from qparity.store import Run, fingerprint


def store(found: Replayed, results: Path, file: Path | None) -> Run:
    """Write the run; ask the reference, in a process of its own, where it can build the model."""
    folder = file.parent if file else Path.cwd()
    source = sha256(file.read_bytes()).hexdigest() if file else ""
    cell = Cell(cell_id(found.scenario, found.variant, source), found.scenario, found.variant)
    block = Block(
        found.scenario, (cell,), (str(folder), str(Path.cwd())), file.name if file else "", source, found.given
    )
    plan = to_plan([block]).to_dict() | {"sources": []}  # nothing that could be run again
    run = Run.create(results, plan, fingerprint(), sys.argv)
    name, about = found.worker
    draft = Draft(cell, name, trace=Trace(found.trace), phases=dict(found.phases), **found.parts)
    paths = [w.path for w in draft.outcome.resolved.weights]
    if wrong := first_not_finite(Trace(found.trace), paths):
        draft.diverged_step, what = wrong
        draft.end("diverged", f"{what} at step {wrong[0]}")
    elif found.unwritten:
        draft.reference = {"reason": found.unwritten}
    else:
        begin = time.perf_counter()
        _in_a_thread(_ask(run, block, cell, found, draft))
        draft.phases["reference_s"] = time.perf_counter() - begin
    with run.claimed():
        run.write_outcome(Outcome(dict(draft.outcome.raw) | {"log": None}, planned=cell.scenario), draft.trace)
        run.update(workers={name: about})
        run.finish()
    return run


async def _ask(run: Run, block: Block, cell: Cell, found: Replayed, draft: Draft) -> None:
    async with Pool(run.logs(), 1, {}) as pool:
        await consult(References(pool, run.logs()), block, cell, found.inputs, draft)


def _in_a_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end in a thread: a notebook has an event loop of its own in this one."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="qparity-reference", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
