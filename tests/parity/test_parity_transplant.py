"""A transplant lays the difference at the end of a training at the door of the steps that made it."""

import numpy as np
import pytest

from qparity.oracle import NotCovered
from qparity.parity.retraining import Retraining
from qparity.parity.transplant import SEGMENTS, transplant

from .fake import Setting, observe

SGD = Setting(optimizer="sgd")


@pytest.mark.parametrize("step", [0, 5, 8])
def test_the_step_of_a_single_fault_made_it_all(step):
    found = transplant(observe(Setting(optimizer="sgd", fault="gradient x(1+1e-4)", at=step)))
    assert found.starts == tuple(range(10))
    assert int(np.argmax(found.moves)) == step
    assert found.shares[step] > 0.999
    assert f"made in step {step} (100%)" in found.line()
    assert found.total == pytest.approx(max(found.moves))


def test_a_clean_training_has_no_such_step_and_ends_where_the_oracle_does():
    found = transplant(observe(SGD))
    assert found.total < 1e-14
    assert found.shares.max() < 0.7


def test_a_long_training_is_searched_in_segments_first():
    found = transplant(observe(Setting(optimizer="sgd", wires=1, epochs=60, fault="gradient x(1+1e-4)", at=100)))
    assert len(found.moves) < 2 * SEGMENTS
    assert (found.starts[int(np.argmax(found.moves))], "step 100 (100%)" in found.line()) == (100, True)


def test_slots_are_the_backends_own():
    """Adam needs them: a trace without them cannot be continued, and is not."""
    o = observe(Setting(epochs=1))
    with pytest.raises(NotCovered, match="slot m of weight 0 was not recorded"):
        Retraining(o).recorded_state(1)
    trace = dict(o.trace) | {f"slots/{k}/{n}": np.full((3, 4), k + 0.5) for k in (0, 1) for n in "mv"}
    state = Retraining(type(o)(o.outcome, trace, o.expected, o.program)).recorded_state(2)
    assert state.steps == 2
    got = {name: [float(a.value[0]) for a in slots] for name, slots in state.slots.items()}
    assert got == {"m": [0.5, 1.5], "v": [0.5, 1.5], "vhat": [0, 0]}, "without AMSGrad Keras keeps no largest v"
