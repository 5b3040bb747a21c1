"""Run folders as nobody should mail them, and what must hold of every one of them.

A folder with passes, faults and an unsupported cell is changed in up to three ways: bytes, types, entries left out,
values and files of other cells, other traces under the right hash, links, pipes and devices, and what is far too large.
Then everything that reads a folder reads it: no traceback, nothing hangs, no cell passes that did not before, a run
that failed still fails, nothing outside the folder is read or touched, no code of it is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from hypothesis import strategies as st
from rich.console import Console

from qparity.diagnose import DiagnosisError, find, reproduce
from qparity.records import Outcome, Timing
from qparity.reporting import benchmark_json, html
from qparity.scenario.text import printable_lines
from qparity.store import Run, StoreError
from qparity.store.merge import merge
from qparity.summary import RunView, annotations, csv, junit, markdown, summarise, terminal
from qparity.summary import json as json_view
from qparity.summary.compare import compare
from qparity.summary.gate import Gate
from qparity.summary.recommend import recommend
from tests.parity import fake
from tests.scenario import test_scenario_fuzz as scenarios
from tests.timing.test_timing_block import document

PASSES = {"torch": "", "jax": ""}
MIXED = PASSES | {"tf": "gradient x2", "torch-compile": "float32 gradient", "jax-jit": None}
SENTINEL = "not-of-this-folder"
MOST_S = 60.0
"""An example that takes longer hangs: a machine that is busy needs a tenth of it."""
CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


def make_run(folder: Path, faults: Mapping[str, str | None] = PASSES, **training: int) -> Run:
    """A small run of these variants, each with a fault (of tests/parity/fake.py), none (""), or unsupported (None)."""
    cells = {variant: f"{number:016x}" for number, variant in enumerate(faults)}
    setting = fake.Setting(wires=1, layers=1, **training)
    scenario = fake.observe(setting).outcome.raw["scenario"] | {"name": "fake"}
    listed = [{"id": cell, "variant": variant} for variant, cell in cells.items()]
    block = {"scenario": scenario, "cells": listed, "search_path": [str(folder / "theirs")]}
    run = Run.create(folder, {"blocks": [block], "sources": ["fake.toml"]}, {}, ["test"])
    scenario, program = run.planned()[0].block.written, fake.program(setting)
    for variant, cell in cells.items():
        seen = fake.observe(replace(setting, variant=variant, fault=faults[variant] or ""))
        outcome = {"id": cell, "variant": variant, "scenario": scenario, "worker": "w", "log": f"logs/{cell}.log"}
        run.write_log(cell, b"printed\n")
        if faults[variant] is None:
            run.write_outcome(Outcome(outcome | {"status": "unsupported", "reason": "no such backend"}))
            continue
        weights = [{"path": w["name"], "shape": w["shape"], "dtype": "float64"} for w in program["weights"]]
        layers = [{"name": "quantum", "weights": [0, 1], "program": program, "drawing": "0: ──RX"}]
        resolved = {**seen.outcome.raw["resolved"], "bare": True, "device": "default.qubit", "interface": "torch"}
        resolved |= {"weights": weights, "quantum_layers": layers}
        more = {"phases": {"step_s": 0.1}, "memory": {"peak_bytes": 10**8}}
        run.write_outcome(Outcome(seen.outcome.raw | outcome | more | {"resolved": resolved}), seen.trace)
    timing = document(**{variant: 1.0 + 0.2 * number for number, variant in enumerate(PASSES)})
    for variant in PASSES:
        timing["lanes"][variant]["id"] = cells.get(variant)
    machine = {"flops": {"float64": 1e9, "float32": 1e9}, "copy": {"1000": 1e9}}
    more = {"left_out": {}, "run": "there", "node": "a", "machine": machine}
    run.write_timing("fake", Timing(timing | more))
    told = {"id": "there", "environment": {"cpu": {"model": "x"}}, "nodes": {"a": {"cpu": {"model": "y"}}}}
    environment = {"packages": {"keras": "3.15.1"}, "cpu": {"model": "x", "count": 2}, "memory_bytes": 8 * 10**9}
    workers = {"w": {"versions": {"keras": "3.15.1"}, "import_s": 1.0, "imports": 1}}
    run.update(merged={"runs": [told], "notes": ["one"]}, nodes={}, environment=environment, workers=workers)
    run.finish()
    return Run.load(run.path)


# What is done to a folder

CELLS = [f"{number:016x}" for number in range(len(MIXED))]
DOCUMENTS = ["run.json", "timings/fake.json", *(f"cells/{cell}.json" for cell in CELLS)]
TRACES = [f"traces/{cell}.npz" for cell in CELLS[:4]]
FILES = [*DOCUMENTS, *TRACES, f"logs/{CELLS[0]}.log"]
JSON = scenarios.NONSENSE | st.sampled_from(
    [None, [], {}, "../../x", "<script>", "\u202e", 1e400, -1, [[]], {"a": None}, 2**70, True, "", "ok", 0, [{}],
     "\x1b[2J", {"a": {"b": ["c"]}}, "LOCAL-FAULT", "0" * 64, {"scenario": {}}, float("nan"), "\ud800"]
)  # fmt: skip
PLACES = st.lists(st.integers(0, 20), min_size=1, max_size=6)
LINKS = ["file", "folder", "zero", "fifo", "nowhere", "itself"]
MANY = 20_000
"""Gates, however often a program is made huge."""
HUGE = ["gates", "wires", "terms", "sparse", "deep", "long", "epochs"]
ARRAYS = ["drop", "nan", "empty", "transpose", "float32", "cut", "object", "more", "compress", "claim"]

CHANGES = st.one_of(
    st.tuples(st.just("cut"), st.sampled_from(FILES), st.integers(0), st.integers(0, 200), st.binary(max_size=20)),
    st.tuples(st.just("put"), st.sampled_from(DOCUMENTS), PLACES, JSON),
    st.tuples(st.just("put"), st.sampled_from(DOCUMENTS), PLACES, JSON),
    st.tuples(st.just("drop"), st.sampled_from(DOCUMENTS), PLACES),
    st.tuples(st.just("take"), st.sampled_from(DOCUMENTS[2:]), PLACES, st.sampled_from(DOCUMENTS[2:])),
    st.tuples(st.just("exchange"), st.sampled_from(FILES), st.sampled_from(FILES)),
    st.tuples(st.just("link"), st.sampled_from(FILES), st.sampled_from(LINKS)),
    st.tuples(st.just("huge"), st.sampled_from(DOCUMENTS), st.sampled_from(HUGE)),
    st.tuples(st.just("trace"), st.sampled_from(CELLS[:4]), st.sampled_from(ARRAYS), st.integers(0, 40)),
)
MANGLES = st.lists(CHANGES, min_size=1, max_size=3)


def mangle(folder: Path, outside: Path, changes: list[tuple[Any, ...]]) -> None:
    """Change a folder; what an earlier change made unreadable is left as it is."""
    for kind, *how in changes:
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError, BadZipFile):
            _DO[kind](folder, outside, *how)


def _cut(folder: Path, outside: Path, name: str, at: int, length: int, piece: bytes) -> None:
    content = _content(folder / name)
    start = at % (len(content) + 1)
    (folder / name).write_bytes(content[:start] + piece + content[start + length :])


def _put(folder: Path, outside: Path, name: str, places: list[int], value: Any) -> None:
    def replace(inside: Any, key: Any) -> None:
        inside[key] = value

    _edit(folder / name, places, replace)


def _drop(folder: Path, outside: Path, name: str, places: list[int]) -> None:
    def delete(inside: Any, key: Any) -> None:
        del inside[key]

    _edit(folder / name, places, delete)


def _take(folder: Path, outside: Path, name: str, places: list[int], other: str) -> None:
    """A value of another cell at the same place."""
    theirs: list[Any] = []
    _edit(folder / other, places, lambda inside, key: theirs.append(inside[key]))
    _put(folder, outside, name, places, theirs[0])


def _exchange(folder: Path, outside: Path, name: str, other: str) -> None:
    mine, theirs = _content(folder / name), _content(folder / other)
    (folder / name).write_bytes(theirs)
    (folder / other).write_bytes(mine)


def _link(folder: Path, outside: Path, name: str, kind: str) -> None:
    """In place of a file: a link to its like outside, or something that is no file."""
    path = folder / name
    if kind == "folder" and "/" in name:
        shutil.rmtree(path.parent)
        path.parent.symlink_to(outside / path.parent.name)
        return
    if path.parent.is_symlink():
        raise ValueError("changed already")
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        targets = {"zero": Path("/dev/zero"), "nowhere": outside / "nothing", "itself": path}
        path.symlink_to(targets.get(kind, outside / name))


def _huge(folder: Path, outside: Path, name: str, kind: str) -> None:
    path = folder / name
    _content(path)
    if kind == "sparse":
        with path.open("r+b") as file:
            file.truncate(1 << 40)
    elif kind == "deep":
        path.write_text('{"schema": 1, "id": ' + "[" * 100_000)
    elif kind == "long":
        _edit(path, [0], lambda inside, key: inside.update(reason="x" * 5_000_000, worker="y" * 5_000_000))
    elif kind == "epochs":
        record = lambda d: d["plan"]["blocks"][0]["scenario"]["training"].update(epochs=1_000_000)  # noqa: E731
        _edit(folder / "run.json", [0], lambda inside, key: record(inside))
    else:
        _edit(path, [0], lambda inside, key: _grow(inside["resolved"]["quantum_layers"][0]["program"], kind))


def _grow(program: dict[str, Any], kind: str) -> None:
    if kind in ("gates", "wires"):
        program["gates"] = (program["gates"] * 1000)[:MANY]
        program["wires"] = 16 if kind == "wires" else program["wires"]
    else:
        program["measurements"][0]["terms"] = [[1e-9, [["Z", 0]]]] * 20_000


def _trace(folder: Path, outside: Path, cell: str, kind: str, number: int) -> None:
    """Another trace under the hash that its outcome has then."""
    content = _content(folder / f"traces/{cell}.npz")
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = sorted(arrays)[number % len(arrays)]
    array, stream = arrays[name], io.BytesIO()
    if kind == "drop":
        del arrays[name]
    elif kind in ("nan", "empty", "transpose", "float32", "cut", "object"):
        arrays[name] = {
            "nan": lambda: np.full_like(array, np.nan if array.dtype.kind == "f" else -1),
            "empty": lambda: array[:0],
            "transpose": lambda: array.T[..., None],
            "float32": lambda: array.astype(np.float32),
            "cut": lambda: array[:-1],
            "object": lambda: np.array([{"a": 1}], dtype=object),
        }[kind]()
    elif kind == "more":
        arrays[f"weights/{number}"] = arrays["weights/0"]
    (np.savez_compressed if kind == "compress" else np.savez)(stream, **arrays)
    changed = stream.getvalue()
    if kind == "claim":
        changed = changed.replace(b"'shape': (", b"'shape': (9", 1)
    (folder / f"traces/{cell}.npz").write_bytes(changed)
    digest = hashlib.sha256(changed).hexdigest()
    _edit(folder / f"cells/{cell}.json", [0], lambda inside, key: inside.update(trace_sha256=digest))


_DO: dict[str, Callable[..., None]] = {
    "cut": _cut, "put": _put, "drop": _drop, "take": _take, "exchange": _exchange, "link": _link, "huge": _huge,
    "trace": _trace,
}  # fmt: skip


def _content(path: Path) -> bytes:
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 30:
        raise ValueError("changed already")
    return path.read_bytes()


def _edit(path: Path, places: list[int], change: Callable[[Any, Any], None]) -> None:
    """Change one place inside a document, found by counting; without its seal."""
    found = json.loads(_content(path))
    found.pop("sha256", None)
    inside = found
    for depth, place in enumerate(places):
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = keys[place % len(keys)]
        if depth == len(places) - 1 or not isinstance(inside[key], dict | list) or not inside[key]:
            change(inside, key)
            break
        inside = inside[key]
    path.write_text(json.dumps(found), errors="surrogatepass")


# What must hold


def check_folder(changes: list[tuple[Any, ...]], folder: Path) -> None:
    """Change a copy of the run in `folder` and read it in every way there is."""
    source, mangled, outside = (folder / name for name in ("whole", "mangled", "outside"))
    if not source.exists():
        _prepare(folder, source, outside)
    shutil.rmtree(mangled, ignore_errors=True)
    shutil.copytree(source, mangled)
    mangle(mangled, outside, changes)
    before = _state(outside)
    with at_most(MOST_S):
        text = _read_in_every_way(mangled, folder, list(MIXED)[len(repr(changes)) % len(MIXED)])
    assert SENTINEL not in text, "what lies outside was read"
    assert _state(outside) == before, "what lies outside was changed"
    assert not (folder / "theirs" / "ran").exists(), "a module of the folder was imported"


def _prepare(folder: Path, source: Path, outside: Path) -> None:
    run = make_run(folder, MIXED, samples=6, epochs=1)
    shutil.move(run.path, source)
    shutil.copytree(source, outside)
    for path in outside.rglob("*.json"):  # as whole as the original, so that it would be taken
        if path.parent.name == "cells":
            _edit(path, [0], lambda inside, key: inside.update(status="failed", reason=SENTINEL))
    for path in outside.glob("logs/*"):
        path.write_text(SENTINEL)
    (folder / "theirs").mkdir()
    (folder / "theirs" / "odd.py").write_text(CODE)
    html.render(summarise(Run.load(source)))  # fonts and caches of the libraries


def _read_in_every_way(path: Path, folder: Path, variant: str) -> str:
    """All that is said of a run, and of a variant's cell alone; only what is meant for users may be raised."""
    try:
        run = Run.load(path)
    except StoreError as error:
        _one_line(str(error))
        return str(error)
    run.missing(), run.cells(), run.timings(), run.steps(), run.rounds()
    view = summarise(run, gate=Gate(max_slowdown=1.5, within_s=2.0))
    passing = {(cell.scenario, cell.variant) for cell in view.cells if cell.mark == "pass"}
    assert passing <= {("fake", variant) for variant, fault in MIXED.items() if fault == ""}, passing
    assert view.exit_code != 0, "the run as it was did not pass"
    said = [*_texts(run, view), *(f"{name}: {fault}" for name, fault in run.damaged), *_reproduced(run, variant)]
    for text in said:
        assert printable_lines(text) == text, repr(text[:200])
    merged = folder / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    try:
        joined = merge([run], merged)
        said += [(joined.log(cell) or b"").decode(errors="replace") for _, cell, _ in joined.planned()]
        joined.write_diagnosis(CELLS[0], {"a": 1})
    except StoreError as error:
        _one_line(str(error))
    for write in (lambda: run.write_diagnosis(CELLS[0], {"a": 1}), run.logs, lambda: run.write_log(CELLS[0], b"x")):
        with contextlib.suppress(StoreError):
            write()
    return "\n".join(said)


def _texts(run: Run, view: RunView) -> Iterator[str]:
    yield json.dumps(json_view.document(view), allow_nan=False)
    yield json.dumps(compare(view, view).document(), allow_nan=False)
    yield json.dumps(benchmark_json.document(run, view))
    yield from (markdown.render(view), junit.render(view), csv.render(view), *annotations.lines(view))
    yield from recommend(view).silent
    for options in ({}, {"force_terminal": True, "color_system": None}):
        stream = io.StringIO()
        terminal.show(view, Console(file=stream, width=100, **options))
        yield stream.getvalue()
    assert SENTINEL not in html.render(view)


def _reproduced(run: Run, variant: str) -> Iterator[str]:
    try:
        source = reproduce(run, find(run, f"fake/{variant}", within_s=2.0))
    except (DiagnosisError, StoreError) as error:
        _one_line(str(error))
    else:
        compile(source, "repro.py", "exec")
        yield source


def _one_line(text: str) -> None:
    assert text.strip()
    assert text.isprintable(), repr(text)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise what nobody expects once this takes too long."""

    def late(*_: object) -> None:
        raise AssertionError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
