"""Adamax (Kingma & Ba, arXiv:1412.6980, section 7.1): w -= rate m / ((1 - b1^t) (u + eps)), u the decayed maximum."""

from __future__ import annotations

from collections.abc import Mapping

from qparity.oracle.bounded import Bounded, absolute, maximum, mixed, power
from qparity.oracle.optimizers.adam import MOMENTS
from qparity.oracle.optimizers.law import Law


class Adamax(Law):
    """`keras/src/optimizers/adamax.py`."""

    name = "adamax"
    keras = "Adamax"
    arguments = MOMENTS
    slots = {"m": "_m", "u": "_u"}  # noqa: RUF012

    def update(
        self, t: int, w: Bounded, g: Bounded, slots: Mapping[str, Bounded], path: str
    ) -> tuple[Bounded, dict[str, Bounded]]:
        """The norm is the largest gradient so far, decayed."""
        m = mixed(slots["m"], g, self.gain("beta_1"))
        u = maximum(slots["u"] * self.number("beta_2"), absolute(g))
        correction = 1 - power(self.constant(self.number("beta_1")), t)
        move = m * self.number("learning_rate") / (correction * (u + self.number("epsilon")))
        return w - move, {"m": m, "u": u}
