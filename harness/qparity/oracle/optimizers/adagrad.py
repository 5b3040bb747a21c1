"""Adagrad (Duchi, Hazan & Singer, JMLR 12, 2011): w -= rate g / sqrt(sum of g^2 + eps)."""

from __future__ import annotations

import numpy as np

from qparity.oracle.bounded import Bounded, root
from qparity.oracle.optimizers.law import Argument, Law, Slots, small


class Adagrad(Law):
    """`keras/src/optimizers/adagrad.py`."""

    name = "adagrad"
    keras = "Adagrad"
    arguments = {  # noqa: RUF012
        "initial_accumulator_value": Argument(0.1, "where the sum of squares starts", 0.0, 1e6),
        "epsilon": small(),
    }
    slots = {"accumulator": "_accumulators"}  # noqa: RUF012

    def start_slot(self, name: str, weight: np.ndarray) -> Bounded:
        """The sum starts at a number of its own."""
        value = self.number("initial_accumulator_value")
        return Bounded.exact(np.full(weight.shape, value, self.real), self.unit)

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The sum only grows."""
        accumulator = slots[0] + g * g
        move = g * self.number("learning_rate") / root(accumulator + self.number("epsilon"))
        return w - move, (accumulator,)
