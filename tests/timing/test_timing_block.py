"""The recorded rounds of a block become ratios, verdicts and notes; docs/architecture.md states the record."""

import numpy as np
import pytest

from qparity.records import Timing, Unreadable
from qparity.timing import Speed, read_block


def lanes(speeds):
    """The lanes of a record; one that is faster than the reference is one that compiles, and starts 2 s later."""
    child = {"build_s": 0.1, "first_s": 0.2, "finite": True, "weights_sha256": "a"}
    late = child | {"first_s": 2.2}
    lane = {"batch_size": 32, "steps_per_execution": 1}
    return {name: {**lane, "variant": name, "children": [late if s < 1 else child] * 3} for name, s in speeds.items()}


def document(rounds=15, seed=0, kept=lambda k: True, **speeds):
    """Rounds of lanes with the given relative speeds under a strong common drift; jit-like lanes start late."""
    rng = np.random.default_rng(seed)
    listed = []
    for k in range(rounds):
        drift = rng.lognormal(0, 0.5)
        samples = {name: 0.01 * drift * s * rng.lognormal(0, 0.02) for name, s in speeds.items()}
        listed.append(
            {
                "child": k % 3,
                "kept": kept(k),
                "samples": {name: {"step_s": t, "wall_s": t, "cpu_s": t} for name, t in samples.items()},
            }
        )
    return {
        "options": {"target_width": 0.05},
        "lanes": lanes(speeds),
        "rounds": listed,
        "left_out": {"jax": "a step takes 3.0 s: too long to repeat"},
    }


def read(found, reference=None):
    return read_block(Timing(found), reference)


def test_ratios_survive_a_drift_larger_than_the_difference():
    block = read(document(torch=1.0, tf=1.3, jit=0.1))
    assert block.reference == "torch"
    assert block.lanes["torch"].ratio is None
    assert block.lanes["tf"].ratio.contains(1.3)
    assert block.lanes["tf"].speed is Speed.SLOWER
    assert block.lanes["jit"].speed is Speed.FASTER
    assert not block.lanes["jit"].unstable
    assert block.left_out == {"jax": "a step takes 3.0 s: too long to repeat"}


def test_the_reference_can_be_chosen():
    there = read(document(torch=1.0, tf=1.3)).lanes["tf"].ratio
    back = read(document(torch=1.0, tf=1.3), "tf").lanes["torch"].ratio
    assert back.estimate == pytest.approx(1 / there.estimate)
    assert read(document(torch=1.0, tf=1.3), "absent").reference == "torch"


def test_a_lane_that_never_ran_beside_the_reference_is_left_out_alone():
    """Lanes are split by memory; only the first is in every party."""
    found = document(torch=1.0, tf=1.3, jit=0.1)
    for k, each in enumerate(found["rounds"]):
        del each["samples"]["tf" if k % 2 else "jit"]
    assert read(found).lanes.keys() == {"torch", "tf", "jit"}
    block = read(found, "jit")
    assert block.lanes.keys() == {"torch", "jit"}
    assert "jit" in block.left_out["tf"]


def test_break_even_counts_build_and_compile_but_not_the_steps_in_it():
    jit = read(document(torch=1.0, jit=0.1)).lanes["jit"]
    assert jit.start_s == pytest.approx(2.3 - jit.step_s)
    assert jit.break_even.low < jit.break_even.step < jit.break_even.high
    assert 100 < jit.break_even.step < 500


def test_disturbed_rounds_are_dropped_and_counted():
    lane = read(document(rounds=20, kept=lambda k: k % 4 > 0, torch=1.0, tf=1.0)).lanes["tf"]
    assert (lane.rounds, lane.dropped) == (15, 5)
    assert not lane.unstable
    mostly = read(document(rounds=20, kept=lambda k: k < 8, torch=1.0, tf=1.0)).lanes["tf"]
    assert mostly.unstable
    assert any("12 of 20" in note for note in mostly.notes)


def test_what_makes_a_number_unreliable_is_said():
    found = document(torch=1.0, tf=1.0)
    found["lanes"]["tf"]["children"][0] = found["lanes"]["tf"]["children"][0] | {"weights_sha256": "b"}
    for each in found["rounds"]:
        each["samples"]["torch"]["cpu_s"] /= 2
    lanes = read(found).lanes
    assert any("weights" in note for note in lanes["tf"].notes)
    assert any("50%" in note for note in lanes["torch"].notes)
    assert lanes["tf"].unstable
    assert lanes["torch"].unstable


def test_a_training_that_left_the_finite_numbers_has_no_time():
    found = document(torch=1.0, tf=1.2, jit=0.1)
    found["lanes"]["torch"]["children"][1] = found["lanes"]["torch"]["children"][1] | {"finite": False}
    block = read(found)
    assert "torch" in block.left_out
    assert (block.reference, block.lanes.keys()) == ("tf", {"tf", "jit"})


def test_a_variant_that_waits_for_its_gpu_is_not_unstable():
    found = document(torch=1.0, tf=1.0)
    found["lanes"]["tf"]["variant"] = "tf@gpu"
    for each in found["rounds"]:
        each["samples"]["tf"]["cpu_s"] /= 5
    assert not read(found).lanes["tf"].unstable


def test_a_reference_that_recompiles_makes_its_ratios_unstable_and_what_is_of_the_round_is_said_once():
    found = document(torch=1.0, tf=1.0)
    found["lanes"]["torch"]["children"][0] = found["lanes"]["torch"]["children"][0] | {"recompilations": 2}
    for each in found["rounds"]:
        each["throttled"] = 1
    notes = read(found).lanes["tf"].notes
    assert any(note.startswith("torch") and "2 times" in note for note in notes)
    assert sum("throttled" in note for note in notes) == 1


def test_differences_below_the_noise_of_the_machine_are_none():
    found = document(torch=1.0, tf=1.1)
    assert read(found).lanes["tf"].speed is Speed.SLOWER
    found["options"] |= {"noise": 0.15, "target_width": 0.001}
    lane = read(found).lanes["tf"]
    assert (lane.speed, lane.noise) == (Speed.NOT_RESOLVED, 0.15)
    assert any(note.endswith("0.1% was asked for") for note in lane.notes)
    assert not lane.unstable


def test_a_core_that_was_shared_is_said_and_makes_nothing_unstable():
    found = document(torch=1.0, tf=1.0)
    for each in found["rounds"]:
        each["samples"]["tf"] |= {
            "wall_s": 2 * each["samples"]["tf"]["cpu_s"],
            "delayed_s": each["samples"]["tf"]["cpu_s"],
        }
    lane = read(found).lanes["tf"]
    assert ["50%" in note for note in lane.notes] == [True]
    assert not lane.unstable


def test_few_rounds_resolve_nothing():
    lane = read(document(rounds=4, torch=1.0, jit=0.1)).lanes["jit"]
    assert lane.speed is Speed.NOT_RESOLVED
    assert lane.unstable


def test_nothing_measured_is_nothing_said():
    found = document(rounds=3, kept=lambda k: False, torch=1.0)
    assert read(found).lanes == {}
    with pytest.raises(Unreadable, match="expected a table"):
        read({"rounds": []})


def test_energy_a_step_is_the_median_of_the_rounds_that_have_any():
    found = document(torch=1.0, tf=1.3)
    found["lanes"]["torch"]["steps"] = 4
    for number, each in enumerate(found["rounds"]):
        if number % 3 == 0:
            each["samples"]["torch"]["energy_j"] = 80.0 if number == 3 else 2.0
    lanes = read(found).lanes
    assert lanes["torch"].energy_j == 0.5
    assert lanes["tf"].energy_j is None
