"""Adadelta (Zeiler, arXiv:1212.5701): w -= rate sqrt(d + eps) g / sqrt(v + eps), d the average of squared moves."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, mixed, root
from qparity.oracle.optimizers.law import Law, Slots, decay, small


class Adadelta(Law):
    """`keras/src/optimizers/adadelta.py`."""

    name = "adadelta"
    keras = "Adadelta"
    arguments = {"rho": decay(0.95, "decay of both averages"), "epsilon": small()}  # noqa: RUF012
    slots = {"v": "_accumulated_grads", "delta": "_accumulated_delta_vars"}  # noqa: RUF012

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The move is made with the average of the moves before it."""
        epsilon, gain = self.number("epsilon"), self.gain("rho")
        v, moves = slots
        v = mixed(v, g * g, gain)
        move = root(moves + epsilon) * g / root(v + epsilon)
        return w - move * self.number("learning_rate"), (v, mixed(moves, move * move, gain))
