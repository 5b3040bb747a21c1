"""Rounds of one generation: who takes part in them, in which order, and until when; the processes are stand-ins."""

import asyncio
import math

from qparity.runner.local import available_cores
from qparity.runner.rounds import Bench, Lane, Record, Started, TimingOptions, measure
from qparity.worker.protocol import Message
from tests.runner.stand_in import blocks


class Steady:
    """A child that takes as long in every round."""

    async def request(self, kind):
        assert kind == "go"
        return Message("done", {"step_s": 0.01, "wall_s": 0.1, "cpu_s": 0.1, "delayed_s": 0.0})


def orders(folder, decided, rounds=(2, 9), late=math.inf):
    (block,) = blocks(folder, "torch", "jax", "tf")
    lanes = [Lane(str(cell.variant), cell) for cell in block.cells]
    bench = Bench(None, block, folder, available_cores()[-1:], TimingOptions(), Record())
    alive = {lane: Started(Steady(), 0.1, 0.2, 0.0, 0.0) for lane in lanes}
    asyncio.run(measure(bench, alive, 0, rounds, decided, late))
    return [each.order for each in bench.record.rounds if each.kept]


def test_a_pair_that_is_decided_leaves_and_the_others_go_on_beside_the_first(tmp_path):
    found = orders(tmp_path, lambda base, name: (base, name) == ("torch", "jax"))
    assert [set(order) for order in found] == [{"torch", "jax", "tf"}] * 2 + [{"torch", "tf"}] * 7
    assert {order[0] for order in found[2:]} == {"torch", "tf"}, "they take turns"


def test_it_ends_when_all_pairs_are_decided_and_late_with_the_fewest(tmp_path):
    assert len(orders(tmp_path, lambda *_: True)) == 2
    assert len(orders(tmp_path, lambda *_: False, late=0.0)) == 2
    assert len(orders(tmp_path, lambda *_: False)) == 9
