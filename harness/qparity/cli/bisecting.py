"""`qparity bisect`: which release of a package changed a verdict, or a step's time."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qparity.api import RESULTS
from qparity.cli.commands import Json, Keep, Pythons, Releases, Results, app
from qparity.cli.problems import UsageProblem
from qparity.cli.runs import as_json, resumable, say, write
from qparity.cli.values import each_end, interpreters

if TYPE_CHECKING:
    from qparity.releases.bisect import Found
    from qparity.releases.evaluation import Bench, Evaluation
    from qparity.releases.pace import PaceBench


@app.command()
def bisect(
    scenario: Annotated[
        Path, typer.Argument(metavar="SCENARIO", help="A scenario file, a name that `qparity list` prints, a script.")
    ],
    variant: Annotated[str, typer.Option("--variant", "-v", metavar="NAME", help="The variant to run.")],
    package: Annotated[str | None, typer.Option(metavar="NAME", help="Whose releases are tried: keras.")] = None,
    packages: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Find out first which of these is to blame: keras,pennylane."),
    ] = None,
    good: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="The oldest one, of several NAME==RELEASE,... Default: as supported."),
    ] = None,
    bad: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="The newest one, of several NAME==RELEASE,... Default: as supported."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="X", help="Look at the step time, not the verdict: for a change by more than X times."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=6, max=1000, help="The most rounds of an evaluation with --speed.")] = 40,
    k: Keep = None,
    pre: Annotated[bool, typer.Option("--pre", help="Try pre-releases, too.")] = False,
    requirements: Releases = None,
    python: Pythons = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a release may take.")] = 900.0,
    results: Results = RESULTS,
    json: Json = False,
) -> None:
    """Find the first release of a package at which the verdict of a cell changes, and write an issue text on it.

    With --speed it is the step time that is looked at, measured in turn with that of the oldest release. Each release
    gets an environment of its own; the reference, which judges, stays where it is. Killed and started again, it goes
    on. Exit code 0: found, 1: nothing changes between these releases, 3: an end cannot say.
    """
    from qparity.releases import told
    from qparity.releases.begin import bench as begun
    from qparity.releases.begin import one_cell, pace_bench, releases
    from qparity.releases.bisect import bisect as search
    from qparity.releases.blame import blame
    from qparity.releases.slowdown import find_change_of_speed
    from qparity.runner.capture import load_all
    from qparity.runner.local import Options
    from qparity.store.claim import claimed

    if (package is None) == (packages is None):
        raise UsageProblem("--package and --packages: expected one of them")
    if speed is not None and not 1 < speed < math.inf:
        raise UsageProblem(f"--speed = {speed:g}: expected a factor above 1, such as 1.3")
    if speed is not None and package is None:
        raise UsageProblem("--speed and --packages: expected --package, and the others pinned by --with")
    paths, pins = interpreters(python), list(requirements or [])
    block = one_cell(load_all([scenario], k, [variant], interpreters=paths, tell=lambda line: say(line, err=True)))

    def begin(name: str, others: Mapping[str, str]) -> Bench:
        pinned = [*pins, *(f"{other}=={release}" for other, release in others.items())]
        return begun(block, name, pinned, paths, results, Options(timeout=timeout))

    old: dict[str, str] = {}
    if package is None:
        ends = each_end(packages or "", good, bad)
        chosen = {name: releases(begin(name, {}), *two, pre) for name, two in ends.items()}
        old, new = ({name: found[end] for name, found in chosen.items()} for end in (0, -1))
        blamed = blame(old, new, partial(_evaluated, begin))
        say(blamed.sentence, err=bool(blamed.packages))
        if not blamed.packages:
            raise typer.Exit(blamed.exit_code)
        package = blamed.packages[0]
        good, bad = old.pop(package), new[package]
    bench = begin(package, old)
    chosen_one = releases(bench, good, bad, pre)

    def tell(one: Evaluation, meaning: str) -> None:
        said = f"{one.said}, {one.where}" if one.where else one.said
        say(f"{bench.package} {one.release}: {said} ({meaning})", err=True)

    timed = pace_bench(bench, pins, results, chosen_one[0], rounds) if speed is not None else None
    bench = timed or bench
    bench.folder.mkdir(parents=True, exist_ok=True)
    with resumable(), claimed(bench.folder):
        if timed is not None and speed is not None:
            found = find_change_of_speed(timed, chosen_one, speed, tell)
            files = _issue_on_speed(timed, found) if found.exit_code == 0 else {}
        else:
            found = search(bench, chosen_one, tell)
            files = _written(bench, found) if found.exit_code == 0 else {}
    if json:
        say(as_json(told.document(found, ran=bench.ran, **files)))
    else:
        say("\n".join(told.lines(found)))
        again = len(found.evaluations) - bench.ran
        say(f"releases: {len(chosen_one)}, evaluated: {len(found.evaluations)}, {again} of them found from before")
        for name, path in files.items():
            say(f"{name}: {path}")
    raise typer.Exit(found.exit_code)


def _evaluated(begin: Callable[[str, Mapping[str, str]], Bench], name: str, combined: Mapping[str, str]) -> Evaluation:
    """The evaluation of a package's release, with these releases of the others."""
    from qparity.store.claim import claimed

    bench = begin(name, {other: release for other, release in combined.items() if other != name})
    bench.folder.mkdir(parents=True, exist_ok=True)
    with claimed(bench.folder):
        found = bench.evaluate(combined[name])
    told = " and ".join(f"{each} {release}" for each, release in combined.items())
    say(f"{told}: {found.said}{f', {found.where}' if found.where else ''}", err=True)
    return found


def _written(bench: Bench, found: Found) -> dict[str, str]:
    """Write the reproducer and the issue text; the path of each, or why there is no script."""
    from qparity.diagnose import DiagnosisError
    from qparity.releases import told
    from qparity.releases.reproducer import script_of, tried

    old, new, wrong = found.old, found.new, found.faulty
    assert old is not None
    assert new is not None
    assert wrong is not None
    files: dict[str, str] = {}
    script, ran = None, {}
    try:
        path = script_of(bench, wrong)
    except DiagnosisError as error:
        files["no reproducer"] = str(error)
    else:
        script = path.read_text(encoding="utf-8")
        ran = {one.release: tried(bench, one.release, path) for one in (old, new)}
        files["reproducer"] = str(path)
    scenario, variant = bench.block.scenario, bench.block.variants[0]
    text = told.issue(found, f"`{scenario.name}` on `{variant}`", bench.pins, script, ran)
    files["issue text"] = str(write(bench.folder / f"issue-{bench.package}-{new.release}.md", text))
    return files


def _issue_on_speed(bench: PaceBench, found: Found) -> dict[str, str]:
    """Write the issue text on a change of speed; its path."""
    from qparity.releases.told_speed import issue
    from qparity.scenario import shipped

    assert found.new is not None
    scenario, variant = bench.block.scenario, str(bench.block.variants[0])
    command = ["qparity", "bisect", shipped.short(str(bench.block.file)), "-k", scenario.name, "-v", variant]
    command += ["--package", bench.package, *(each for pin in bench.pins for each in ("--with", pin))]
    command += ["--good", bench.good, "--bad", found.releases[-1], "--speed", f"{found.factor:g}"]
    command += ["--rounds", str(bench.rounds)]
    text = issue(found, f"`{scenario.name}` on `{variant}`", shlex.join(command))
    return {"issue text": str(write(bench.folder / f"issue-{bench.package}-{found.new.release}.md", text))}
