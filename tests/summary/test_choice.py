"""Which variant for so many steps: the answer changes with them, and none is given that the data do not carry."""

import math

import pytest

from qparity.summary.choice import choices, round_up
from qparity.summary.recommend import recommend
from qparity.summary.terminal import lines
from qparity.timing import Interval, surely_ahead
from tests.reporting.run_builder import build_view

SPEEDS = {"torch": 1.0, "tf": 3.0, "jax-jit": 0.1}
NAMES = ("a", "b", "c")


def asked(folder, speeds=SPEEDS, scenarios=NAMES, **options):
    return build_view(folder, scenarios=scenarios, variants=tuple(speeds), speeds=speeds, **options)


def at(choice, steps):
    return [answer for answer in choice.answers if answer.start <= steps][-1]


def test_the_answer_changes_with_the_steps(tmp_path):
    view = asked(tmp_path)
    every, *each = choices(view)
    assert every.name == "all 3 timed scenarios"
    assert [choice.name for choice in each] == list(NAMES)
    assert at(every, 100).best == ("torch",)  # 2 s of compiling, some 9 ms won a step
    assert at(every, 1000).best == ("jax-jit",)
    starts = [answer.start for answer in every.answers]
    assert starts == sorted(starts)
    last = every.answers[-1]
    assert last.best == ("jax-jit",)
    assert 200 < last.start < 300
    between = at(every, last.start - 1)
    assert set(between.best) == {"torch", "jax-jit"}
    assert between.said == "cannot tell between torch and jax-jit"
    assert every.ranges[-1] == f"from {last.start} steps on: jax-jit"


def test_it_says_what_the_advice_says(tmp_path):
    """One question has one answer: the advice's number of steps is where the last answer starts."""
    view = asked(tmp_path)
    (advice,) = recommend(view).advice
    last = choices(view)[0].answers[-1]
    assert (advice.variant,) == last.best
    assert advice.steps == last.start


def test_each_answer_holds_for_the_total_times(tmp_path):
    """Where one variant is named, its estimated total is the smallest of all; at both ends of its range."""
    view = asked(tmp_path)
    for choice in choices(view)[1:]:
        ends = [answer.start - 1 for answer in choice.answers[1:]] + [10**6]
        for answer, end in zip(choice.answers, ends, strict=True):
            for steps in (answer.start, end):
                totals = {
                    cell.variant: cell.timing.start_s + steps * cell.timing.step_s
                    for cell in view.cells
                    if cell.scenario == choice.name
                }
                if len(answer.best) == 1:
                    assert min(totals, key=totals.get) == answer.best[0], steps


@pytest.mark.parametrize("fault", ["fault", "leak", "setup"])
def test_a_variant_that_is_wrong_anywhere_is_never_the_answer(tmp_path, fault):
    view = asked(tmp_path, faults={(2, "jax-jit"): fault})
    assert list(view.wrong) == ["jax-jit"]
    for choice in choices(view):
        for answer in choice.answers:
            assert "jax-jit" not in answer.best
    assert at(choices(view)[0], 10_000).best == ("torch",)
    told = [line for line in lines(view) if line.startswith("jax-jit: ")]
    assert told
    assert all("it is wrong in 1 cell of this run" in line for line in told)


def test_nothing_is_answered_where_nothing_was_timed_on_two_that_agree(tmp_path):
    assert choices(build_view(tmp_path / "a", scenarios=NAMES)) == ()
    faults = {(i, v): "fault" for i in range(3) for v in ("tf", "jax-jit")}
    assert choices(asked(tmp_path / "b", faults=faults)) == ()


def test_equal_variants_are_not_told_apart(tmp_path):
    (choice,) = choices(asked(tmp_path, {"torch": 1.0, "tf": 1.0}, ("s",)))
    assert [answer.best for answer in choice.answers] == [("torch", "tf")]
    assert choice.ranges == ("for any number of steps: cannot tell between torch and tf",)


def test_scenarios_with_other_answers_are_said_to_differ(tmp_path, monkeypatch):
    from tests.reporting import run_builder

    rounds = run_builder._rounds
    slow = iter((SPEEDS, SPEEDS, {"torch": 1.0, "tf": 3.0, "jax-jit": 5.0}))
    monkeypatch.setattr(run_builder, "_rounds", lambda _: rounds(next(slow)))
    view = asked(tmp_path)
    assert at(choices(view)[0], 10**6).said == "it depends on the scenario: jax-jit in 2, torch in 1 of 3"


@pytest.mark.parametrize(
    ("starts", "others", "step", "most", "region"),
    [
        ([2.0], [0.0], (0.009, 0.01, 0.011), 0.5, (2 / 0.0045, math.inf)),  # the least that a step wins back
        ([2.0, 3.0], [0.5, 1.0], (0.01, 0.01, 0.01), 0.5, (2.5 / 0.005, math.inf)),  # the latest against the earliest
        ([0.0], [1.0], (0.01, 0.01, 0.02), 1.5, (0.0, 100.0)),  # ahead until its slower steps have used that up
        ([0.0], [1.0], (0.01, 0.01, 0.01), 1.0, (0.0, math.inf)),
        ([1.0], [1.0], (0.01, 0.01, 0.01), 1.0, (math.inf, math.inf)),
        ([1.0], [0.0], (0.01, 0.01, 0.01), 1.2, (math.inf, math.inf)),
        ([1.0], [0.0], (-math.inf, 0.01, math.inf), 0.5, (math.inf, math.inf)),  # too few rounds
    ],
)
def test_surely_ahead_takes_the_worst_ends(starts, others, step, most, region):
    assert surely_ahead(starts, others, Interval(*step), most) == pytest.approx(region)


def test_steps_are_rounded_to_the_careful_side():
    assert [round_up(n) for n in (1, 9.2, 11, 99.1, 101, 4312, 10**12)] == [1, 10, 11, 100, 110, 4400, 10**9]
