"""The values of options: from what was typed to what the rooms below take, or a line on what was expected."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qparity.cli.problems import UsageProblem
from qparity.scenario.backends import BACKENDS

if TYPE_CHECKING:
    from qparity.environments.interpreters import Interpreters
    from qparity.runner.capture import ScriptOptions
    from qparity.runner.local import Options
    from qparity.runner.rounds import TimingOptions
    from qparity.runner.sweep import Engine
    from qparity.summary.gate import Gate


def split_script_arguments(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """A command line without what follows `--`, and that: the command line of the training script before it."""
    if "--" not in words:
        return words, ()
    at = words.index("--")
    if not any(word.endswith(".py") for word in words[:at]):
        return words, ()
    return words[:at], tuple(words[at + 1 :])


def script_options(context: typer.Context, fit: int | None, steps: int | None, batch_size: int | None) -> ScriptOptions:
    """What is asked of training scripts; the context's object is what stood after `--`."""
    from qparity.runner.capture import ScriptOptions

    return ScriptOptions(context.obj or (), fit, steps, batch_size)


INTERPRETED = tuple(BACKENDS)
"""What an interpreter can be given for: the backends, and the reference (Keras on NumPy)."""


def interpreters(pairs: list[str] | None) -> dict[str, str]:
    """`backend=path` and `backend@accelerator=path` as a dict."""
    found = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        backend, _, accelerator = name.partition("@")
        if not equals or backend not in INTERPRETED or accelerator not in ("", "cpu", "gpu"):
            raise UsageProblem(f"--python = {pair!r}: expected BACKEND=PATH, BACKEND one of {', '.join(INTERPRETED)}")
        if not Path(path).is_file():
            raise UsageProblem(f"--python = {pair!r}: expected the path of a Python interpreter")
        found[name] = path
    return found


def on_top(requirements: list[str] | None, python: list[str] | None, where: str = "local") -> Interpreters:
    """The interpreters of --python, with the releases of --with on top."""
    from qparity.environments.interpreters import with_releases

    if requirements and where != "local":
        raise UsageProblem(
            f"--with and --engine {where}: expected --engine local, environments are made on this machine"
        )
    return with_releases(requirements or [], interpreters(python))


def each_end(packages: str, good: str | None, bad: str | None) -> dict[str, tuple[str | None, str | None]]:
    """Package -> its oldest and newest release, from `--packages a,b --good a==1,b==2`; None where none is named."""
    names = [name.strip() for name in packages.split(",")]
    if len(set(names)) < 2 or not all(names):
        raise UsageProblem(f"--packages = {packages!r}: expected several names, such as keras,pennylane")
    ends: list[dict[str, str]] = []
    for option, text in (("--good", good), ("--bad", bad)):
        ends.append({})
        for part in text.split(",") if text else ():
            name, equals, release = (each.strip() for each in part.partition("=="))
            if name not in names or not equals or not release:
                raise UsageProblem(f"{option} = {part!r}: expected NAME==RELEASE, NAME one of {', '.join(names)}")
            ends[-1][name] = release
    return {name: (ends[0].get(name), ends[1].get(name)) for name in names}


def memory_bytes(text: str | None) -> int | None:
    """The value of --max-memory."""
    from qparity.runner.memory import parse_bytes

    try:
        return None if text is None else parse_bytes(text)
    except (ValueError, OverflowError):
        raise UsageProblem(f"--max-memory = {text!r}: expected a size such as 512M or 8G") from None


def budget_s(text: str | None, no_timing: bool, engine: str) -> float | None:
    """The value of --budget, which the timing on this machine takes."""
    if text is None:
        return None
    if no_timing:
        raise UsageProblem("--budget: expected without --no-timing")
    if engine != "local":
        raise UsageProblem(f"--budget: expected without --engine {engine}, whose nodes time side by side")
    from qparity.runner.budget import parse_seconds

    return parse_seconds(text)


def cluster_engine(name: str, scheduler: str | None, options: Options, timing: TimingOptions | None) -> Engine | None:
    """The engine that --engine names; None is the local one."""
    if name not in ("local", "dask"):
        raise UsageProblem(f"--engine = {name!r}: expected local or dask")
    if (name == "dask") != bool(scheduler):
        raise UsageProblem("--engine dask and --scheduler ADDRESS: expected both or neither")
    if not scheduler:
        return None
    need_dask("--engine dask")
    from qparity.runner.dask import on_cluster, refuse_unfit

    refuse_unfit(scheduler)
    return partial(on_cluster, scheduler=scheduler, options=options, timing=timing)


def need_dask(what: str) -> None:
    """Say which extra is missing, if it is."""
    if importlib.util.find_spec("distributed") is None:
        raise UsageProblem(f"{what}: expected the package distributed (pip install '.[dask]' in a clone of qparity)")


def gate(
    expectations: Path | None,
    min_compared: str | None = None,
    min_judged: float | None = None,
    require_judge: bool = False,
    judge_within: float | None = None,
) -> Gate:
    """What `check` holds against a run beside the scenarios' own expectations."""
    from qparity.parity.expectation import load_expectations
    from qparity.summary.gate import Floor, Gate

    try:
        floor = None if min_compared is None else Floor.parse(min_compared)
    except ValueError:
        raise UsageProblem(f"--min-compared = {min_compared!r}: expected a number of cells or a share") from None
    if min_judged is not None and not 0 <= min_judged <= 1:
        raise UsageProblem(f"--min-judged = {min_judged}: expected a share between 0 and 1")
    known = load_expectations(expectations) if expectations else ()
    found = Gate(known, floor, min_judged, require_judge)
    return replace(found, within_s=within(judge_within))


def within(judge_within: float | None) -> float:
    """How long the oracle may take for a cell, in seconds."""
    from qparity.summary.judging import WITHIN_S

    return WITHIN_S if judge_within is None else judge_within


def with_slowdown(gate: Gate, results: Path, most: float, reference: str | None, base: str | None) -> Gate:
    """The gate with a largest slowdown, against a variant or a run."""
    from qparity.cli.runs import judged
    from qparity.scenario.errors import ScenarioError
    from qparity.scenario.variant import Variant

    if not most >= 1:
        raise UsageProblem(f"--max-slowdown = {most}: expected a factor of 1 or more")
    try:
        gate = replace(gate, reference=str(Variant.parse(reference)) if reference else None)
    except ScenarioError as error:
        raise error.at(key="--reference") from None
    return replace(gate, max_slowdown=most, base=judged(results, base, gate) if base else None)
