"""The tutorial runs on every backend, and the notebook is the script."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, SOURCES, backends

EXAMPLES = ROOT / "examples"
FIGURES = ("target", "circuit", "random_model", "training", "fit")
PNG = b"\x89PNG\r\n"


def run(folder, script, *options):
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"} | {"PYTHONPATH": SOURCES}
    command = [sys.executable, str(script), *options, "--output", str(folder / "out")]
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def assert_complete(folder, printed, most):
    assert float(re.search(r"final loss: (\S+)", printed)[1]) < most
    assert "the loaded model predicts the same" in printed
    assert re.search(r"0: ──Rot.*RX.*Rot.*<Z>", printed)
    assert "Total params: 6" in printed
    for name in FIGURES:
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(PNG)
    assert (folder / "out" / "model.keras").stat().st_size > 1000


BY_HEART = "torch" if "torch" in backends() else backends()[-1]
"""The backend that learns to the end, the quickest."""


@pytest.mark.parametrize("backend", [name for name in backends() if name != BY_HEART] or backends())
def test_the_tutorial_runs(backend, tmp_path):
    """To the end, though not until it has learnt much: that is the notebook's test."""
    assert_complete(tmp_path, run(tmp_path, EXAMPLES / "fourier.py", "--backend", backend, "--epochs", "2"), 1.0)


def document():
    return json.loads((EXAMPLES / "fourier.ipynb").read_text(encoding="utf-8"))


def test_the_notebook_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_notebook", EXAMPLES / "make_notebook.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    expected = maker.notebook((EXAMPLES / "fourier.py").read_text(encoding="utf-8"))
    written = (EXAMPLES / "fourier.ipynb").read_text(encoding="utf-8")
    assert written == expected, "python examples/make_notebook.py"


def test_the_notebook_has_the_form_of_one():
    """What nbformat 4.5 requires of a document, its cells and their ids."""
    whole = document()
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    cells = whole["cells"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert {cell["cell_type"] for cell in cells} == {"markdown", "code"}
    for cell in cells:
        assert {"id", "metadata", "source"} <= set(cell)
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            compile("".join(cell["source"]), cell["id"], "exec")
        else:
            assert not any(line.startswith("# %%") for line in cell["source"])
    assert cells[0]["source"][0].startswith("# A quantum circuit")


def test_the_notebooks_code_runs_cell_by_cell(tmp_path):
    """As a kernel does it: one namespace, no file, no arguments of its own."""
    runner = tmp_path / "kernel.py"
    runner.write_text(
        "import json, sys\n"
        f"cells = json.load(open({str(EXAMPLES / 'fourier.ipynb')!r}, encoding='utf-8'))['cells']\n"
        "space = {'__name__': '__main__'}\n"
        "for cell in cells:\n"
        "    if cell['cell_type'] == 'code':\n"
        "        exec(compile(''.join(cell['source']), cell['id'], 'exec'), space)\n"
    )
    options = ["--backend", BY_HEART, "--device", "lightning.qubit", "--diff-method", "adjoint"]
    assert_complete(tmp_path, run(tmp_path, runner, *options), 1e-2)
