"""The model of a scenario, as a worker builds it and as its user would."""

import numpy as np

from qparity.circuit.model import build_model
from qparity.scenario.schema import Scenario


def test_weights_that_are_set_anyway_are_not_drawn():
    scenario = Scenario(name="a", seed=3, layers=2)
    (drawn,), (left,) = (
        [np.asarray(w) for w in build_model(scenario, 1, 1, drawn=each).get_weights()] for each in (True, False)
    )
    assert drawn.shape == left.shape
    assert drawn.dtype == left.dtype
    assert len(np.unique(drawn)) == drawn.size > 1
    assert not left.any()
