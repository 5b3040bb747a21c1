"""Records read their documents strictly, lazily, and write them as they were; no framework, no folder."""

import json
import math
from dataclasses import asdict, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qparity.oracle import NotCovered
from qparity.records import Outcome, Part, Program, Resolved, Timing, Unreadable, read
from qparity.records.kinds import Count, Name, Number, Scalar, Sha, Text, Whole, reader
from qparity.records.plan import read_plan
from tests.oracle.programs import random_program

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARTS = [name for name, value in vars(Outcome).items() if isinstance(value, Part)]
OK = {"id": "a" * 16, "variant": "torch", "status": "ok"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Count, [0, 2**63 - 1], [-1, 2**63, True, 1.0, "1", None]),
        (Whole, [-(2**63), 5], [2**63, False, 1.5]),
        (Number, [1, -2.5, 2**70], [math.nan, math.inf, True, "1", 10**400]),
        (bool, [True, False], [0, 1, "true", None]),
        (Text, ["", "x" * 100_000], ["x" * 100_001, 5, None]),
        (Name, ["torch@gpu", "_a", "RX"], ["", "a b", "-a", "a\n", ".a", "x" * 121]),
        (Sha, ["0" * 64], ["0" * 63, "G" * 64, "0" * 64 + "\n"]),
        (Scalar, [None, True, 1, 1.5, "a"], [[], {}, math.nan]),
        (tuple[Count, ...], [[], [1, 2]], [{}, "12", [1, -1], None]),
        (tuple[Count, Number], [[1, 2.0]], [[1], [1, 2, 3], ["w", 1]]),
    ],
)
def test_a_kind_takes_what_it_says_and_nothing_else(kind, good, bad):
    for value in good:
        reader(kind)(value)
    for value in bad:
        with pytest.raises(Unreadable):
            reader(kind)(value)


def test_every_entry_may_be_missing_and_is_then_nothing():
    outcome = Outcome(OK).checked()
    assert outcome.resolved == Resolved()
    assert outcome.audit.hashes.weights is None
    assert (outcome.fault, outcome.reason, outcome.phases) == (None, None, {})
    assert Outcome(OK | dict.fromkeys(set(PARTS) - OK.keys())).checked().memory == outcome.memory


@pytest.mark.parametrize("name", ["id", "variant", "status"])
def test_what_must_be_there_is_asked_for(name):
    with pytest.raises(Unreadable, match=f"{name}: expected"):
        Outcome({key: value for key, value in OK.items() if key != name}).checked()
    with pytest.raises(Unreadable, match="lanes: expected a table"):
        Timing({"rounds": [], "left_out": {}}).checked()


def test_one_odd_part_costs_that_part_alone_and_says_where_it_is():
    odd = {"quantum_layers": [{"name": "q", "weights": ["0"]}]}
    outcome = Outcome(OK | {"resolved": odd, "memory": {"peak_bytes": 5}}, "cells/ab.json")
    assert outcome.memory.peak_bytes == 5
    with pytest.raises(Unreadable) as caught:
        _ = outcome.resolved
    assert str(caught.value).startswith("cells/ab.json: resolved.quantum_layers[0].weights[0]: expected an integer")
    with pytest.raises(Unreadable):
        outcome.checked()


def test_a_record_and_a_document_do_not_change():
    outcome = Outcome(OK)
    with pytest.raises(AttributeError):
        outcome.raw = {}
    with pytest.raises(AttributeError):
        outcome.resolved.device = "x"
    later = outcome.changed(run="there", memory={"peak_bytes": 1})
    assert (outcome.run, later.run, later.memory.peak_bytes) == (None, "there", 1)
    assert "run" not in outcome.raw


@given(st.sampled_from(PARTS), ANYTHING)
def test_whatever_stands_there_is_read_or_named(name, value):
    """Nothing but `Unreadable` is raised; what is read holds exactly what was written, and nothing else is touched."""
    outcome = Outcome(OK | {"more": value, name: value}, "cells/ab.json")
    named = None
    try:
        found = getattr(outcome.checked(), name)
    except Unreadable as error:
        named = error
    if named:
        assert named.place.startswith(name)
        assert str(named).startswith(f"cells/ab.json: {name}")
    else:
        assert outcome.raw["more"] is value
        assert value is None or is_dataclass(found) or plain(found) == plain(value)


def plain(value):
    return json.loads(json.dumps(value, default=asdict))


@given(ANYTHING)
def test_no_plan_makes_a_traceback(value):
    for found in (value, {"blocks": value}, {"blocks": [value]}, {"blocks": [{"scenario": value, "cells": value}]}):
        plan, faults = read_plan(found)
        assert plan.blocks or faults or (isinstance(found, dict) and found.get("blocks") == [])


