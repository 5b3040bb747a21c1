"""The commands: one thin function each. Everything heavy is imported inside, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from qparity import __version__
from qparity.api import REPORTS, RESULTS
from qparity.cli.problems import UsageProblem
from qparity.cli.runs import (
    as_json,
    benchmarks,
    judged,
    loaded,
    probing,
    say,
    say_why,
    show_end,
    show_view,
    view_json,
    write,
    write_figures,
    write_index,
    write_report,
)
from qparity.cli.values import (
    budget_s,
    cluster_engine,
    gate,
    memory_bytes,
    need_dask,
    on_top,
    script_options,
    with_slowdown,
    within,
)

LONGEST_SENTENCE = 1000


class WholeSentences(TyperGroup):
    """Lists the commands with the first sentence of each, whole: it wraps, and is not cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(LONGEST_SENTENCE)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    name="qparity",
    cls=WholeSentences,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where run folders are kept.")]
RunArgument = Annotated[str, typer.Argument(metavar="[RUN]", help="A run id, a path, or `latest`.")]
Scenarios = Annotated[
    list[Path],
    typer.Argument(
        metavar="SCENARIO...", help="Scenario files, names that `qparity list` prints, or your training script."
    ),
]
Variants = Annotated[
    list[str] | None,
    typer.Option(
        "--variant", "-v", metavar="NAME", help="Instead of the files' variants (repeatable); all: every mode there is."
    ),
]
Keep = Annotated[
    str | None,
    typer.Option("-k", metavar="EXPR", help="Only cells whose name or variant matches, such as 'adjoint and not jax'."),
]
JudgeWithin = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="Do not judge a cell that takes the oracle longer. Default: 300."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Pythons = Annotated[
    list[str] | None,
    typer.Option(
        "--python", metavar="BACKEND=PATH", help="Interpreter of a backend: jax=.venv-jax/bin/python (repeatable)."
    ),
]
Releases = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="REQUIREMENT",
        help="On top of what is installed, in an environment of its own: keras==3.14.1 (repeatable).",
    ),
]

Expectations = Annotated[
    Path | None, typer.Option("--expectations", metavar="FILE", help="Known faults with reason and expiry (TOML).")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Modules that the run names may be imported, from the folders it names.")
]

FitOption = Annotated[
    int | None, typer.Option("--fit", min=1, metavar="N", help="Take the N-th fit of a training script. Default: 1.")
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, metavar="N", help="Train a script's model for about N steps only.")
]
BatchOption = Annotated[
    int | None, typer.Option("--batch-size", min=1, metavar="N", help="Instead of a script's own batch size.")
]

INTERRUPTED = 130


