"""Cutting down ends at what a fault needs, and asks no more often than it may."""

import asyncio

import numpy as np
import pytest

from qparity.hunt.draw import draw
from qparity.hunt.rewrites import rewrite
from qparity.hunt.shrink import MOST_TRIED, Candidate, Tries, plain, shrink
from qparity.scenario.variant import Variant


def drawn_with(name: str, seed: int = 11):
    """The first circuits of a seed in which a gate stands among others."""
    for number in range(3000):
        drawn = draw(seed, number, [Variant.parse("torch")])
        if name in {gate.gate for gate in drawn.circuit.gates} and len(drawn.circuit.gates) > 4:
            return drawn
    raise AssertionError(name)


def shrunk(candidate, holds, until=lambda: False):
    async def asked(each):
        each.drawn.scenario(each.rewritten.after)  # whatever is tried is a scenario
        return holds(each)

    tries = Tries(asked, until)
    return asyncio.run(shrink(candidate, tries)), tries


@pytest.mark.parametrize("name", ["CRot", "OrbitalRotation", "IsingXY", "StatePrep", "DiagonalQubitUnitary"])
def test_one_gate_is_left_of_a_circuit_that_is_wrong_for_it(name):
    drawn = drawn_with(name)
    start = Candidate(drawn, rewrite(drawn.circuit, np.random.default_rng(0), 0))
    least, tries = shrunk(start, lambda each: name in {gate.gate for gate in each.rewritten.after.gates})
    labels = [gate.label for gate in least.rewritten.after.gates]
    assert name in labels
    assert [label for label in labels if label != name] in ([], ["RX"]), "an RX for the weight, if the gate has none"
    (measured,) = least.rewritten.measured
    assert measured.label == "expval"
    assert least.drawn.training["data"]["samples"] == least.drawn.training["training"]["epochs"] == 1
    assert least.drawn.training["wires"] == len(least.rewritten.after.axes)
    assert tries.tried <= MOST_TRIED


def test_what_a_fault_does_not_need_is_exchanged_for_the_plainest():
    drawn = drawn_with("Rot")
    start = Candidate(drawn, rewrite(drawn.circuit, np.random.default_rng(0), 0))
    least, _ = shrunk(start, lambda each: any(gate.angles for gate in each.rewritten.after.gates))
    assert [gate.label for gate in least.rewritten.after.gates] == ["RX"]


def test_steps_stay_where_a_fault_needs_them():
    drawn = next(d for n in range(100) if (d := draw(2, n, [Variant.parse("torch")])).scenario().steps > 1)
    start = Candidate(drawn, rewrite(drawn.circuit, np.random.default_rng(0), 0))
    least, _ = shrunk(start, lambda each: each.drawn.scenario().steps > 1)
    assert least.drawn.scenario().steps > 1
    assert len(least.rewritten.after.gates) == 1


def test_of_a_difference_the_rewrite_that_makes_it_is_left():
    drawn = drawn_with("CRot")
    rewritten = rewrite(drawn.circuit, np.random.default_rng(4), 3)
    assert len(rewritten.rules) > 1
    rule = rewritten.rules[0]
    least, _ = shrunk(Candidate(drawn, rewritten), lambda each: rule in each.rewritten.rules)
    assert least.rewritten.rules == (rule,)
    assert len(least.rewritten.segments) <= 2


def test_it_ends_when_its_time_is_over_and_asks_nothing_twice():
    drawn = drawn_with("CRot")
    start = Candidate(drawn, rewrite(drawn.circuit, np.random.default_rng(0), 0))
    asked = []
    least, tries = shrunk(start, lambda each: asked.append(repr(each)) is not None, lambda: len(asked) >= 5)
    assert least == start
    assert tries.tried == len(set(asked)) == 5
    assert plain(start.rewritten.after.gates) == start.rewritten.segments
