"""`qparity hunt`: random circuits, until one is wrong and after."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qparity.api import RESULTS
from qparity.cli.commands import INTERRUPTED, Json, Pythons, Releases, Results, app
from qparity.cli.problems import UsageProblem
from qparity.cli.runs import as_json, say
from qparity.cli.values import on_top

if TYPE_CHECKING:
    from qparity.hunt.kept import Find, State

MINUTES = 5.0
SAID_EVERY_S = 30.0


@app.command()
def hunt(
    minutes: Annotated[
        float | None, typer.Option(min=0.0, metavar="M", help="Begin no circuit after so long. Default: 5, or --cells.")
    ] = None,
    cells: Annotated[int | None, typer.Option(min=1, metavar="N", help="Begin none after so many cells.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="The same seed draws the same circuits. Default: 0."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", "-v", metavar="NAME", help="Draw from these variants (repeatable); all: every mode."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="For scripts. Default: finds, in the run folder."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this hunt; --minutes and --cells are of the whole.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Circuits side by side. Default: as many as have cores.")
    ] = None,
    python: Pythons = None,
    requirements: Releases = None,
    results: Results = RESULTS,
    json: Json = False,
) -> None:
    """Train random circuits and rewrites of them, judge them, and cut down what is wrong to a script.

    The run is one like any other, for show, report and diagnose. Exit code 0: nothing found, 1: finds.
    """
    from qparity.hunt import told
    from qparity.hunt.begin import begin
    from qparity.hunt.begin import resume as reopened
    from qparity.hunt.hunt import hunt as hunted
    from qparity.runner.local import Options
    from qparity.runner.sweep import Halted
    from qparity.scenario.load import variants_asked_for
    from qparity.scenario.variant import DEFAULT_VARIANTS
    from qparity.summary.words import command

    if minutes is not None and not isfinite(minutes):
        raise UsageProblem(f"--minutes = {minutes}: expected a number")
    given = on_top(requirements, python)
    seconds = minutes * 60 if minutes is not None else MINUTES * 60 if cells is None else None
    if resume is not None:
        for name, value in (("--seed", seed), ("--variant", variant)):
            if value is not None:
                raise UsageProblem(f"{name}: expected without --resume, which has its own")
        run, state = reopened(results, resume, given)
        if minutes is not None or cells is not None:
            state = replace(state, seconds=seconds, cells=cells)
    else:
        chosen = variants_asked_for(variant) or DEFAULT_VARIANTS
        run, state = begin(results, seed or 0, chosen, (seconds, cells), sys.argv, given)
    say(run.id, err=True)
    last = time.monotonic()

    def tell(state: State, finds: tuple[Find, ...]) -> None:
        nonlocal last
        for find in finds:
            said = find.words if find.recurred else "did not recur"
            say(f"found: {find.cells[0]}: {find.fault.words} ({said}, {find.device} {find.diff_method})", err=True)
        if time.monotonic() - last >= SAID_EVERY_S:
            last = time.monotonic()
            counts, recurred = state.counts, sum(each.recurred for each in state.finds)
            number, found = told.counted(counts.get("circuits", 0), "circuit"), told.counted(recurred, "find")
            say(f"{state.spent_s / 60:.1f} min: {number}, {found}", err=True)

    options = Options(timeout=120.0, interpreters=given.paths, jobs=jobs)
    halted = None
    try:
        state, whole = hunted(run, state, options, tell, output)
    except Halted as error:
        halted, whole = error, False
    if halted:
        say(f"qparity: {halted}", err=True)
        raise typer.Exit(3)
    found = told.by_cause(run, state)
    elsewhere = [] if results == RESULTS else ["--results", str(results)]
    if json:
        say(as_json(told.document(found, state, run.id)))
    else:
        say("\n".join(told.lines(found, state, told.ended(run))))
        say(f"the HTML report: {command(['qparity', 'report', run.id, *elsewhere])}")
    if not whole:
        say(f"interrupted; go on with: {command(['qparity', 'hunt', '--resume', run.id, *elsewhere])}", err=True)
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if found else 0)
