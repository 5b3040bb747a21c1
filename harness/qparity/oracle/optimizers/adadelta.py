"""Adadelta (Zeiler, arXiv:1212.5701): w -= rate sqrt(d + eps) g / sqrt(v + eps), d the average of squared moves."""

from __future__ import annotations

from collections.abc import Mapping

from qparity.oracle.bounded import Bounded, mixed, root
from qparity.oracle.optimizers.law import Law, decay, small


class Adadelta(Law):
    """`keras/src/optimizers/adadelta.py`."""

    name = "adadelta"
    keras = "Adadelta"
    arguments = {"rho": decay(0.95, "decay of both averages"), "epsilon": small()}  # noqa: RUF012
    slots = {"v": "_accumulated_grads", "delta": "_accumulated_delta_vars"}  # noqa: RUF012

    def update(
        self, t: int, w: Bounded, g: Bounded, slots: Mapping[str, Bounded], path: str
    ) -> tuple[Bounded, dict[str, Bounded]]:
        """The move is made with the average of the moves before it."""
        epsilon, gain = self.number("epsilon"), self.gain("rho")
        v = mixed(slots["v"], g * g, gain)
        move = root(slots["delta"] + epsilon) * g / root(v + epsilon)
        return w - move * self.number("learning_rate"), {"v": v, "delta": mixed(slots["delta"], move * move, gain)}
