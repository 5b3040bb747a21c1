"""Mangled input of every kind, and the one promise about it: a result, or one printable line and exit code 2.

`KINDS` maps a kind of input to (strategy, check); used by test_fuzz.py with few examples, by benchmarks/fuzz.py with
many.
While a check runs, nothing may be written outside its folder, nothing unpickled, and no program started.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from qparity import cli
from qparity.parity.expectation import load_expectations
from qparity.scenario.errors import ScenarioError
from tests.reliability import fuzz_folder, fuzz_own
from tests.scenario import test_scenario_fuzz as scenarios

# audit event -> which of its arguments is the folder a relative path stands in; -1 there: the current one
DIR_FD = {"os.mkdir": 2, "os.rename": 3, "os.remove": 1, "os.symlink": 2, "os.link": 3, "os.rmdir": 1}
FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
OUTSIDE: list[str] = []
_watched: list[Path] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event in FORBIDDEN:
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
    """Note every file that is written outside `folder`, everything unpickled, and every program started."""
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


def check_script(value: Any, folder: Path) -> None:
    """Not watched: a worker process, which has folders of its own, runs it."""
    _watched.clear()
    fuzz_own.check_script(value, folder)


Check = Callable[[Any, Path], None]
KINDS: dict[str, tuple[st.SearchStrategy[Any], Check]] = {
    "scenario": (st.tuples(MUTATED | st.binary(max_size=60), scenarios.files()), check_scenario),
    "expectations": (st.tuples(ENTRIES | scenarios.NONSENSE, st.none() | st.binary(max_size=60)), check_expectations),
    "run folder": (fuzz_folder.MANGLES, fuzz_folder.check_folder),
    "arguments": (ARGUMENTS, check_arguments),
    "data file": (fuzz_own.DATA_FILES, fuzz_own.check_data_file),
    "script": (fuzz_own.SCRIPTS, check_script),
}
