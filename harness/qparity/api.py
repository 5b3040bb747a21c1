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
    budget: str | None = None,
    jobs: int | None = None,
    threads: int = 1,
    timeout: float = 900.0,
    interpreters: Mapping[str, str] | None = None,
    requirements: Sequence[str] = (),
    progress: bool = True,
    steps: int | None = None,
    batch_size: int | None = None,
    fit: int = 1,
    arguments: Sequence[str] = (),
    full_fit: bool = False,
) -> Run:
    """Run a sweep on this machine, as `qparity run` does, and return its run folder.

    Args:
        scenarios: scenario files, names of shipped ones, or training scripts (`train.py`), run up to their `fit`.
        variants: instead of those that the files name; "all": every mode of every backend.
        keep: only cells whose name or variant matches this expression, as `-k`.
        results: the folder that run folders are kept in.
        timing: whether timed rounds follow.
        budget: how long they may take in all, such as "2m"; None: as long as they need.
        jobs: cells side by side; None: as many as have cores.
        threads: of each cell.
        timeout: seconds that a cell may take.
        interpreters: backend -> path of another Python interpreter for it.
        requirements: releases on top of what is installed, such as `keras==3.14.1`, as `--with`.
        progress: whether to show the sweep as it goes.
        steps: about how many steps of a script's training; None: all.
        batch_size: instead of a script's own.
        fit: which `fit` of a script is taken.
        arguments: the command line of scripts.
        full_fit: whether `model.fit` repeats every recorded step, not only the first epochs of many.

    Raises:
        ScenarioError: a scenario file is wrong, in one line.
        qparity.environments.errors.EnvironmentProblem: the requirements cannot be met, in one line.
        qparity.runner.capture.CaptureError: a script hands nothing to `fit`, or what cannot be taken, in one line.
        qparity.runner.sweep.Halted: results cannot be written.
        KeyboardInterrupt: what was finished until then is stored.
    """
    from qparity.environments.interpreters import with_releases
    from qparity.reporting.live import live
    from qparity.runner.begin import begin
    from qparity.runner.budget import parse_seconds
    from qparity.runner.capture import ScriptOptions, load_all
    from qparity.runner.local import Options
    from qparity.runner.rounds import TimingOptions
    from qparity.runner.sweep import sweep

    files = [scenarios] if isinstance(scenarios, str | Path) else list(scenarios)
    own = with_releases(requirements, interpreters or {})
    options = Options(jobs=jobs, threads=threads, timeout=timeout, interpreters=own.paths, full_fit=full_fit)
    run_s = parse_seconds(budget, "budget") if budget else None
    measured = TimingOptions(run_s=run_s, timeout=timeout) if timing else None
    asked = ScriptOptions(tuple(arguments), None if fit == 1 else fit, steps, batch_size)
    loaded = load_all(files, keep, variants, asked, options.interpreters, _say if progress else lambda _: None)
    opened, blocks = begin(loaded, Path(results), None, None, sys.argv, False, own)
    if progress:
        with live(opened) as listen:
            complete = sweep(opened, blocks, options, listen, measured)
    else:
        complete = sweep(opened, blocks, options, timing=measured)
    if not complete:
        raise KeyboardInterrupt
    return opened


def _say(line: str) -> None:
    print(line, file=sys.stderr)


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

    found = run if isinstance(run, Run) else Run.load(resolve(results, str(run)), checked=False)
    return summarise(found, gate=gate)


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
    from qparity.diagnose import gather
    from qparity.reporting.html import render
    from qparity.store import Run, StoreError
    from qparity.summary import RunView
    from qparity.summary.causes import causes

    view = run if isinstance(run, RunView) else judge(run)
    found = causes(view.cells, view.groups)
    try:
        source = run if isinstance(run, Run) else Run.open(view.folder) if found and view.folder else None
    except StoreError:  # it has gone since it was judged
        source = None
    if source:
        source.leave_out(dict(view.damaged))
    path = Path(output) if output else REPORTS / f"{Path(view.id).name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    told = gather(source, found) if source else {}
    path.write_text(render(view, base, told), encoding="utf-8")
    return path
