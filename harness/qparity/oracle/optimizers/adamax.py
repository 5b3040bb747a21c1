"""Adamax (Kingma & Ba, arXiv:1412.6980, section 7.1): w -= rate m / ((1 - b1^t) (u + eps)), u the decayed maximum."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, absolute, maximum, mixed, power
from qparity.oracle.optimizers.adam import MOMENTS
from qparity.oracle.optimizers.law import Law, Slots


class Adamax(Law):
    """`keras/src/optimizers/adamax.py`."""

    name = "adamax"
    keras = "Adamax"
    arguments = MOMENTS
    slots = {"m": "_m", "u": "_u"}  # noqa: RUF012

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The norm is the largest gradient so far, decayed."""
        m, u = slots
        m = mixed(m, g, self.gain("beta_1"))
        u = maximum(u * self.number("beta_2"), absolute(g))
        correction = 1 - power(self.constant(self.number("beta_1")), t)
        move = m * self.number("learning_rate") / (correction * (u + self.number("epsilon")))
        return w - move, (m, u)