def _version(asked: bool) -> None:
    if asked:
        say(f"qparity {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train the same seeded quantum model on every Keras backend: do they agree, which is wrong, how fast is each?"""


@app.command()
def run(
    context: typer.Context,
    scenarios: Scenarios,
    variant: Variants = None,
    k: Keep = None,
    results: Results = RESULTS,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Run only what this run has not finished.")] = None,
    force: Annotated[bool, typer.Option(help="Resume although the environment has changed.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Resume failed cells, too, not only missing ones.")] = False,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Cells side by side. Default: as many as have cores.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads, and cores, of each cell.")] = 1,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a cell may take; stuck ones end sooner.")] = 900.0,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="For all cells together, such as 8G. Default: what is free."),
    ] = None,
    engine: Annotated[str, typer.Option(metavar="local|dask", help="This machine, or a cluster.")] = "local",
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler: tcp://host:8786.")] = None,
    python: Pythons = None,
    requirements: Releases = None,
    isolation: Annotated[
        str | None,
        typer.Option(metavar="fork|spawn", help="How a cell gets its process. Default: forked, on a GPU spawned."),
    ] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts of the sweep.")] = None,
    no_timing: Annotated[
        bool,
        typer.Option("--no-timing", help="Audits and one recorded fit a cell, no timing rounds."),
    ] = False,
    full_fit: Annotated[
        bool, typer.Option("--full-fit", help="Let model.fit repeat every recorded step, not the first ones only.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=6, max=1000, help="The most timing rounds of a scenario.")] = 40,
    target_width: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Stop timing at this relative half-width of the ratios.")
    ] = 0.05,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for no longer than this, such as 90s, 2m or 1h, where it tells most."),
    ] = None,
    noise: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Relative difference below which two variants count as equally fast."),
    ] = 0.02,
    fit: FitOption = None,
    steps: StepsOption = None,
    batch_size: BatchOption = None,
    no_diagnose: Annotated[
        bool, typer.Option("--no-diagnose", help="Do not run red cells' faulty steps again, to say why they are red.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Judge afterwards; the exit code is the gate's.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Write the HTML report afterwards.")] = False,
) -> None:
    """Run a sweep: the same training on every variant, recorded step by step.

    A SCENARIO is a file, the name of a shipped one, or your own training script (FILE.py): it is run unchanged up to
    its model.fit, with what follows -- as its arguments.
    """
    from qparity.reporting.live import live
    from qparity.runner.begin import begin
    from qparity.runner.capture import load_all
    from qparity.runner.local import Options
    from qparity.runner.rounds import TimingOptions
    from qparity.runner.sweep import Halted, sweep
    from qparity.summary import summarise
    from qparity.summary.words import command, resumed

    if isolation not in (None, "fork", "spawn"):
        raise UsageProblem(f"--isolation = {isolation!r}: expected fork or spawn")
    given = on_top(requirements, python, engine)
    options = Options(
        jobs=jobs,
        threads=threads,
        timeout=timeout,
        interpreters=given.paths,
        memory_bytes=memory_bytes(max_memory),
        isolation=isolation,
        full_fit=full_fit,
    )
    run_s = budget_s(budget, no_timing, engine)
    timing = TimingOptions(rounds=rounds, target_width=target_width, noise=noise, run_s=run_s, timeout=timeout)
    measured = None if no_timing else timing
    driver = cluster_engine(engine, scheduler, options, measured)
    asked = script_options(context, fit, steps, batch_size)
    loaded = load_all(scenarios, k, variant, asked, options.interpreters, lambda line: say(line, err=True))
    opened, blocks = begin(loaded, results, resume, shard, sys.argv, force, given)
    halted = None
    with live(opened) as listen:
        try:
            complete = sweep(opened, blocks, options, listen, measured, driver, retry)
        except Halted as error:
            complete, halted = False, error
    view = summarise(opened, curves=bool(report))
    show_end(view)
    if complete and not no_diagnose and engine == "local":  # a cluster's nodes have what this machine may lack
        say_why(opened, view, trust=resume is None, interpreters=given.paths)
    if not complete:
        again = command(resumed(sys.argv, opened.id))
        hint = f"; go on with: {again}" if opened.path.exists() else ""
        say(f"{f'qparity: {halted}' if halted else 'interrupted'}{hint}", err=True)
    if report:
        say(f"report: {write_report(view)}")
    else:
        elsewhere = [] if results == RESULTS else ["--results", str(results)]
        say(f"the HTML report: {command(['qparity', 'report', opened.id, *elsewhere])}")
    say(opened.id)
    if halted:
        raise typer.Exit(3)
    raise typer.Exit(INTERRUPTED if not complete else view.exit_code if check else view.exit_code_of_run)


@app.command()
def check(
    run: RunArgument = "latest",
    results: Results = RESULTS,
    expectations: Expectations = None,
    min_compared: Annotated[
        str | None,
        typer.Option(metavar="N", help="Fail unless so many cells were compared: a number (12) or a share (0.8)."),
    ] = None,
    min_judged: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Fail if less than this share (0.5) of a cell's numbers was judged."),
    ] = None,
    require_judge: Annotated[
        bool, typer.Option("--require-judge", help="PEERS-AGREE (nobody independent judged it) is no pass.")
    ] = False,
    max_slowdown: Annotated[
        float | None, typer.Option(metavar="X", help="Fail if a variant is surely more than X times as slow.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="As slow as this variant. Default: the one timed most.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="RUN", help="As slow as in this run, on the same machine.")
    ] = None,
    judge_within: JudgeWithin = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a Markdown summary.")] = None,
    annotations: Annotated[
        bool | None, typer.Option(help="Print GitHub annotations (default: under GitHub Actions).")
    ] = None,
    json: Json = False,
) -> None:
    """Judge a run. Exit code 0: as expected, 1: a disagreement, 3: something failed or nothing was compared."""
    from qparity.scenario.locate import line_in_file
    from qparity.summary import annotations as annotation_lines
    from qparity.summary import junit as junit_xml
    from qparity.summary import markdown as markdown_text

    asked = gate(expectations, min_compared, min_judged, require_judge, judge_within)
    if max_slowdown is not None:
        asked = with_slowdown(asked, results, max_slowdown, reference, base)
    elif reference or base:
        raise UsageProblem(f"--{'reference' if reference else 'base'}: expected together with --max-slowdown")
    view = judged(results, run, asked)
    if junit:
        write(junit, junit_xml.render(view))
    if markdown:
        write(markdown, markdown_text.render(view))
    if json:
        say(view_json(view))
    else:
        show_view(view)
        if os.environ.get("GITHUB_ACTIONS") == "true" if annotations is None else annotations:
            say("\n".join(annotation_lines.lines(view, line_in_file)))
    raise typer.Exit(view.exit_code)


