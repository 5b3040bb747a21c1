"""What a scenario file asks of its own cells: right bits and a largest slowdown."""

from dataclasses import replace

import pytest

from qparity.parity import Stage
from qparity.records import Timing
from qparity.scenario.errors import ScenarioError
from qparity.scenario.identity import cell_id
from qparity.scenario.schema import Scenario
from qparity.scenario.validate import validate
from qparity.scenario.variant import Variant
from qparity.store import Run
from qparity.summary import summarise
from tests.reporting.run_builder import build_run
from tests.timing.test_timing_block import document

VARIANTS = ("tf", "torch", "jax-jit")


def judged(folder, speeds=None, bits=50, **asked):
    """What is said of a run of one scenario that asks this; every cell has `bits` in its gradient."""
    run, judgements = build_run(folder, ("a",), VARIANTS, 4, settings={"a": asked})
    right = {Stage.FORWARD: 52, Stage.LOSS: 53, Stage.GRADIENT: bits}
    judgements = {cell: replace(j, right_bits=right, digits=53) for cell, j in judgements.items()}
    if speeds:
        run.write_timing("a", Timing(document(**speeds)))
    return summarise(Run.load(run.path), judgements)


def test_bits_that_are_kept_and_that_are_not(tmp_path):
    assert judged(tmp_path / "kept", min_bits=50).exit_code == 0
    view = judged(tmp_path / "lost", min_bits=51)
    assert view.exit_code == 1
    assert view.problems[0] == "Bits: a · tf has 50 right bits in gradient, its file asks for 51."
    assert len(view.problems) == 3
    assert len(judged(tmp_path / "one", min_bits={"torch": 51}).problems) == 1


def test_bits_of_which_some_were_not_judged_are_not_kept(tmp_path):
    run, judgements = build_run(tmp_path, ("a",), VARIANTS, 4, settings={"a": {"min_bits": 10}})
    view = summarise(run, {cell: replace(j, right_bits={}) for cell, j in judgements.items()})
    assert view.exit_code == 3
    assert len(view.problems) == 3


def test_a_slowdown_within_and_over_the_files_own_limit(tmp_path):
    speeds = {"tf": 1.0, "torch": 1.5, "jax-jit": 0.1}
    assert judged(tmp_path / "within", speeds, max_slowdown=1.6).problems == ()
    view = judged(tmp_path / "over", speeds, max_slowdown=1.2)
    assert view.exit_code == 1
    (line,) = view.problems
    assert line.startswith("Speed: a · torch takes 1.")
    assert line.endswith("the time of tf, its file allows 1.2x.")
    assert judged(tmp_path / "other", speeds, max_slowdown={"jax-jit": 1.2}).problems == ()


def test_a_limit_on_what_was_not_timed_is_not_kept(tmp_path):
    view = judged(tmp_path, max_slowdown={"tf": 1.2})
    assert view.exit_code == 3
    assert view.problems == ("Speed: a · tf has max_slowdown = 1.2, but cannot be compared: it was not timed.",)


def test_budgets_change_no_cell(tmp_path):
    plain, asked = (Scenario(name="a", **more) for more in ({}, {"min_bits": 3, "max_slowdown": {"torch": 2.0}}))
    ids = {cell_id(each, Variant.parse("torch"), "0" * 64) for each in (plain, asked)}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"min_bits": 54}, "min_bits"),
        ({"min_bits": 25, "dtype": "float32"}, "at most 24, which is what float32 has"),
        ({"min_bits": {"torhc": 3}}, "torch"),
        ({"max_slowdown": 0.5}, "max_slowdown"),
        ({"max_slowdown": {"torch": "fast"}}, "max_slowdown"),
    ],
)
def test_odd_budgets_are_one_line(asked, told):
    with pytest.raises(ScenarioError) as error:
        validate({"name": "a", **asked})
    assert told in str(error.value)
    assert "\n" not in str(error.value)
