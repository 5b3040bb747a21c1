"""The shipped scenarios of known disagreements still earn the verdicts that stand in them, on the real libraries."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FILES = ("leaks", "batch-of-two", "shots", "finite-diff", "second-derivatives")
SHORT = "1 values where 2 are expected"


@pytest.mark.backend("tensorflow", "torch", "jax")
def test_every_verdict_is_the_expected_one(tmp_path, qparity):
    files = [ROOT / "scenarios" / f"{name}.toml" for name in FILES]
    passes = ("leaks-default", "finite-diff-float64", "good-h", "shots-lightning", "shots-spsa", "hessian-shift")
    without = f"not ({' or '.join(passes)}) and (jax-jit or not jax)"  # JAX is no culprit here: compiled is enough
    done = qparity("run", *files, "-k", without, "--no-timing", "--results", tmp_path, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = qparity("check", "--results", tmp_path, "--json")
    document = json.loads(checked.stdout)
    assert checked.returncode == 0, document["sentence"]
    known = {
        (c["scenario"], c["variant"]): (c["verdict"], c["stage"]) for c in document["cells"] if c["mark"] == "expected"
    }
    assert known == {
        ("leaks-lightning", "torch"): ("PRECISION-LEAK", "forward"),
        ("leaks-clipnorm", "torch"): ("PRECISION-LEAK", "update"),
        ("leaks-global-clipnorm", "torch"): ("PRECISION-LEAK", "update"),
        ("leaks-crossentropy", "torch"): ("PRECISION-LEAK", "loss"),
        ("batch-of-two", "tf-graph"): ("LOCAL-FAULT", "forward"),
        ("hessian-adjoint", "torch"): ("LOCAL-FAULT", "hessian"),
    }
    refused = {
        (c["scenario"], c["variant"]) for c in document["cells"] if "second derivatives" in " ".join(c["annotations"])
    }
    assert refused == {("hessian-adjoint", variant) for variant in ("tf-graph", "jax-jit")}
    notes = {c["scenario"]: " ".join(c["annotations"]) for c in document["cells"]}
    assert "statistical tests" in notes["shots-default"]
    shots = {c["variant"]: " ".join(c["annotations"]) for c in document["cells"] if c["scenario"] == "shots-default"}
    assert "the same samples as tf, jax-jit" in shots["torch"]
    uncompared = {c["scenario"]: c["reason"] for c in document["cells"] if c["mark"] == "uncompared"}
    assert list(uncompared) == ["finite-diff-float32-default-h"]
    for cell, said in (("leaks-lightning/torch", "(float32, declared float64)"), ("batch-of-two/tf-graph", SHORT)):
        shown = reproduced(qparity, tmp_path, cell)
        assert shown.returncode == 1, shown.stdout + shown.stderr
        assert said in shown.stdout
        assert re.search(r"\bpredictions\b.*\bstep 0\b", shown.stdout)


def reproduced(qparity, results, cell):
    """Run the reproducer of a user's own layer as its reader would: alone, in a fresh interpreter."""
    script = results / "repro.py"
    written = qparity("reproduce", "latest", cell, "--trust", "--results", results, "-o", script)
    assert written.returncode == 0, written.stderr
    assert "class NaiveLayer" in script.read_text()
    assert not re.search(r"(from|import) qparity", script.read_text())
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KERAS_BACKEND")}
    command = [sys.executable, "-P", str(script)]
    return subprocess.run(command, env=environment, cwd=results, text=True, capture_output=True, timeout=300)