@app.command()
def report(
    run: RunArgument = "latest",
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: reports/RUN.html.")
    ] = None,
    expectations: Expectations = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write figures for papers instead: SVG, PNG, PDF.")
    ] = None,
    index: Annotated[
        bool, typer.Option("--index", help="Write reports/index.html over all runs, and reports that are missing.")
    ] = False,
) -> None:
    """Write the HTML report of a run: one file that opens offline."""
    if index:
        say(str(write_index(results, output.parent if output else REPORTS)))
        return
    view = judged(results, run, gate(expectations), curves=True)
    if figures:
        for path in write_figures(view, figures):
            say(str(path))
    else:
        say(str(write_report(view, output)))


@app.command()
def show(run: RunArgument = "latest", results: Results = RESULTS, json: Json = False) -> None:
    """Print verdicts and step times of a run."""
    view = judged(results, run)
    if json:
        say(view_json(view))
    else:
        show_view(view)


@app.command(name="list")
def list_cells(
    context: typer.Context,
    scenarios: Annotated[list[Path] | None, typer.Argument(metavar="[SCENARIO...]", help="Scenario files.")] = None,
    variant: Variants = None,
    k: Keep = None,
    fit: FitOption = None,
    steps: StepsOption = None,
    batch_size: BatchOption = None,
    json: Json = False,
) -> None:
    """List the cells that a run of these scenario files would have; without a file, the scenario files that ship."""
    from qparity.runner.capture import load_all
    from qparity.runner.plan import make_blocks
    from qparity.scenario import shipped
    from qparity.scenario.load import load_file

    if not scenarios:
        found = {name: load_file(shipped.file_of(name)).description for name in shipped.names()}
        width = max(map(len, found))
        say(as_json({"files": found}) if json else "\n".join(f"{n:{width}}  {text}" for n, text in found.items()))
        return

    loaded = load_all(scenarios, k, variant, script_options(context, fit, steps, batch_size))
    cells = [cell for block in make_blocks(loaded) for cell in block.cells]
    if json:
        rows = [
            {"scenario": c.scenario.name, "variant": str(c.variant), "id": c.id, "steps": c.scenario.steps}
            for c in cells
        ]
        say(as_json({"cells": rows}))
        return
    for cell in cells:
        say(f"{cell.scenario.name}  {cell.variant}  {cell.id}  {cell.scenario.steps} steps")
    say(f"scenarios: {len({c.scenario.name for c in cells})}, cells: {len(cells)}")


@app.command()
def doctor(
    python: Pythons = None,
    requirements: Releases = None,
    matrix: Annotated[
        bool, typer.Option(help="Probe every mode x device x diff method, each in its own process.")
    ] = False,
    wires: Annotated[int, typer.Option(min=1, max=8, help="Wires of the probed circuit.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size of the probed training.")] = 5,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", "-v", metavar="NAME", help="Probe this variant (repeatable). Default: all."),
    ] = None,
    expectations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Known faults (TOML); the matrix' scenarios are DEVICE-METHOD."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what can run on this machine and, in words, what cannot and why."""
    from qparity.runner import probe
    from qparity.summary import doctor as words

    given = on_top(requirements, python).paths
    if matrix:
        known = gate(expectations).of
        with probing() as tell:
            found = probe.matrix(given, variant, wires, batch_size, tell, known)
        say(as_json({"cells": [cell.to_dict() for cell in found]}) if json else words.matrix_text(found))
    elif expectations:
        raise UsageProblem("--expectations: expected together with --matrix")
    else:
        about = probe.backends(given)
        say(as_json(about.to_dict()) if json else words.backends_text(about))


@app.command()
def export(
    run: RunArgument = "latest",
    results: Results = RESULTS,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="csv, json or pytest-benchmark.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: standard output.")
    ] = None,
) -> None:
    """Export the cells of a run, with verdicts, as CSV or JSON; their timed rounds as pytest-benchmark's JSON."""
    from qparity.summary import csv as csv_view
    from qparity.summary import json as json_view
    from qparity.summary import summarise

    if format not in ("csv", "json", "pytest-benchmark"):
        raise UsageProblem(f"--format = {format!r}: expected csv, json or pytest-benchmark")
    source = loaded(results, run)
    view = summarise(source, curves=False)
    if format == "csv":
        text = csv_view.render(view)
    else:
        document = json_view.document(view) if format == "json" else benchmarks(source, view)
        text = as_json(document) + "\n"
    if output:
        write(output, text)
    else:
        say(text.removesuffix("\n"))


