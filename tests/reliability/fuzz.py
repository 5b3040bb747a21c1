"""Mangled input of every kind, and the one promise about it: a result, or one printable line and exit code 2.

`KINDS` maps a kind of input to (strategy, check); used by test_fuzz.py with few examples, by benchmarks/fuzz.py with
many.
While a check runs, nothing may be written outside its folder and nothing may be unpickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from harness import cli
from harness.parity.expectation import load_expectations
from harness.report import benchmark_json
from harness.scenario.errors import ScenarioError
from harness.store import Run, StoreError
from harness.summary import json as json_view
from harness.summary import summarise, terminal
from harness.summary.compare import compare
from harness.summary.gate import Gate
from harness.summary.recommend import recommend
from tests.parity import fake
from tests.scenario import test_scenario_fuzz as scenarios
from tests.timing.test_timing_block import document

# audit event -> which of its arguments is the folder a relative path stands in; -1 there: the current one
DIR_FD = {"os.mkdir": 2, "os.rename": 3, "os.remove": 1, "os.symlink": 2, "os.link": 3, "os.rmdir": 1}
OUTSIDE: list[str] = []
_watched: list[Path] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event == "pickle.find_class":
        OUTSIDE.append(f"{event} {arguments[:2]}")
    writes = event in DIR_FD and arguments[DIR_FD[event]] == -1
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        mode, flags = arguments[1] or "", arguments[2] or 0
        writes = any(c in mode for c in "wax+") or bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if writes:
        path = Path(os.path.abspath(os.fsdecode(arguments[0])))
        allowed = (
            path.is_relative_to(_watched[0]) or path.suffix == ".pyc" or {"__pycache__", "matplotlib"} & {*path.parts}
        )
        if not allowed and not str(path).startswith(("/dev/", "/proc/")):
            OUTSIDE.append(f"{event} {path}")


sys.addaudithook(_hook)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Note every file that is written outside `folder`, and everything unpickled."""
    _watched.append(folder)
    try:
        yield
    finally:
        _watched.clear()
    found, OUTSIDE[:] = list(OUTSIDE), []
    assert not found, found


def checked_line(error: Exception) -> None:
    """A message for the user is one printable line."""
    assert str(error).strip()
    assert str(error).isprintable(), repr(str(error))


# Scenario files


def check_scenario(value: tuple[bytes, dict[str, Any]], folder: Path) -> None:
    content, table = value
    scenarios.check(content)
    scenarios.check(scenarios.lines(table))


MUTATED = st.builds(
    lambda content, cuts: _cut(content, cuts),
    st.sampled_from(scenarios.SHIPPED),
    st.lists(st.tuples(st.integers(0), st.integers(0, 12), scenarios.PIECES), max_size=3),
)


