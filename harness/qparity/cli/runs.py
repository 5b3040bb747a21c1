"""Loading, judging, printing and writing runs, for the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from qparity.cli.problems import UsageProblem

if TYPE_CHECKING:
    from qparity.reporting.index import Entry
    from qparity.runner.probe import Probed
    from qparity.store import Run
    from qparity.summary import RunView
    from qparity.summary.causes import Cause
    from qparity.summary.compare import RunChanges
    from qparity.summary.gate import Gate

MOST_LINES = 20


def say(text: str, err: bool = False) -> None:
    """Print text that may come from a run folder, without anything in it that could steer the terminal."""
    from qparity.scenario.text import printable_lines

    typer.echo(printable_lines(text), err=err)


def loaded(results: Path, reference: str) -> Run:
    """The run meant by a reference; damaged files are named on standard error."""
    from qparity.store import Run, resolve

    found: Run = Run.load(resolve(results, reference))
    _say_damaged(found)
    return found


def judged(results: Path, reference: str, gate: Gate | None = None, curves: bool = False) -> RunView:
    """The run meant by a reference, judged, and damaged files named; `curves` for its pictures."""
    from qparity.store import Run, resolve
    from qparity.summary import summarise

    found: Run = Run.load(resolve(results, reference), checked=False)
    view = summarise(found, gate=gate, curves=curves)
    _say_damaged(found)
    return view


def _say_damaged(run: Run) -> None:
    for file, fault in run.damaged[:MOST_LINES]:
        say(f"qparity: {run.path / file}: {fault}; treated as missing", err=True)
    if len(run.damaged) > MOST_LINES:
        say(f"qparity: and {len(run.damaged) - MOST_LINES} more files; treated as missing", err=True)


def show_end(view: RunView) -> None:
    """Print a run that has just been watched: without a terminal its cells stand above already."""
    if sys.stdout.isatty():
        show_view(view)
    else:
        from qparity.summary.terminal import untimed_line

        say("\n".join(filter(None, (untimed_line(view), view.sentence))))


def say_why(run: Run, view: RunView, trust: bool, interpreters: dict[str, str]) -> None:
    """Diagnose what a sweep found wrong, and say it, a line a cause; the report shows the whole story."""
    if not any(cell.mark == "fail" for cell in view.cells):
        return
    from qparity.diagnose import explain
    from qparity.summary.causes import causes

    def before(cause: Cause) -> None:
        say(f"diagnosing {cause.name} ({cause.count})", err=True)

    found = causes(view.cells, view.groups)
    try:
        for told in explain(run, found, trust, interpreters=interpreters, before=before):
            say(f"{told.cause.name} ({told.cause.count}): {told.line}")
    except KeyboardInterrupt:
        say("qparity: diagnosing was interrupted; `qparity diagnose` does it for a cell", err=True)


@contextmanager
def resumable() -> Iterator[None]:
    """Of a command that keeps what it has done: say that the same command goes on, where it is ended early."""
    from qparity.runner.sweep import Halted

    try:
        yield
    except KeyboardInterrupt:
        say("interrupted; the same command goes on", err=True)
        raise
    except Halted as error:
        say(f"qparity: {error}; the same command goes on", err=True)
        raise typer.Exit(3) from None


def show_view(view: RunView) -> None:
    """Print a run for people."""
    from rich.console import Console

    from qparity.summary.terminal import show

    show(view, Console())


@contextmanager
def probing() -> Iterator[Callable[[int, int, Probed], None]]:
    """Show on standard error how far the matrix is: a bar on a terminal, else a line for every tenth of it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(done: int, total: int, found: Probed) -> None:
            combination = found.combination
            last = f"{combination.variant} {combination.device} {combination.diff_method}"
            bar.update(task, completed=done, total=total, description=last)
            if not console.is_terminal and (done == total or done * 10 // total > (done - 1) * 10 // total):
                say(f"{done} of {total} probed", err=True)

        yield tell


def as_json(document: Any) -> str:
    """JSON for people and programs."""
    return json.dumps(document, indent=2)


def view_json(view: RunView) -> str:
    """The stable JSON object of a run."""
    from qparity.summary import json as json_view

    return as_json(json_view.document(view))


def benchmarks(run: Run, view: RunView) -> dict[str, Any]:
    """The timed rounds in pytest-benchmark's format; needs that package."""
    try:
        from qparity.reporting import benchmark_json
    except ModuleNotFoundError as error:
        raise UsageProblem(f"--format = 'pytest-benchmark': {error.name} is not installed (pip install it)") from None
    return benchmark_json.document(run, view)


def write(path: Path, content: str | bytes) -> Path:
    """Write a file whole, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_report(view: RunView, output: Path | None = None, base: RunChanges | None = None) -> Path:
    """Write the HTML report, with what has changed since a base run, and say where."""
    from qparity.api import report

    return report(view, output, base)


def write_figures(view: RunView, folder: Path) -> list[Path]:
    """Write the figures for papers."""
    from qparity.reporting.figures import draw

    return [write(folder / name, content) for name, content in draw(view).items()]


def write_index(results: Path, folder: Path) -> Path:
    """Write `index.html` into the folder of reports, and every report that is missing there."""
    from qparity.reporting.index import render
    from qparity.store import list_runs

    entries = [entry for _, path in list_runs(results) if (entry := _entry(path, folder))]
    return write(folder / "index.html", render(entries))


def _entry(path: Path, folder: Path) -> Entry | None:
    """A run as the index shows it: read back from its report if that is as new as the run, else judged."""
    from qparity.reporting.index import Entry, read
    from qparity.store import Run, StoreError
    from qparity.summary import summarise

    try:
        run = Run.load(path)
    except StoreError:
        return None
    report = folder / f"{path.name}.html"  # the folder's name: an id may be anything
    document = read(_text(report)) if _newer(report, path) else None
    if document is None:
        document = read(_text(write_report(summarise(run), report)))
    return Entry(report.name, run.record, document) if document else None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _newer(report: Path, run: Path) -> bool:
    changed = max(file.stat().st_mtime for file in (run / "run.json", run / "cells", run / "timings") if file.exists())
    return report.is_file() and report.stat().st_mtime >= changed
