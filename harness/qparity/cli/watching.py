"""`qparity watch`: does the newest release of a package change a verdict, and which release did?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qparity.api import RESULTS
from qparity.cli.commands import Keep, Pythons, Results, Variants, app
from qparity.cli.problems import UsageProblem
from qparity.cli.runs import resumable, say, write
from qparity.cli.values import interpreters


@app.command()
def watch(
    scenarios: Annotated[
        list[Path], typer.Argument(metavar="SCENARIO...", help="Files, names of shipped ones, or scripts.")
    ],
    package: Annotated[
        list[str],
        typer.Option(metavar="NAME[=RELEASE]", help="A package; the release to compare with, else what is installed."),
    ],
    variant: Variants = None,
    k: Keep = None,
    pre: Annotated[bool, typer.Option("--pre", help="The newest may be a pre-release.")] = False,
    python: Pythons = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a cell may take.")] = 900.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the text of an issue here.")
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Run every cell with the newest release of each package; where a verdict differs, find the release it came with.

    For a scheduled job: .github/workflows/watch.yml. Exit code 0: no verdict differs, 1: some does, 3: none does, and
    some cell has no verdict.
    """
    from packaging.version import InvalidVersion, Version

    from qparity.releases.begin import bench as begun
    from qparity.releases.begin import by_variant, installed_release, releases
    from qparity.releases.matrix import concerns
    from qparity.releases.watch import Watched, exit_code, issue
    from qparity.releases.watch import watch as watched
    from qparity.runner.capture import load_all
    from qparity.runner.local import Options
    from qparity.store.claim import claimed

    paths = interpreters(python)
    blocks = by_variant(load_all(scenarios, k, variant, interpreters=paths, tell=lambda line: say(line, err=True)))
    seen, unchanged = list[Watched](), dict[str, None]()
    with resumable():
        for text in package:
            name, _, given = text.partition("=")
            for block in blocks:
                if not concerns(name, block):
                    continue
                bench = begun(block, name, (), paths, results, Options(timeout=timeout))
                now = given or installed_release(bench)
                if now is None:
                    raise UsageProblem(f"--package = {text!r}: {name} is not installed: expected {name}=RELEASE")
                try:
                    newer = [each for each in releases(bench, None, None, pre) if Version(each) > Version(now)]
                except InvalidVersion:
                    raise UsageProblem(f"--package = {text!r}: expected NAME or NAME=RELEASE") from None
                if not newer:
                    unchanged[f"{bench.package} {now}"] = None
                    continue
                bench.folder.mkdir(parents=True, exist_ok=True)
                with claimed(bench.folder):
                    seen.append(watched(bench, [now, *newer], lambda line: say(line, err=True)))
    told = issue(seen, tuple(unchanged))
    if output:
        write(output, told)
    say(told.rstrip())
    raise typer.Exit(exit_code(seen))
