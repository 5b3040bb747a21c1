"""Intervals hold what they promise (by simulation), drift cancels in paired ratios, fits find known exponents."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qparity.scenario.validate import validate
from qparity.timing import (
    ONE,
    Interval,
    Point,
    Speed,
    break_even,
    calibrated_noise,
    crossings,
    decide,
    fit_power_law,
    geometric_mean,
    growths,
    median_interval,
    paired_ratio,
)
from qparity.timing.contention import enough, moved, outliers

times = st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=40)


@given(times)
def test_the_interval_of_a_median_is_scipys(values):
    mine = median_interval(values)
    theirs = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    assert (mine.low, mine.high) == (theirs.low, theirs.high)
    assert mine.low <= mine.estimate <= mine.high
    assert mine.estimate == np.median(values)


@pytest.mark.parametrize(("n", "finite"), [(1, False), (5, False), (6, True)])
def test_too_few_values_carry_no_interval(n, finite):
    assert math.isfinite(median_interval(np.arange(1.0, n + 1)).half_width) == finite
    with pytest.raises(ValueError, match="finite"):
        median_interval([])
    with pytest.raises(ValueError, match="finite"):
        median_interval([1.0, math.nan])


@pytest.mark.parametrize("n", [6, 15, 40])
def test_the_median_lies_inside_as_often_as_promised(n):
    rng = np.random.default_rng(n)
    draws = rng.standard_t(2, size=(3000, n))
    covered = np.mean([median_interval(row).contains(0.0) for row in draws])
    assert covered >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 3000)


def simulated(rng, per_child, children, between, within, true=1.0):
    """Times of a variant and the reference with drift, spread between processes and noise of rounds."""
    ids = np.repeat(np.arange(children), per_child)
    drift = np.exp(np.cumsum(rng.normal(0, 0.2, len(ids))))
    of_child = np.exp(rng.normal(0, between, children))[ids]
    noise = np.exp(rng.standard_t(3, len(ids)) * within)
    return true * drift * of_child * noise, drift, ids


@pytest.mark.parametrize("between", [0.0, 0.018, 0.05])
@pytest.mark.parametrize("per_child", [2, 5, 14])
def test_the_ratio_interval_covers_although_processes_differ(between, per_child):
    rng = np.random.default_rng(per_child)
    hits, repeats = 0, 400
    for _ in range(repeats):
        a, b, ids = simulated(rng, per_child, 3, between, 0.02, true=1.3)
        hits += paired_ratio(a, b, ids).contains(1.3)
    assert hits / repeats >= (0.87 if between > 0.02 else 0.93), hits / repeats


def test_rounds_alone_would_not_cover():
    """Why the interval is widened: with processes 5% apart, rounds pooled as if they were independent fail."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        a, b, _ = simulated(rng, 14, 3, 0.05, 0.02)
        hits += median_interval(np.log(a / b)).contains(0.0)
    assert hits / 300 < 0.6


def test_a_planted_slowdown_of_15_percent_is_called_slower_19_times_of_20():
    rng = np.random.default_rng(7)
    said = []
    for _ in range(200):
        a, b, ids = simulated(rng, 5, 3, 0.013 * math.sqrt(2), 0.025, true=1.15)
        said.append(decide(paired_ratio(a, b, ids)))
    assert said.count(Speed.SLOWER) >= 190
    assert Speed.FASTER not in said


