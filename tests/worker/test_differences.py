"""Slopes from values alone, and how far they may be off."""

import math

import numpy as np
import pytest

from qparity.worker.reference.differences import slope


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (math.sin, 1.0),
        (lambda t: math.exp(3 * t), 3.0),
        (lambda t: 1e6 + t, 1.0),
        (lambda t: 5.0, 0.0),
        (lambda t: math.cos(t + 1) ** 2, -math.sin(2)),
    ],
)
def test_smooth_functions_are_exact_to_the_error_that_is_told(function, exact):
    found = slope(function)
    assert abs(found.value - exact) <= found.error
    assert found.error <= 1e-11 * max(1.0, abs(function(0.0)))


@pytest.mark.parametrize("kink", [1e-3, 3e-4, 2e-5])
def test_a_kink_nearby_is_passed_by_or_told(kink):
    found = slope(lambda t: max(t - kink, 0.0) + 0.5 * t)
    assert abs(found.value - 0.5) <= found.error
    assert found.error < 1e-8


def test_noise_is_counted():
    rng = np.random.default_rng(0)
    for _ in range(50):
        found = slope(lambda t: math.sin(t) + 1e-9 * rng.uniform(-1, 1), noise=1e-9)
        assert abs(found.value - 1) <= found.error
        assert found.error < 1e-5


def test_a_normalisation_is_as_exact_as_is_told():
    rng = np.random.default_rng(1)
    for _ in range(200):
        x, gain, angle = rng.normal(size=3), rng.normal(size=3), rng.uniform(0, 6, 3)
        towards = rng.normal(size=3)

        def loss(t, x=x, gain=gain, angle=angle, towards=towards):
            moved = x + t * towards
            normal = (moved - moved.mean()) / np.sqrt(moved.var() + 1e-3) * gain
            return float(np.sum(np.cos(normal + angle)) * np.cos(3 * normal[0]))

        exact = _exact_slope(x, gain, angle, towards)
        found = slope(loss, 8 * 2.0**-53 * 100)
        assert abs(found.value - exact) <= found.error
        assert found.error <= 1e-9


def _exact_slope(x, gain, angle, towards):
    x, towards = x.astype(np.longdouble), towards.astype(np.longdouble)
    middle, spread = x - x.mean(), np.sqrt(x.var() + np.longdouble(1e-3))
    normal = middle / spread * gain
    moved = (towards - towards.mean()) / spread - middle / spread**3 * (middle * (towards - towards.mean())).mean()
    slopes = moved * gain
    first, third = np.sum(np.cos(normal + angle)), np.cos(3 * normal[0])
    return float(np.sum(-np.sin(normal + angle) * slopes) * third - 3 * np.sin(3 * normal[0]) * slopes[0] * first)


def test_where_there_is_no_slope_both_one_sided_ones_are_within_the_error():
    for left, right in ((0.0, 1.0), (-1.0, 1.0), (0.3, -0.2)):
        found = slope(lambda t, left=left, right=right: (right if t > 0 else left) * t + 1)
        assert max(abs(found.value - left), abs(found.value - right)) <= found.error


def test_a_curvature_that_jumps_is_told():
    """The square of a ReLU: the differences of both orders are off, and nearly alike."""
    for curvature in (1.0, -100.0):
        found = slope(lambda t, c=curvature: 0.3 * t + c * max(t, 0.0) ** 2 + math.sin(t) ** 2)
        assert abs(found.value - 0.3) <= found.error
        assert found.error < 1e-4 * abs(curvature)


def test_kinks_that_leave_two_orders_alike_are_told():
    """Of one kink at 2.81 widths the differences of sixth and eighth order are the same, and wrong."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        places, jumps = rng.uniform(-5, 5, 3) * 2.0**-20, rng.normal(size=3)
        found = slope(lambda t, places=places, jumps=jumps: float((jumps * np.maximum(t - places, 0)).sum()))
        assert abs(found.value - jumps[places < 0].sum()) <= found.error