@app.command()
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The run before: an id, a path, or `latest`.")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The run after.")] = "latest",
    results: Results = RESULTS,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report of HEAD with what has changed since BASE.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what changed between two runs. Exit code 1 if a verdict got worse."""
    from qparity.summary import compare as comparing

    view = judged(results, head, curves=bool(html))
    compared = comparing.compare(judged(results, base), view)
    if html:
        write_report(view, html, compared)
    text = as_json(compared.document()) if json else "\n".join(compared.lines())
    say(text)
    raise typer.Exit(compared.exit_code)


@app.command()
def merge(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Shards of a sweep, or one sweep in parts.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Results folder of the new run.")
    ] = RESULTS,
    results: Results = RESULTS,
) -> None:
    """Join runs into a new one: the parts of a CI matrix, or several environments."""
    from qparity.store.merge import merge as joined

    merged = joined([loaded(results, reference) for reference in runs], output)
    for note in merged.record.merged.notes if merged.record.merged else ():
        say(f"qparity: {note}", err=True)
    say(merged.id)


@app.command()
def diagnose(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run id, a path, or `latest`.")],
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A cell's id, or scenario/variant.")],
    results: Results = RESULTS,
    trust: Trust = False,
    python: Pythons = None,
    requirements: Releases = None,
    judge_within: JudgeWithin = None,
    json: Json = False,
) -> None:
    """Run a cell's faulty step again, alone and on other variants, to say why it disagrees."""
    from qparity.diagnose import diagnose as found_out
    from qparity.diagnose import find

    source = loaded(results, run)
    found = found_out(source, find(source, cell, trust, within(judge_within)), on_top(requirements, python).paths)
    say(as_json(found.to_dict()) if json else "\n".join(found.story))


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run id, a path, or `latest`.")],
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A cell's id, or scenario/variant.")],
    results: Results = RESULTS,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: repro-SCENARIO-VARIANT.py.")
    ] = None,
    smaller: Annotated[bool, typer.Option("--shrink/--no-shrink", help="Cut layers, wires, samples first.")] = True,
    trust: Trust = False,
    python: Pythons = None,
    requirements: Releases = None,
    judge_within: JudgeWithin = None,
) -> None:
    """Write a standalone script that shows a cell's first divergence without qparity, for an upstream issue."""
    from qparity.diagnose import find, shrink
    from qparity.diagnose import reproduce as script_of

    source = loaded(results, run)
    subject = find(source, cell, trust, within(judge_within))
    output = output or Path(f"repro-{subject.name.replace('/', '-')}.py")
    given = on_top(requirements, python).paths
    write(output, script_of(source, shrink(source, subject, given) if smaller else subject, given))
    if subject.judgement.verdict in ("ROUNDING", "PEERS-AGREE"):
        say(f"qparity: {subject.name} agrees: the script shows its largest residual, no divergence", err=True)
    elif fault := subject.observation.outcome.fault:
        say(f"qparity: the fault {fault.name} was injected: the script is without", err=True)
    say(f"{output}   # exits with 1 if the divergence shows")


@app.command()
def cluster(
    nodes: Annotated[int, typer.Option(min=1, help="Dask workers, each with its share of the cores.")] = 2,
    host: Annotated[str, typer.Option(help="Address the scheduler listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0: any free one.")] = 8786,
) -> None:
    """Run a Dask cluster on this machine until Ctrl-C, set up for `run --engine dask`."""
    need_dask("qparity cluster")
    from qparity.runner.cluster import cluster as running

    with running(nodes, host, port) as (address, processes):
        say(f"qparity run SCENARIO... --engine dask --scheduler {address}")
        for process in processes:
            process.wait()
    raise UsageProblem("qparity cluster: its nodes have ended")


@app.command()
def init(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: scenario.toml, or NAME.toml.")] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Copy this shipped file (`qparity list` names them).")
    ] = None,
) -> None:
    """Write a commented scenario file to start from."""
    from qparity.scenario import shipped
    from qparity.scenario.starter import STARTER

    content = shipped.file_of(origin).read_text(encoding="utf-8") if origin else STARTER
    path = path or Path(f"{origin or 'scenario'}.toml")
    if path.exists():
        raise UsageProblem(f"{path}: exists already")
    write(path, content)
    say(f"{path}   # qparity run {path} --budget 1m --report")


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from qparity.scenario.json_schema import file_schema

    say(as_json(file_schema()))
