"""The page of what was found in the libraries, and its scripts, still say what the libraries do."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, backends

PAGE = ROOT / "docs" / "found.md"
SCRIPTS = ROOT / "docs" / "found"
ROW = re.compile(r"^\| \[(\w+)\]\(found/\1\.py\) \| ([^|]+) \|", re.MULTILINE)
RUNNER = """
import json, runpy, sys
codes = {}
for path in sys.argv[1:]:
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        codes[path] = end.code
    except Exception as error:
        codes[path] = repr(error)
print(json.dumps(list(codes.values())))
"""


def found():
    """The rows of the two tables, Keras' and PennyLane's: script -> what is wrong there."""
    keras, pennylane = PAGE.read_text(encoding="utf-8").split("\n## PennyLane\n")
    return dict(ROW.findall(keras)), dict(ROW.findall(pennylane))


def assert_codes(expected, folder, backend=None):
    """Run scripts as their readers do, where nothing of this project can be imported, and compare their exit codes.

    All in one process, since imports take longer than the scripts do.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KERAS_BACKEND")}
    environment |= {"JAX_ENABLE_X64": "1"} | ({"KERAS_BACKEND": backend} if backend else {})
    command = [sys.executable, "-W", "ignore", "-c", RUNNER, *(str(SCRIPTS / f"{name}.py") for name in expected)]
    done = subprocess.run(command, env=environment, cwd=folder, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    *printed, last = done.stdout.splitlines()
    for (name, code), got in zip(expected.items(), json.loads(last), strict=True):
        said = "\n".join([f"docs/found/{name}.py on {backend or 'autograd'} exits with {got!r}", *printed])
        assert not (code and got == 0), f"the fault has gone: say so in docs/found.md: {said}"
        assert got == code, f"docs/found.md says otherwise: {said}"


def test_every_script_is_on_the_page():
    keras, pennylane = found()
    written = {path.stem: path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.py")}
    assert {*keras, *pennylane} == set(written)
    text = PAGE.read_text(encoding="utf-8")
    for name, source in written.items():
        assert text.count(f"\n**{name}.** ") == 1
        assert not re.search(r"^\s*(from|import) (qparity|tests)", source, re.MULTILINE)


@pytest.mark.parametrize("backend", backends())
def test_keras_does_what_the_page_says(backend, tmp_path):
    keras, _ = found()
    assert_codes({name: int(backend in where.split(", ")) for name, where in keras.items()}, tmp_path, backend)


def test_pennylane_does_what_the_page_says(tmp_path):
    _, pennylane = found()
    assert_codes(dict.fromkeys((name for name, where in pennylane.items() if where != "torch"), 1), tmp_path)


@pytest.mark.backend("torch")
def test_pennylane_on_torch_does_what_the_page_says(tmp_path):
    _, pennylane = found()
    assert_codes(dict.fromkeys((name for name, where in pennylane.items() if where == "torch"), 1), tmp_path)
