"""The smallest slowdown that a measurement would have shown, and how often it shows one."""

import math

import numpy as np
import pytest

from qparity.timing import Interval, Speed, decide
from qparity.timing.power import found, smallest


def interval(width: float, estimate: float = 0.0) -> Interval:
    """Of log half-width `width`."""
    return Interval(estimate - width, estimate, estimate + width).exp()


@pytest.mark.parametrize("width", [0.005, 0.05, 0.3])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_measurement_finds_so_often_what_it_says(width, noise):
    rng = np.random.default_rng(3)
    for factor, share in ((smallest(interval(width), noise), 0.9), (smallest(interval(width), noise, 0.5), 0.5)):
        assert found(factor, interval(width), noise) == pytest.approx(share)
        errors = rng.normal(0, width / 1.96, 4000)
        called = [decide(interval(width, math.log(factor) + e), noise) is Speed.SLOWER for e in errors]
        assert np.mean(called) == pytest.approx(share, abs=0.03)


def test_nothing_is_found_without_an_interval_and_everything_beyond_the_noise_without_a_width():
    none = Interval(0.0, 1.0, math.inf)
    assert smallest(none) == math.inf
    assert found(5.0, none) == 0
    assert smallest(Interval(1.0, 1.0, 1.0), 0.02) == pytest.approx(1.02)
    assert [found(d, Interval(1.0, 1.0, 1.0), 0.02) for d in (1.01, 1.03)] == [0, 1]


def test_where_the_ratio_lies_does_not_count():
    assert smallest(interval(0.1, 3.0)) == pytest.approx(smallest(interval(0.1, -3.0)))
