"""Which run a sweep writes to: a new one, or one whose plan has the same cells."""

import pytest

from qparity.runner.begin import begin
from qparity.scenario.load import load_files
from qparity.store import StoreError


@pytest.fixture
def resumed(tmp_path):
    """Begin a run of a scenario file, and once more with something added to the file."""

    def again(addition: str):
        file = tmp_path / "one.toml"
        file.write_text('name = "a"\nvariants = ["torch"]\n')
        run, _ = begin(load_files([file]), tmp_path, None, None, ["test"], False)
        file.write_text(f'variants = ["torch"]\n{addition}\n')
        return begin(load_files([file]), tmp_path, run.id, None, ["test"], False)

    return again


def test_the_same_file_goes_on(resumed):
    run, blocks = resumed('name = "a"')
    assert [cell.id for block in blocks for cell in block.cells] == run.missing()


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ('name = "b"', "cannot resume b: name is 'a' in its plan, 'b' here"),
        ('name = "a"\nexpect = "LOCAL-FAULT"', "cannot resume a: expect is 'ROUNDING' in its plan, 'LOCAL-FAULT' here"),
        ('name = "a"\nlayers = 2', "1 of these cells are not in its plan"),
    ],
)
def test_what_the_plan_says_otherwise_is_not_gone_on_with(resumed, addition, said):
    """What is stored of a cell must be of the one that is planned, its expectation included."""
    with pytest.raises(StoreError, match=said):
        resumed(addition)
