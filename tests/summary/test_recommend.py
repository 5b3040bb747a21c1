"""The recommendation comes from data alone, and is silent where they do not carry it."""

import pytest

from qparity.scenario.variant import MODES
from qparity.summary.recommend import recommend
from tests.reporting.run_builder import build_view

SPEEDS = {"torch": 1.0, "tf": 3.0, "jax-jit": 0.1}
NAMES = ("a", "b", "c")


def advise(folder, speeds=SPEEDS, **options):
    return recommend(build_view(folder, scenarios=NAMES, variants=tuple(SPEEDS), speeds=speeds, **options))


def test_a_clear_winner_is_named_with_its_break_even_and_who_is_ahead_before(tmp_path):
    found = advise(tmp_path)
    (advice,) = found.advice
    assert (advice.variant, advice.where, advice.scenarios, advice.before) == (
        "jax-jit",
        "wherever it was timed",
        3,
        "torch",
    )
    assert 8 < advice.faster[0] <= advice.faster[1] < 10  # a bound from below of 10 times
    assert 200 < advice.steps < 300  # 2 s of compiling, some 9 ms saved a step
    assert found.silent == ()
    assert "has paid from" in advice.conditions


def test_a_winner_that_starts_as_early_has_no_condition(tmp_path):
    (advice,) = advise(tmp_path, speeds={"torch": 1.0, "tf": 3.0}).advice
    assert (advice.variant, advice.steps, advice.before) == ("torch", 1, None)
    assert "paid" not in advice.conditions


def test_what_was_not_run_is_named_beside_the_fastest_of_what_was(tmp_path):
    (advice,) = advise(tmp_path / "a").advice
    assert advice.absent == ("tf-graph", "tf-xla", "torch-compile", "jax")
    assert advice.conditions.endswith("; not run: tf-graph, tf-xla, torch-compile, jax (`-v all` runs every mode)")
    whole = dict.fromkeys(MODES, 2.0) | SPEEDS
    view = build_view(tmp_path / "b", scenarios=("a",), variants=tuple(whole), speeds=whole)
    (advice,) = recommend(view).advice
    assert advice.absent == ()
    assert "not run" not in advice.conditions


def test_it_is_silent_where_intervals_overlap(tmp_path):
    found = advise(tmp_path, speeds=SPEEDS | {"jax-jit": 0.99})
    assert found.advice == ()
    assert "cannot be told apart" in found.silent[0]


@pytest.mark.parametrize("place", [0, 2])
def test_it_never_names_a_variant_that_disagrees_anywhere(tmp_path, place):
    found = advise(tmp_path, faults={(place, "jax-jit"): "fault"})
    assert "jax-jit" not in [advice.variant for advice in found.advice]
    assert not found.advice


def test_a_variant_that_shows_an_expected_fault_is_no_candidate_there(tmp_path):
    expect = {name: {"jax-jit": "PRECISION-LEAK"} for name in NAMES}
    found = advise(tmp_path, faults={(i, "jax-jit"): "leak" for i in range(3)}, expect=expect)
    assert [advice.variant for advice in found.advice] == ["torch"]


def test_it_is_silent_without_paired_rounds_and_with_one_variant_that_agrees(tmp_path):
    assert recommend(build_view(tmp_path / "a")).advice == ()
    faults = {(i, v): "fault" for i in range(3) for v in ("tf", "jax-jit")}
    found = advise(tmp_path / "b", faults=faults)
    assert found.advice == ()
    assert found.silent == ("in no scenario do two variants agree that were timed",)


def test_other_devices_get_answers_of_their_own(tmp_path, monkeypatch):
    from tests.reporting import run_builder

    rounds = run_builder._rounds
    slow = iter((SPEEDS, {"torch": 1.0, "tf": 3.0, "jax-jit": 5.0}, {"torch": 1.0, "tf": 1.0, "jax-jit": 5.0}))
    monkeypatch.setattr(run_builder, "_rounds", lambda _: rounds(next(slow)))
    settings = {"b": {"device": "lightning.qubit", "diff_method": "best"}, "c": {"device": "default.mixed"}}
    found = advise(tmp_path, settings=settings)
    assert [(a.variant, a.where) for a in found.advice] == [
        ("jax-jit", "with default.qubit"), ("torch", "with lightning.qubit"),
    ]  # fmt: skip
    assert found.silent == ("with default.mixed: tf and torch cannot be told apart (c)",)


def test_times_of_a_disturbed_machine_are_said_to_be_so(tmp_path, monkeypatch):
    from tests.reporting import run_builder

    rounds = run_builder._rounds

    def starved(speeds):
        document = rounds(speeds)
        for each in document["rounds"]:
            each["samples"]["tf"]["cpu_s"] /= 5
        return document

    monkeypatch.setattr(run_builder, "_rounds", starved)
    (advice,) = advise(tmp_path).advice
    assert advice.unstable
    assert "; some of these times are not to be relied on" in advice.conditions