def test_a_plan_is_written_as_it_was_read():
    block = {
        "source": "a.toml", "source_sha256": "", "search_path": ["x"], "scenario": {"name": "a"}, "future": 1,
        "cells": [{"id": "0" * 16, "variant": "torch"}],
    }  # fmt: skip
    plan, faults = read_plan({"blocks": [block], "sources": ["a.toml"], "future": 2})
    assert faults == []
    written = plan.to_dict()
    assert written == {"blocks": [block | {"scenario": plan.blocks[0].written}], "sources": ["a.toml"], "future": 2}
    assert json.dumps(read_plan(written)[0].to_dict()) == json.dumps(written)


def test_scenarios_of_a_plan_have_what_they_train_alike_once():
    """And what only looks alike is as odd as ever."""
    written = [
        {"scenario": {"name": name, "data": {"samples": samples}, "training": {"epochs": epochs}}, "cells": []}
        for name, samples, epochs in (("a", 1, 2), ("b", 1, 2), ("c", True, 2), ("d", 1, 2.0), ("e", 1, -1))
    ]
    plan, faults = read_plan({"blocks": written})
    one, other = (block.scenario for block in plan.blocks)
    assert (one.name, other.name) == ("a", "b")
    assert one.training is other.training
    assert one.data is other.data
    keys = [(fault.split("'")[1], fault.split(": ")[1].split(" ")[0]) for fault in faults]
    assert keys == [("c", "data.samples"), ("d", "training.epochs"), ("e", "training.epochs")], faults


@pytest.mark.parametrize("seed", range(8))
def test_a_program_is_read_once(seed):
    raw = json.loads(json.dumps(random_program(seed)))
    assert read(Program, json.loads(json.dumps(raw))) is read(Program, raw), "the cells of a scenario have it once"


@pytest.mark.parametrize(("before", "after"), [(1, True), (2, 2.0), (0, False)])
def test_a_program_is_not_taken_for_one_that_only_looks_the_same(before, after):
    """In Python 1, 1.0 and true are equal: what was read of one must not stand for the other."""
    program = random_program(1)
    read(Program, program | {"features": before})
    with pytest.raises(Unreadable, match="features: expected an integer"):
        read(Program, program | {"features": after})


@pytest.mark.parametrize(("good", "odd"), [(1, True), (0, False), (1, 1.0)])
def test_a_part_is_not_taken_for_one_that_only_looks_the_same(good, odd):
    """Cells of a block have much alike, which is read once; what Python takes for equal is no less odd."""
    memory, again = (Outcome(OK | {"memory": {"peak_bytes": good}}).memory for _ in range(2))
    assert memory is again
    for _ in range(2):
        with pytest.raises(Unreadable, match="peak_bytes: expected"):
            Outcome(OK | {"memory": {"peak_bytes": odd}}).memory  # noqa: B018


def test_a_program_that_is_none_says_why():
    with pytest.raises(NotCovered, match="QFT"):
        _ = read(Program, {"not_covered": "QFT"}).simulated
    with pytest.raises(Unreadable, match="gates: expected an entry here"):
        read(Program, {key: value for key, value in random_program(1).items() if key != "gates"})
    nothing = random_program(1) | {"measurements": [{"kind": "expval"}]}
    with pytest.raises(ValueError, match="of nothing"):
        _ = read(Program, nothing).simulated


def test_a_prefix_of_a_program_measures_what_is_asked():
    program = read(Program, random_program(1))
    cut = program.prefix(2, [(("X", 0), ("Y", 1))])
    assert cut.gates == program.gates[:2]
    assert cut.measurements[0].terms == ((1.0, (("X", 0), ("Y", 1))),)
    assert program.prefix(None, None) == program


def test_a_variant_that_is_left_out_of_a_timing_leaves_the_rest():
    sample = {"step_s": 1.0, "wall_s": 1.0, "cpu_s": 1.0}
    lane = {"variant": "tf", "steps_per_execution": 1, "batch_size": 4, "children": []}
    raw = {
        "lanes": {"tf": lane, "jax": lane}, "left_out": {}, "future": 1,
        "rounds": [{"child": 0, "kept": True, "samples": {"tf": sample, "jax": sample}, "future": 2}],
    }  # fmt: skip
    before = json.dumps(raw)
    timing = Timing(raw).without("tf", "why").checked()
    assert timing.lanes.keys() == timing.rounds[0].samples.keys() == {"jax"}
    assert (timing.left_out, timing.raw["future"], timing.raw["rounds"][0]["future"]) == ({"tf": "why"}, 1, 2)
    assert json.dumps(raw) == before