@given(times, st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_drift_common_to_a_round_cancels(values, seed, factor):
    rng = np.random.default_rng(seed)
    a, b = np.asarray(values), np.asarray(values) * rng.lognormal(0, 0.1, len(values))
    ids = np.arange(len(a)) % 3
    drift = rng.lognormal(0, 2, len(a))
    still, moving = paired_ratio(a, b, ids), paired_ratio(a * drift, b * drift, ids)
    scaled = paired_ratio(factor * a, b, ids)
    for name in ("low", "estimate", "high"):
        assert getattr(moving, name) == pytest.approx(getattr(still, name), rel=1e-9)
        assert getattr(scaled, name) == pytest.approx(factor * getattr(still, name), rel=1e-9)


@given(times, st.randoms(use_true_random=False))
def test_the_order_of_rounds_does_not_matter(values, random):
    a, b = np.asarray(values), np.asarray(values[::-1])
    ids = np.arange(len(a)) % 3
    order = random.sample(range(len(a)), len(a))
    assert paired_ratio(a[order], b[order], ids[order]).low == pytest.approx(paired_ratio(a, b, ids).low)
    assert median_interval(a[order]) == median_interval(a)


@given(times)
def test_turning_a_ratio_round_turns_its_interval(values):
    a, b = np.asarray(values), np.asarray(values[::-1])
    ids = np.arange(len(a)) % 3
    there, back = paired_ratio(a, b, ids), paired_ratio(b, a, ids)
    assert back.estimate == pytest.approx(1 / there.estimate)
    assert back.high == pytest.approx(1 / there.low)


@pytest.mark.parametrize(
    ("a", "b", "ids"), [([1.0], [1.0, 2.0], [0]), ([0.0], [1.0], [0]), ([1.0], [1.0], []), ([], [], [])]
)
def test_what_is_no_pair_is_refused(a, b, ids):
    with pytest.raises(ValueError, match=r"."):
        paired_ratio(a, b, ids)


def test_three_verdicts_and_their_threshold():
    assert decide(Interval(1.03, 1.1, 1.2)) is Speed.SLOWER
    assert decide(Interval(1.01, 1.1, 1.2)) is Speed.NOT_RESOLVED
    assert decide(Interval(0.5, 0.6, 0.97)) is Speed.FASTER
    assert decide(Interval(0.5, 0.6, 0.99)) is Speed.NOT_RESOLVED
    assert decide(Interval(0.0, 1.0, math.inf)) is Speed.NOT_RESOLVED
    assert decide(Interval(1.03, 1.1, 1.2), noise=0.05) is Speed.NOT_RESOLVED
    assert calibrated_noise([0.5, 1.0, 2.0], quantile=1.0) == pytest.approx(1.0)


def test_geometric_mean_of_equal_ratios_narrows_with_the_root_of_their_number():
    one = Interval(1.8, 2.0, 2.0**2 / 1.8)
    four = geometric_mean([one] * 4)
    assert four.estimate == pytest.approx(2.0)
    assert math.log(four.high / four.estimate) == pytest.approx(math.log(one.high / one.estimate) / 2)
    assert geometric_mean([Interval(0.2, 0.5, 0.9), Interval(1.0, 2.0, 3.0)]).estimate == pytest.approx(1.0)
    assert geometric_mean([one, Interval(0.0, 2.0, math.inf)]).high == math.inf


@given(st.floats(0.01, 10), st.floats(1e-4, 1), st.floats(0.01, 0.9))
def test_break_even_is_where_the_totals_meet(cost, step, ratio):
    found = break_even([cost, cost], [0.0], Interval(step, step, step), Interval(ratio, ratio, ratio))
    assert found.low == found.step == found.high
    assert cost + found.step * ratio * step == pytest.approx(found.step * step)


def test_break_even_that_is_not_resolved_may_never_come():
    step = Interval(0.009, 0.01, 0.011)
    found = break_even([3.0, 2.0, 4.0], [0.5, 0.4, 0.6], step, Interval(0.8, 0.9, 1.1))
    assert found.low < found.step < found.high == math.inf
    assert break_even([1.0], [2.0], step, Interval(0.5, 0.5, 0.5)).step == 0.0


@given(st.floats(-2, 3), st.floats(1e-6, 1))
def test_a_power_law_is_found_again(exponent, scale):
    sizes = [1, 2, 4, 8]
    law = fit_power_law(sizes, [scale * s**exponent for s in sizes])
    assert law.exponent.estimate == pytest.approx(exponent, abs=1e-9)
    assert law.at(16) == pytest.approx(scale * 16**exponent)


def test_the_interval_of_an_exponent_is_scipys_and_covers():
    rng = np.random.default_rng(3)
    sizes = np.array([1.0, 2, 3, 4, 6, 8])
    measured = 0.01 * sizes**1.5 * rng.lognormal(0, 0.1, 6)
    law = fit_power_law(sizes, measured)
    line = stats.linregress(np.log(sizes), np.log(measured))
    assert law.exponent.half_width == pytest.approx(line.stderr * stats.t.ppf(0.975, 4))
    hits = sum(fit_power_law(sizes, sizes**1.5 * rng.lognormal(0, 0.1, 6)).exponent.contains(1.5) for _ in range(400))
    assert 0.91 <= hits / 400 <= 0.99
    assert fit_power_law([1, 2], [1.0, 2.0]).exponent.high == math.inf


def test_too_few_rounds_carry_no_end_of_a_break_even():
    """The median of fewer than six values has no interval, and 0 times infinity is no number of steps."""
    for ratio in (Interval(-math.inf, 0.1, math.inf), Interval(0.0, 1.0, math.inf)):
        found = break_even([2.2] * 3, [0.2] * 3, median_interval([0.01] * 4), ratio)
        assert found.low <= found.step <= found.high == math.inf


def test_drift_widens_the_interval_of_a_break_even_that_ratios_do_not_see():
    """Every round of both lanes is slowed by the same factor: the ratio stays, the seconds that are saved do not."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(200):
        reference = 0.01 * rng.lognormal(0, 0.1, 15)
        ratio = paired_ratio(0.1 * reference * rng.lognormal(0, 0.01, 15), reference, [k % 3 for k in range(15)])
        found = break_even([2.2] * 3, [0.2] * 3, median_interval(reference), ratio)
        held += found.low <= 2.0 / (0.01 * 0.9) <= found.high
    assert held >= 0.9 * 200


def points(variant, times, widths=0.02, reference="torch"):
    """Timed cells over 2, 4, ... wires, in seconds a step over a reference of one second."""
    for k, time in enumerate(times):
        scenario = {"name": f"grow-{k}wires", "wires": 2 * k + 2, "layers": 1, "training": {"batch_size": 4}}
        ratio = Interval(time / (1 + widths), time, time * (1 + widths))
        yield Point(validate(scenario), variant, 4, time, ratio, reference)


def crossed(a, b, **options):
    found = growths([*points("a", a, **options), *points("b", b, **options)])
    return [(c.below, c.above, c.low, c.high) for c in crossings(found)]


def test_variants_cross_where_their_ratios_say_so():
    assert crossed([1, 1, 1, 1], [0.2, 0.5, 2, 5]) == [("b", "a", 4, 6)]
    assert crossed([1, 1, 1, 1], [0.2, 1, 2, 5]) == [("b", "a", 2, 6)], "not resolved at 4 wires"
    assert crossed([1, 1, 1, 1], [0.2, 0.5, 2, 5], widths=20.0) == [], "resolved nowhere"


def test_fitted_lines_do_not_make_a_crossing():
    """The lines through these cross inside the range, but b is faster at every size."""
    assert crossed([1, 1, 1, 1, 1], [0.5, 0.5, 0.9, 0.9, 0.9]) == []
    assert crossed([3.6] * 5, [0.314, 0.356, 0.524, 1.196, 3.884]) == [("b", "a", 8, 10)]


def test_sizes_are_those_that_ran_and_no_point_is_lost():
    def batches(declared, ran, samples=64):
        scenario = {"name": f"b{declared}-s{samples}", "wires": 1, "layers": 1, "training": {"batch_size": declared}}
        return Point(validate(scenario | {"data": {"samples": samples}}), "a", ran, ran / 100, ONE, "a")

    (growth,) = growths([batches(16, 16), batches(64, 32), batches(256, 64)])
    assert growth.sizes == (16, 32, 64)
    assert growth.law.exponent.estimate == pytest.approx(1.0)
    twice = growths([batches(size, size, samples) for size in (1, 2, 4) for samples in (64, 128)])
    assert [(g.group, g.sizes) for g in twice] == [("s64", (1, 2, 4)), ("s128", (1, 2, 4))]


def test_the_sentinel_sees_a_disturbed_round_and_forgives_steady_load():
    quiet = [1.0] * 10
    assert not moved(1.0, 1.05, quiet)
    assert moved(1.0, 1.5, quiet)
    assert moved(1.5, 1.5, quiet)
    assert not moved(2.0, 2.1, [2.0] * 10)
    assert not moved(1.0, 1.0, [2.0] * 10), "a quiet round under load is a good one"


def test_outliers_are_named():
    assert outliers([1, 1.01, 0.99, 1.02, 5.0]).tolist() == [False, False, False, False, True]


@settings(max_examples=30)
@given(st.integers(6, 40))
def test_the_stop_rule_allows_for_children_to_come(n):
    logs = np.linspace(-0.04, 0.04, n)
    width = median_interval(logs).half_width
    assert enough(logs, width, 2, 3)
    assert enough(logs, width / math.sqrt(2.99), 0, 3)
    assert not enough(logs, width * 0.99, 2, 3)
    assert not enough(np.array([]), width, 2, 3)


def test_of_a_single_pair_of_processes_more_is_allowed_for_than_of_several():
    """What they differ by is in every round alike, and no number of rounds shows it."""
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(0.0, 0.005, 30) * 1.2, rng.lognormal(0.0, 0.005, 30)
    alone, several = paired_ratio(a, b, [0] * 30), paired_ratio(a, b, [k % 3 for k in range(30)])
    assert decide(alone) is Speed.NOT_RESOLVED
    assert decide(several) is Speed.SLOWER
    assert decide(paired_ratio(2 * a, b, [0] * 30)) is Speed.SLOWER
