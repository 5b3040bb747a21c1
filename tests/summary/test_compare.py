"""Two runs compared: each kind of change has its mark, and only what got worse makes the gate fail."""

import json
import re

import pytest

from qparity.summary.compare import compare
from tests.reporting.run_builder import build_view

VARIANTS = ("tf", "torch")
NAMES = ("a",)


def views(folder, base=None, head=None, names=(NAMES, NAMES)):
    """Views of two runs with faults of (0, variant)."""
    return [
        build_view(
            folder / side, scenarios=names[k], variants=VARIANTS, steps=4, faults={(0, "torch"): fault} if fault else {}
        )
        for k, (side, fault) in enumerate((("base", base), ("head", head)))
    ]


@pytest.mark.parametrize(
    ("base", "head", "mark", "code"),
    [
        (None, None, "~", 0),
        ("leak", "leak", "~", 0),
        (None, "leak", "!", 1),
        (None, "fault", "!", 1),
        ("leak", "fault", "!", 1),
        ("leak", None, "*", 0),
        ("fault", "leak", "*", 0),
        ("failed", None, "*", 0),
        ("failed", "fault", "!", 1),
        ("uncompared", "leak", "!", 1),
        (None, "failed", "x", 1),
        (None, "unsupported", "x", 1),
        (None, "uncompared", "x", 1),
        ("unsupported", "unsupported", "~", 0),
        ("unsupported", "timeout", "*", 0),
        ("diverged", "diverged", "~", 0),
    ],
)
def test_marks(tmp_path, base, head, mark, code):
    found = compare(*views(tmp_path, base, head))
    marks = {change.cell.variant: change.mark for change in found.changes}
    assert marks == {"tf": "~", "torch": mark}
    assert found.exit_code == code
    shown = [line for line in found.lines()[:-1] if line[0] == mark]
    assert len(shown) == (mark != "~")


def test_new_and_gone(tmp_path):
    found = compare(*views(tmp_path, names=(("a", "b"), ("a", "c"))))
    assert {(c.cell.scenario, c.mark) for c in found.changes} == {("a", "~"), ("b", "-"), ("c", "+")}
    assert found.exit_code == 0
    assert re.findall(r"(\d) (\w+)", found.summary) == [("2", "new"), ("2", "gone"), ("2", "the")]


def test_worst_first_and_in_words(tmp_path):
    lines = compare(*views(tmp_path, None, "fault", names=(("a",), ("a", "b")))).lines()
    assert lines[0].startswith("! a torch: ROUNDING (r 0.")
    assert lines[0].endswith("-> LOCAL-FAULT gradient (r 4.4e4)")
    assert [line[0] for line in lines[:3]] == ["!", "+", "+"]


def test_json_has_the_keys_of_check(tmp_path):
    base, head = views(tmp_path, None, "leak")
    document = json.loads(json.dumps(compare(base, head).document()))
    assert (document["base"], document["head"], document["exit_code"]) == (base.id, head.id, 1)
    assert document["counts"] == {"!": 1, "~": 1}
    first = document["cells"][0]
    needed = {"scenario", "variant", "status", "verdict", "stage", "step", "tensor", "r", "effective_bits", "change"}
    assert needed <= first.keys()
    assert (first["change"], first["verdict"], first["base"]["verdict"]) == ("!", "PRECISION-LEAK", "ROUNDING")
