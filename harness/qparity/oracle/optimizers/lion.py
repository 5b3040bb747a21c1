"""Lion (Chen et al., arXiv:2302.06675): w -= rate sign(b1 m + (1 - b1) g)."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, mixed, sign
from qparity.oracle.optimizers.law import Law, Slots, decay


class Lion(Law):
    """`keras/src/optimizers/lion.py`, which holds 1 - beta in the variables' dtype."""

    name = "lion"
    keras = "Lion"
    arguments = {  # noqa: RUF012
        "beta_1": decay(0.9, "how much of the momentum is in the move"),
        "beta_2": decay(0.99, "decay of the momentum"),
    }
    slots = {"m": "_momentums"}  # noqa: RUF012

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """Where the mixture is zero but for rounding, the sign may fall either way."""
        one = self.real(1)
        lead = mixed(slots[0], g, one - self.number("beta_1"))
        m = mixed(slots[0], g, one - self.number("beta_2"))
        return w - sign(lead) * self.number("learning_rate"), (m,)
