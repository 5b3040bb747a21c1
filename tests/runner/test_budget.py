"""A budget goes to what is unmeasured, then to the widest interval; the processes are stand-ins, with a clock."""

import asyncio
import math
from types import SimpleNamespace

import numpy as np
import pytest

from qparity.records.timing import OUT_OF_TIME, Sample
from qparity.runner import budget as budgets
from qparity.runner.budget import Budget, Cost, Course, parse_seconds, time_within
from qparity.runner.condition import Condition
from qparity.runner.rounds import Bench, Competitor, Lane, Measured, Record, TimingOptions
from qparity.scenario.errors import ScenarioError
from qparity.timing import paired_ratio
from tests.runner.stand_in import blocks

STILL = Condition(None, None, None, None)
START_S, ROUND_S = 2.0, 0.2


class World:
    """Blocks whose processes take time and whose rounds scatter, as told; what was done in it, in order."""

    def __init__(self, folder, monkeypatch, noises, start_s=START_S, seed=0, **options):
        self.now, self.rng, self.noises = 0.0, np.random.default_rng(seed), noises
        self.done = []
        monkeypatch.setattr(budgets, "generation", self.generation)
        monkeypatch.setattr(budgets, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(budgets, "most_children", lambda: 8)
        timing = TimingOptions(**options)
        self.courses, self.start_s = [], {}
        for place, block in enumerate(blocks(folder, "torch", "jax", seeds=len(noises))):
            lanes = [Lane(str(cell.variant), cell) for cell in block.cells]
            mine = start_s[place] if isinstance(start_s, list) else start_s
            bench = Bench(None, block, folder, [0], timing, Record())
            self.courses.append(Course(bench, lanes, dict.fromkeys(("torch", "jax"), Cost(mine, ROUND_S))))
            self.start_s[block.scenario.name] = mine

    async def generation(self, bench, party, number, rounds, decided, late, until, inference):
        place = int(bench.block.scenario.seed)
        shift = {lane.name: self.rng.normal(0, 0.013) for lane in party}
        least, most = rounds
        self.now += len(party) * self.start_s[bench.block.scenario.name]
        for done in range(1, most + 1):
            self.now += len(party) * ROUND_S
            times = {
                lane.name: 0.01 * math.exp(shift[lane.name] + self.rng.normal(0, self.noises[place])) for lane in party
            }
            samples = {name: Sample(t, ROUND_S, ROUND_S, 0.0) for name, t in times.items()}
            bench.record.rounds.append(Measured(number, True, list(times), [1.0, 1.0], STILL, samples))
            if done >= least and (decided("torch", "jax") or self.now > late):
                break
        phases = {"spawn_s": 0.0, "build_s": 0.0, "pilot_s": self.start_s[bench.block.scenario.name] - ROUND_S}
        for lane in party:
            mine = bench.record.lanes.setdefault(lane.name, Competitor("id", lane.name, 10, 1, 2))
            told = {"build_s": 0.1, "first_s": 0.2, "finite": True, "weights_sha256": "a" * 64, "phases": phases}
            mine.children.append(told | {"inference_s": 1.0 if inference else None})
        self.done.append((place, number, done))

    def run(self, given_s):
        self.budget = Budget(given_s, began=0.0)
        asyncio.run(time_within(self.budget, self.courses, lambda _: None))
        return [place for place, *_ in self.done]


def test_every_block_gets_its_fewest_rounds_before_any_gets_more(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [0.2, 0.01, 0.02])
    order = world.run(1000)
    assert sorted(order[:3]) == [0, 1, 2]
    assert all(done == 6 for *_, done in world.done[:3])
    assert order[3] == 0, "the widest interval is next"
    assert {course.processes(lane) for course in world.courses[1:] for lane in course.lanes} <= {3, 4}
    assert world.budget.spent_s < 1000, "what is as narrow as asked is left alone"


def test_the_cheapest_come_first_and_what_does_not_fit_is_not_begun(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [0.01] * 3, start_s=[50.0, 3.0, 1.0])
    order = world.run(30)
    assert order[:2] == [2, 1]
    assert 0 not in order
    assert world.budget.spent_s <= 30
    assert not world.courses[0].bench.record.rounds


def test_rounds_go_on_only_where_the_interval_is_wide(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [0.15, 0.005])
    world.run(120)
    wide, narrow = (len(course.bench.record.rounds) for course in world.courses)
    assert narrow <= 6 + 3 + 3, "three pairs of processes, and hardly a round more than the fewest"
    assert wide > 2 * narrow


def test_what_was_spent_before_is_not_spent_again(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [0.01] * 2)
    world.budget = Budget(60.0, spent_before_s=57.0, began=0.0)
    asyncio.run(time_within(world.budget, world.courses, lambda _: None))
    assert world.done == []
    assert (world.budget.spent_s, world.budget.left_s) == (57.0, 3.0)


def test_a_block_that_was_begun_goes_on_from_where_it_was(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [0.05, 0.01])
    world.run(14)
    bench = world.courses[0].bench
    bench.record.left_out = {"jax": OUT_OF_TIME, "tf": "a step takes 3.0 s: too long to repeat"}
    timing = bench.timing.checked()
    again = Record.of(timing)
    assert again.left_out == {"tf": "a step takes 3.0 s: too long to repeat"}
    rewritten = again.timing(bench.block, bench.cpus, bench.options)
    assert rewritten.raw | {"left_out": timing.raw["left_out"]} == timing.raw
    assert Course(world.courses[0].bench, [], {}).number == 1 + max(each.child for each in timing.rounds)


def test_where_the_rounds_go_keeps_the_calibration(tmp_path, monkeypatch):
    """Nothing differs, and still rounds go where intervals are wide until the budget ends: 95% of them hold 1."""
    held = []
    for seed in range(30):
        noises = [0.01, 0.02, 0.04, 0.08, 0.12, 0.2]
        world = World(tmp_path, monkeypatch, noises, seed=seed, target_width=0.05)
        world.run([40, 90, 160][seed % 3])
        for course in world.courses:
            times, theirs, children = course.bench.record.pair("torch", "jax")
            held.append(bool(times) and paired_ratio(times, theirs, children).contains(1.0))
    assert np.mean(held) >= 0.93
    assert len(held) == 180


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("2m", 120), ("1h", 3600), ("1.5m", 90), ("0.5s", 0.5)])
def test_a_budget_is_read(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "m", "-1m", "0s", "1 m", "1e3s", "nan", "inf", "2m30s", "9999999h", "\u0662m"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ScenarioError, match="expected a time such as 90s, 2m or 1h"):
        parse_seconds(text)
