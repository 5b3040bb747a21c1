"""Every law sees what is off by little; `tests/backend/test_optimizer_laws.py` compares it with Keras' own."""

import numpy as np
import pytest

from qparity.oracle import law_of
from qparity.oracle.optimizers import LAWS
from qparity.parity.tolerances import unit
from tests.oracle.moves import GRADIENTS, WEIGHTS, share


@pytest.mark.parametrize("name", LAWS)
def test_a_learning_rate_off_by_little_is_seen(name):
    weights = [w / 100 for w in WEIGHTS]  # what is judged is the move: small weights leave its digits in

    def stepped(rate):
        law = law_of({"name": name, "learning_rate": rate}, "float64", np.longdouble, unit("float64"))
        return law, law.step(law.start(weights), weights, GRADIENTS[0])[1]

    (law, new), (_, moved) = stepped(0.03), stepped(0.03 * (1 + 1e-10))
    assert max(share(b.value, a, law) for a, b in zip(new, moved, strict=True)) > 10
