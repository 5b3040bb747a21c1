"""Sweeps without the command line, for notebooks and programs: run, judge, report.

run = qparity.run("smoke", variants=["torch", "jax-jit"], timing=False)
view = qparity.judge(run)
view.sentence, view.cells                  # what `qparity check` prints
run.cells(), run.steps(), run.rounds()     # pandas tables of what was recorded
qparity.report(view)                       # reports/<id>.html
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qparity.store import Run
    from qparity.summary import RunView
    from qparity.summary.compare import RunChanges
    from qparity.summary.gate import Gate

RESULTS = Path("results")
REPORTS = Path("reports")


def run(
    scenarios: str | Path | Sequence[str | Path],
    *,
    variants: Sequence[str] | None = None,
    keep: str | None = None,
    results: str | Path = RESULTS,
    timing: bool = True,
    jobs: int | None = None,
    threads: int = 1,
    timeout: float = 900.0,
    interpreters: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Run:
    """Run a sweep on this machine, as `qparity run` does, and return its run folder.

    Args:
        scenarios: scenario files, or names of shipped ones.
        variants: instead of those that the files name.
        keep: only cells whose name or variant matches this expression, as `-k`.
        results: the folder that run folders are kept in.
        timing: whether timed rounds follow.
        jobs: cells side by side; None: as many as have cores.
        threads: of each cell.
        timeout: seconds that a cell may take.
        interpreters: backend -> path of another Python interpreter for it.
        progress: whether to show the sweep as it goes.

    Raises:
        ScenarioError: a scenario file is wrong, in one line.
        qparity.runner.sweep.Halted: results cannot be written.
        KeyboardInterrupt: what was finished until then is stored.
    """
    from qparity.reporting.live import live
    from qparity.runner.begin import begin
    from qparity.runner.local import Options
    from qparity.runner.sweep import sweep
    from qparity.runner.timing import TimingOptions
    from qparity.scenario.load import load_files

    files = [scenarios] if isinstance(scenarios, str | Path) else list(scenarios)
    options = Options(jobs=jobs, threads=threads, timeout=timeout, interpreters=dict(interpreters or {}))
    measured = TimingOptions(timeout=timeout) if timing else None
    opened, blocks = begin(load_files(files, keep, variants), Path(results), None, None, sys.argv, False)
    if progress:
        with live(opened) as listen:
            complete = sweep(opened, blocks, options, listen, measured)
    else:
        complete = sweep(opened, blocks, options, timing=measured)
    if not complete:
        raise KeyboardInterrupt
    return opened


def judge(run: Run | str | Path = "latest", *, results: str | Path = RESULTS, gate: Gate | None = None) -> RunView:
    """Judge a run as `qparity check` does: `exit_code`, `sentence`, `cells` with verdict, stage, step and tensor.

    Args:
        run: a run, the id of one, its folder, or `latest`.
        results: where ids are looked for.
        gate: what is asked beside the scenarios' own expectations; None: nothing.

    Raises:
        StoreError: there is no such run.
    """
    from qparity.store import Run, resolve
    from qparity.summary import summarise

    return summarise(run if isinstance(run, Run) else Run.load(resolve(results, str(run))), gate=gate)


def report(
    run: Run | RunView | str | Path = "latest", output: str | Path | None = None, base: RunChanges | None = None
) -> Path:
    """Write the HTML report, one file that opens offline.

    Args:
        run: a run, its folder or id, or what `judge` said of it.
        output: the file; None: `reports/<id>.html`.
        base: what has changed since another run (`qparity.summary.compare`), to be told in it.

    Returns:
        The file.
    """
    from qparity.reporting.html import render
    from qparity.summary import RunView

    view = run if isinstance(run, RunView) else judge(run)
    path = Path(output) if output else REPORTS / f"{Path(view.id).name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(view, base), encoding="utf-8")
    return path
