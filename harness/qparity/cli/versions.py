"""`qparity versions`: which releases of which packages a scenario passes with."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qparity.api import RESULTS
from qparity.cli.commands import Json, Keep, Pythons, Releases, Results, Variants, app
from qparity.cli.problems import UsageProblem
from qparity.cli.runs import as_json, resumable, say, write
from qparity.cli.values import interpreters

if TYPE_CHECKING:
    from qparity.releases.evaluation import Bench
    from qparity.releases.matrix import Matrix
    from qparity.scenario.load import Block


@app.command()
def versions(
    scenarios: Annotated[
        list[Path], typer.Argument(metavar="SCENARIO...", help="Files, names of shipped ones, or scripts.")
    ],
    package: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=R,R", help="Releases of a package (or oldest, newest) in place of the files' [versions]."
        ),
    ] = None,
    variant: Variants = None,
    k: Keep = None,
    pre: Annotated[bool, typer.Option("--pre", help="`newest` may be a pre-release.")] = False,
    requirements: Releases = None,
    python: Pythons = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a cell may take.")] = 900.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the tables here as Markdown, too.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them as an HTML page, too, that opens offline.")
    ] = None,
    results: Results = RESULTS,
    json: Json = False,
) -> None:
    """Run every cell with each of several releases on top of what is installed, and print the verdicts as tables.

    Each release gets an environment of its own; killed and started again, it goes on. Exit code 0: every cell passes
    with every release, 1: some is faulty, 3: some has no verdict.
    """
    from qparity.releases.begin import bench as begun
    from qparity.releases.begin import by_variant, releases
    from qparity.releases.matrix import document, markdown, over_releases
    from qparity.runner.capture import load_all
    from qparity.runner.local import Options
    from qparity.scenario.load import load_file
    from qparity.store.claim import claimed

    paths, pins = interpreters(python), list(requirements or [])
    blocks = by_variant(load_all(scenarios, k, variant, interpreters=paths, tell=lambda line: say(line, err=True)))
    asked = _asked(package) if package else {}
    if not package:
        for file in (each for each in scenarios if each.suffix != ".py"):
            for name, wanted in load_file(file).versions.items():
                asked[name] = tuple(dict.fromkeys((*asked.get(name, ()), *wanted)))
    if not asked:
        raise UsageProblem("--package: expected NAME=RELEASE,RELEASE, or a [versions] table in a scenario file")

    chosen = {}
    for name, wanted in asked.items():
        ends: dict[str, list[str]] = {}
        if {"oldest", "newest"} & set(wanted):
            there = releases(begun(blocks[0], name, pins, paths, results, Options()), None, None, pre)
            ends = {"oldest": there[:1], "newest": there[-1:]}
        chosen[name] = list(dict.fromkeys(each for text in wanted for each in ends.get(text, [text])))
    with resumable(), contextlib.ExitStack() as held:

        def begin(block: Block, name: str) -> Bench:
            made = begun(block, name, pins, paths, results, Options(timeout=timeout))
            made.folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(claimed(made.folder))
            return made

        found = over_releases(blocks, chosen, begin, lambda line: say(line, err=True))
    text = markdown(found)
    if output:
        write(output, text + "\n")
    if report:
        write(report, _page(found))
    say(as_json(document(found)) if json else text)
    raise typer.Exit(found.exit_code)


def _asked(texts: list[str]) -> dict[str, tuple[str, ...]]:
    """`keras=3.12.0,newest` as a table."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        wanted = tuple(each.strip() for each in listed.split(",") if each.strip())
        if not name or not wanted or listed.startswith("="):
            raise UsageProblem(f"--package = {text!r}: expected NAME=RELEASE,RELEASE (or oldest, newest)")
        found[name] = (*found.get(name, ()), *wanted)
    return found


def _page(found: Matrix) -> str:
    """The page over releases."""
    from datetime import UTC, datetime

    from qparity.reporting.releases import Entry, render
    from qparity.summary.words import command

    entries = [
        Entry(row.package, row.release, cell, found.mark(each, k), each.said, each.reason)
        for row in found.rows
        for k, (cell, each) in enumerate(zip(found.cells, row.evaluations, strict=True))
        if each
    ]
    return render(entries, command(sys.argv), datetime.now(UTC).isoformat(sep=" ", timespec="minutes")[:16])
