"""Rounds of one generation: who takes part in them, in which order, and until when; the processes are stand-ins."""

import asyncio
import math

from qparity.runner.local import available_cores
from qparity.runner.rounds import Bench, Lane, Record, Started, TimingOptions, measure
from qparity.worker.protocol import Message
from tests.runner.stand_in import blocks


class Steady:
    """A child that takes as long in every round, and on a machine with counters uses as much."""

    def __init__(self, **more):
        self.more = more

    async def request(self, kind):
        assert kind == "go"
        return Message("done", {"step_s": 0.01, "wall_s": 0.1, "cpu_s": 0.1, "delayed_s": 0.0, **self.more})


def measured(folder, decided, rounds=(2, 9), late=math.inf, **more):
    (block,) = blocks(folder, "torch", "jax", "tf")
    lanes = [Lane(str(cell.variant), cell) for cell in block.cells]
    bench = Bench(None, block, folder, available_cores()[-1:], TimingOptions(), Record())
    alive = {lane: Started(Steady(**more), 0.1, 0.2, 0.0, 0.0) for lane in lanes}
    asyncio.run(measure(bench, alive, 0, rounds, decided, late))
    return bench


def orders(*arguments, **options):
    return [each.order for each in measured(*arguments, **options).record.rounds if each.kept]


def test_the_record_has_energy_only_where_the_machine_has_counters(tmp_path):
    for more, keys in (({}, set()), ({"energy_j": None}, set()), ({"energy_j": 1.5}, {"energy_j"})):
        timing = measured(tmp_path, lambda *_: True, **more).timing
        samples = [sample for each in timing.raw["rounds"] for sample in each["samples"].values()]
        assert samples
        assert all(sample.keys() - {"step_s", "wall_s", "cpu_s", "delayed_s"} == keys for sample in samples)
        assert {each.samples["jax"].energy_j for each in timing.rounds} == {more.get("energy_j")}


def test_a_pair_that_is_decided_leaves_and_the_others_go_on_beside_the_first(tmp_path):
    found = orders(tmp_path, lambda base, name: (base, name) == ("torch", "jax"))
    assert [set(order) for order in found] == [{"torch", "jax", "tf"}] * 2 + [{"torch", "tf"}] * 7
    assert {order[0] for order in found[2:]} == {"torch", "tf"}, "they take turns"


def test_it_ends_when_all_pairs_are_decided_and_late_with_the_fewest(tmp_path):
    assert len(orders(tmp_path, lambda *_: True)) == 2
    assert len(orders(tmp_path, lambda *_: False, late=0.0)) == 2
    assert len(orders(tmp_path, lambda *_: False)) == 9
