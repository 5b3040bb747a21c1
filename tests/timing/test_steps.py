"""Steps in a series of ratios: found where there is one, and hardly ever where there is none."""

import math

import numpy as np
import pytest

from qparity.timing import Interval
from qparity.timing.steps import steps


def series(logs, width=0.02):
    return [Interval(math.exp(x - width), math.exp(x), math.exp(x + width)) for x in logs]


@pytest.mark.parametrize("factor", [1.3, 0.7])
def test_a_step_is_found_at_its_run_from_the_second_one_on(factor):
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.01, 12)
    logs[8:] += math.log(factor)
    assert steps(series(logs)) == [8]
    assert steps(series(logs[:9])) == []
    assert steps(series(logs[:10])) == [8]


def test_two_steps_are_two():
    rng = np.random.default_rng(2)
    logs = rng.normal(0, 0.01, 20)
    logs[6:14] += 0.4
    assert steps(series(logs)) == [6, 14]


@pytest.mark.parametrize("scatter", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("runs", [5, 8, 20])
def test_a_variant_against_itself_takes_no_step(runs, scatter):
    rng = np.random.default_rng(3)
    draws = rng.normal(0, math.hypot(0.02 / 1.96, scatter), (1000, runs))
    assert sum(bool(steps(series(logs))) for logs in draws) <= 18, "1% of 1000, and three standard deviations"


def test_what_lies_within_the_noise_is_no_step():
    logs = [0.0] * 6 + [0.01] * 6
    assert steps(series(logs, 0.0001)) == []
    assert steps(series(logs, 0.0001), noise=0.001) == [6]


def test_few_runs_and_missing_ends():
    assert steps([]) == []
    assert steps(series([0.0, 1.0, 1.0, 1.0])) == []
    assert steps([Interval(0.0, 1.0, math.inf)] * 5 + [Interval(0.0, 2.0, math.inf)] * 5) == [5]
