"""Timing of one block: all its variants alive side by side, measured in turn, round by round.

Whatever disturbs the machine for longer than a round meets all variants alike, and ratios within a round do not see it.
Nothing else may run meanwhile: the sweep times when its audits are over. Several generations of fresh processes are
measured, because two processes of one program differ (by their memory layout) more than their rounds do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from qparity.records import Timing
from qparity.runner.condition import sentinel
from qparity.runner.plan import Block
from qparity.runner.pool import Pool
from qparity.runner.rounds import CALIBRATION, LEAST_ROUNDS, Bench, Lane, Record, Tell, TimingOptions, generation
from qparity.timing.contention import enough
from qparity.timing.ratios import log_ratios

CHILD_BYTES = 0.8e9


async def time_block(
    pool: Pool,
    block: Block,
    lanes: Sequence[Lane],
    logs: Path,
    cpus: list[int],
    options: TimingOptions,
    tell: Tell = lambda *_: None,
) -> Timing:
    """Measure the lanes of a block against each other; what goes wrong with one leaves it out, with the reason."""
    record = Record(sentinel_s=[sentinel(cpus) for _ in range(CALIBRATION)])
    bench = Bench(pool, block, logs, cpus, options, record, tell)
    late = time.monotonic() + options.block_s
    for party in parties(lanes, most_children()):
        for number in range(options.children):

            def decided(base: str, name: str, number: int = number) -> bool:
                times, theirs, _ = record.pair(base, name)
                return bool(times) and enough(log_ratios(times, theirs), options.target_width, number, options.children)

            rounds = LEAST_ROUNDS, options.quota
            await generation(bench, party, number, rounds, decided, late, inference=number == 0)
    return bench.timing


def parties(lanes: Sequence[Lane], most: int) -> list[list[Lane]]:
    """Lanes that are alive together, at most `most` (2 or more): the first one is in every party, to compare with."""
    if len(lanes) <= max(2, most):
        return [list(lanes)]
    first, *others = lanes
    size = max(2, most) - 1
    return [[first, *others[i : i + size]] for i in range(0, len(others), size)]


def most_children() -> int:
    """How many children fit into the memory that is free."""
    return int(0.8 * psutil.virtual_memory().available / CHILD_BYTES)
