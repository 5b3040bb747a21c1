"""A scenario is found in the file that describes it."""

from pathlib import Path

import pytest

from qparity.scenario.load import load_file
from qparity.scenario.locate import line_in_file, line_of

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.mark.parametrize("file", ["leaks.toml", "discuss.toml"])
def test_every_entry_is_found_at_its_own_line(file):
    path = SCENARIOS / file
    text = path.read_text(encoding="utf-8").splitlines()
    for scenario in load_file(path).scenarios:
        line = line_in_file(str(path), scenario.name)
        assert text[line - 1].startswith("[[scenarios]]")
        assert f'name = "{scenario.name}"' in text[line]


def test_a_matrix_is_pointed_at_and_a_name_that_begins_another_is_not_taken_for_it():
    text = '[matrix]\nx = [1]\n[[scenarios]]\nname = "a"\n[[scenarios]]\nname = "a-b"\n[other]\nname = "a-b-c"\n'
    assert line_of(text, "a-b-layers2") == 5
    assert line_of(text, "a-layers2") == 3
    assert line_of(text, "ab") == 1
    assert line_of("wires = 2\n\n[matrix]\nlayers = [1, 2]\n", "file-layers1") == 3
    assert line_in_file("no/such/file.toml", "a") is None
