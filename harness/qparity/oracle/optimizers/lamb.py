"""LAMB (You et al., arXiv:1904.00962): Adam's move, scaled for each weight by the ratio of its norm to the move's."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, mixed, power, root, total
from qparity.oracle.optimizers.adam import MOMENTS
from qparity.oracle.optimizers.law import Law, Slots


class Lamb(Law):
    """`keras/src/optimizers/lamb.py`."""

    name = "lamb"
    keras = "Lamb"
    whole = True
    arguments = MOMENTS
    slots = {"m": "_momentums", "v": "_velocities"}  # noqa: RUF012

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The ratio is one where a norm is zero."""
        m, v = slots
        m = mixed(m, g, self.gain("beta_1"))
        v = mixed(v, g * g, self.gain("beta_2"))
        b1, b2 = (power(self.constant(self.number(name)), t) for name in ("beta_1", "beta_2"))
        move = m / (1 - b1) / (root(v / (1 - b2)) + self.number("epsilon"))
        w_norm, move_norm = root(total(w * w)), root(total(move * move))
        ratio = w_norm / move_norm if w_norm.value > 0 and move_norm.value > 0 else self.constant(1.0)
        return w - ratio * self.number("learning_rate") * move, (m, v)