def _cut(content: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, piece in cuts:
        start = at % (len(content) + 1)
        content = content[:start] + piece + content[start + length :]
    return content


# Expectations files

KEYS = ["scenario", "variant", "verdict", "stage", "largest_r", "versions", "reason", "link", "expires", "x"]
ENTRY: dict[str, Any] = {"scenario": "a*", "verdict": "LOCAL-FAULT", "reason": "why", "expires": "2030-01-01"}
ENTRIES = st.dictionaries(st.sampled_from(KEYS), scenarios.NONSENSE | st.sampled_from(["2030-13-99", "keras<", "["]))


def check_expectations(value: Any, folder: Path) -> None:
    raw, whole = value
    table = {"expectations": [{**ENTRY, **raw}] if isinstance(raw, dict) else raw}
    file = folder / "expectations.toml"
    file.write_bytes(whole if isinstance(whole, bytes) else scenarios.lines(table))
    try:
        load_expectations(file)
    except ScenarioError as error:
        checked_line(error)


# Run folders


def make_run(folder: Path, variants: Sequence[str] = ("torch", "jax")) -> Run:
    """A small run that is judged as a pass, to be mangled."""
    seen = fake.observe(fake.Setting(wires=1, layers=1))
    cells = [{"id": f"{number:016x}", "variant": variant} for number, variant in enumerate(variants)]
    scenario = {**seen.outcome["scenario"], "name": "fake"}
    run = Run.create(folder, {"blocks": [{"scenario": scenario, "cells": cells}], "sources": []}, {}, ["test"])
    for cell in cells:
        layers = [{"name": "quantum", "weights": [0, 1], "program": seen.program}]
        resolved = {**seen.outcome["resolved"], "bare": True, "quantum_layers": layers}
        more = {"expected": seen.expected, "phases": {}, "resolved": resolved}
        run.write_outcome({**seen.outcome, **cell, **more}, seen.trace)
    timing = document(torch=1.0, jax=1.2)
    for cell in cells:
        timing["lanes"].get(cell["variant"], {})["id"] = cell["id"]
    machine = {"flops": {"float64": 1e9, "float32": 1e9}, "copy": {"1000": 1e9}}
    run.write_timing("fake", timing | {"left_out": {}, "run": "there", "node": "a", "machine": machine})
    told = {"id": "there", "environment": {"cpu": {"model": "x"}}, "nodes": {"a": {"cpu": {"model": "y"}}}}
    run.update(merged={"runs": [told], "notes": ["one"]}, nodes={})
    return run


FILES = ["run.json", "cells/{0}.json", "traces/{0}.npz", "timings/fake.json"]
JSON = scenarios.NONSENSE | st.sampled_from(
    [None, [], {}, "../../x", "<script>", "\u202e", 1e400, -1, [[]], {"a": None}]
)


@st.composite
def mangles(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """(file, how): bytes put in somewhere, or a value put somewhere into the document."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(FILES))
        cut = st.tuples(st.just("cut"), st.integers(0), st.integers(0, 200), st.binary(max_size=20))
        put = st.tuples(st.just("put"), st.lists(st.integers(0, 20), min_size=1, max_size=5), JSON)
        found.append((name, draw(cut | put if name.endswith("json") else cut)))
    return found


def mangle(run: Run, cuts: list[tuple[str, Any]]) -> None:
    for name, how in cuts:
        path = run.path / name.format(f"{0:016x}")
        content = path.read_bytes()
        if how[0] == "cut":
            path.write_bytes(_cut(content, [how[1:]]))
        else:
            with contextlib.suppress(ValueError):
                found = json.loads(content)
                found.pop("sha256", None)
                _put(found, how[1], how[2])
                path.write_text(json.dumps(found), errors="surrogatepass")


def _put(inside: Any, places: list[int], value: Any) -> None:
    """Replace one place inside a document, found by counting."""
    for depth, place in enumerate(places):
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        if not keys:
            return
        key = keys[place % len(keys)]
        if depth == len(places) - 1 or not isinstance(inside[key], dict | list):
            inside[key] = value
            return
        inside = inside[key]


def check_folder(cuts: list[tuple[str, Any]], folder: Path) -> None:
    source = folder / "whole"
    if not source.exists():
        shutil.move(make_run(folder).path, source)
    shutil.rmtree(folder / "mangled", ignore_errors=True)
    shutil.copytree(source, folder / "mangled")
    mangle(Run.load(source), []), mangle(_at(folder / "mangled"), cuts)
    try:
        run = Run.load(folder / "mangled")
    except StoreError as error:
        checked_line(error)
        return
    run.missing(), run.cells(), run.timings(), run.steps(), run.rounds()
    view = summarise(run, gate=Gate(max_slowdown=1.5))
    json.dumps(json_view.document(view), allow_nan=False)
    list(terminal.lines(view)), compare(view, view).document(), recommend(view), benchmark_json.document(run, view)
    assert all(line.isprintable() for line in (name + fault for name, fault in run.damaged))


def _at(folder: Path) -> Run:
    return Run(folder, {})


# The command line

WORDS = [
    "run", "check", "report", "show", "list", "export", "compare", "merge", "init", "schema", "reproduce", "latest",
    "--json", "--results", "--resume", "-k", "-v", "--python", "--shard", "--jobs", "--timeout", "--format", "-o",
    "--min-compared", "--expectations", "--max-memory", "--engine", "dask", "--scheduler", "--rounds", "--retry", "1/2",
    "torch", "jax=/bin/true", "0.5", "-1", "1e999", "8G", "nan", "csv", "--help", "here.toml", "results",
]  # fmt: skip
COMMANDS = ["run", "check", "report", "show", "list", "export", "compare", "merge", "init", "schema", "reproduce"]
ARGUMENTS = st.tuples(
    st.sampled_from([*COMMANDS, "nonsense", ""]),
    st.lists(st.sampled_from(WORDS) | st.text(max_size=12).filter(lambda t: "\0" not in t), max_size=5),
)


def check_arguments(value: tuple[str, list[str]], folder: Path) -> None:
    command, words = value
    (folder / "here.toml").write_text("layers = 2\n")
    # no framework is started here: of a sweep that could begin, no cell is left
    words = [*words, "-k", "no-cell-is-called-this"] if command == "run" else words
    said, before, argv = io.StringIO(), os.getcwd(), sys.argv
    words = [word.encode(errors="surrogateescape").decode(errors="replace") for word in words]
    os.chdir(folder)
    sys.argv = ["qparity", command, *words]
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
        os.chdir(before)
    text = said.getvalue()
    assert code in (0, 1, 2, 3), (code, text)
    assert "Traceback" not in text
    if code == 2:
        assert text.startswith("qparity: "), text
        assert text.rstrip("\n").isprintable(), repr(text)


Check = Callable[[Any, Path], None]
KINDS: dict[str, tuple[st.SearchStrategy[Any], Check]] = {
    "scenario": (st.tuples(MUTATED | st.binary(max_size=60), scenarios.files()), check_scenario),
    "expectations": (st.tuples(ENTRIES | scenarios.NONSENSE, st.none() | st.binary(max_size=60)), check_expectations),
    "run folder": (mangles(), check_folder),
    "arguments": (ARGUMENTS, check_arguments),
}
