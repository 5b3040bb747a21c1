"""Which run a sweep writes to: a new one, or one whose plan has the same cells."""

from pathlib import Path

import pytest

from qparity.environments.errors import EnvironmentProblem
from qparity.environments.interpreters import Interpreters
from qparity.environments.manifest import Environment, Manifest
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


def on_top(without=None):
    """Interpreters with another Keras for torch, as `with_releases` makes them."""
    packages = {"keras": "3.9.0", "numpy": "2.4.6"}
    manifest = Manifest(("keras==3.9.0",), packages=packages, without=without or {})
    made = Environment(Path("/made"), manifest)
    return Interpreters({"torch": made.interpreter}, {"torch": made})


def test_a_run_says_what_is_on_top_and_goes_on_only_with_that(tmp_path):
    file = tmp_path / "one.toml"
    file.write_text('name = "a"\nvariants = ["torch"]\n')
    run, _ = begin(load_files([file]), tmp_path, None, None, ["test"], False, on_top())
    said = run.record.environment
    assert (said.requirements, said.packages["keras"]) == (("keras==3.9.0",), "3.9.0")
    assert "pennylane" not in said.packages, "it is not in the environment"
    assert begin(load_files([file]), tmp_path, run.id, None, ["test"], False, on_top())[0].id == run.id
    with pytest.raises(StoreError, match="another environment"):
        begin(load_files([file]), tmp_path, run.id, None, ["test"], False)


def test_a_backend_that_does_not_go_with_what_is_on_top_is_refused(tmp_path):
    file = tmp_path / "one.toml"
    file.write_text('name = "a"\nvariants = ["torch"]\n')
    without = on_top({"torch": "torch 2.13.0 requires keras>=3.12"})
    with pytest.raises(EnvironmentProblem, match=r"keras==3.9.0: torch 2.13.0 requires keras>=3.12"):
        begin(load_files([file]), tmp_path, None, None, ["test"], False, without)
