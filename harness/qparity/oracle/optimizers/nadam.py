"""Nadam (Dozat, 2016): Adam with Nesterov momentum, its momentum warmed up as b1 (1 - 0.96^t / 2)."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, mixed, power, root
from qparity.oracle.optimizers.adam import MOMENTS
from qparity.oracle.optimizers.law import Law, Slots, quantise


class Nadam(Law):
    """`keras/src/optimizers/nadam.py`, which holds 1 - beta in the variables' dtype."""

    name = "nadam"
    keras = "Nadam"
    arguments = MOMENTS
    slots = {"m": "_momentums", "v": "_velocities"}  # noqa: RUF012

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The product of the momenta so far corrects the bias."""
        b1, b2 = self.number("beta_1"), self.number("beta_2")
        m, v = slots
        m, v = mixed(m, g, 1 - b1), mixed(v, g * g, 1 - b2)
        product = self.constant(1.0)
        for step in range(1, t + 1):
            product = product * self._momentum(step)
        now, coming = self._momentum(t), self._momentum(t + 1)
        lead = coming * m / (1 - product * coming) + (1 - now) * g / (1 - product)
        spread = root(v / (1 - power(self.constant(b2), t)))
        return w - lead * self.number("learning_rate") / (spread + self.number("epsilon")), (m, v)

    def _momentum(self, step: int) -> Bounded:
        warm = power(self.constant(quantise(0.96, self.dtype)), step) * 0.5
        return (1 - warm) * self.number("beta_1")
