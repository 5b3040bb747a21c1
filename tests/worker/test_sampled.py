"""The sampler sees where a thread is, and for how long."""

import time

from qparity.worker.sampled import Sampler, stack_of


def dawdle(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(50))


def test_a_function_that_takes_most_of_the_time_is_in_most_samples():
    sampler = Sampler()
    with sampler.sampling():
        dawdle(0.3)
    time.sleep(0.1)
    found = sampler.profile(7)
    assert found.steps == 7
    assert found.samples >= 20, "of at most 300: the machine may be busy"
    assert 0.25 < found.seconds < 5
    inside = sum(count for stack, count in found.named if f"{__name__}:dawdle" in stack)
    assert inside > 0.8 * found.samples


def test_two_stretches_add_up():
    sampler = Sampler()
    for _ in range(2):
        with sampler.sampling():
            dawdle(0.05)
    assert 0.1 <= sampler.profile(1).seconds < 2


def test_a_stack_ends_with_the_innermost_function():
    import sys

    def inner():
        return stack_of(sys._getframe())

    assert inner()[-1] == f"{__name__}:inner"
    assert inner()[-2].endswith(":test_a_stack_ends_with_the_innermost_function")
