"""The page of the circuit library is what the circuits are."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "make_circuits.py"


def test_the_page_of_the_library_is_up_to_date():
    made = runpy.run_path(str(SCRIPT))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run python docs/make_circuits.py"
