"""The shipped scenarios of known disagreements still earn the verdicts that stand in them, on the real libraries."""

import json

import pytest

from tests.conftest import ROOT

FILES = ("leaks", "batch-of-two", "shots", "finite-diff", "null-gradient")


@pytest.mark.timeout(300)
@pytest.mark.backend("tensorflow", "torch", "jax")
def test_every_verdict_is_the_expected_one(tmp_path, qparity):
    files = [ROOT / "scenarios" / f"{name}.toml" for name in FILES]
    without = "not (leaks-default or null-gradient-float64)"  # plain passes
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
        ("batch-of-two", "tf-graph"): ("LOCAL-FAULT", "forward"),
    }
    notes = {c["scenario"]: " ".join(c["annotations"]) for c in document["cells"]}
    assert "agreement says nothing" in notes["finite-diff-float32-default-h"]
    assert "agreement says nothing" not in notes["finite-diff-float32-good-h"]
