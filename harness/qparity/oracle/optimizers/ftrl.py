"""Follow the regularised leader (McMahan et al., KDD 2013): per-coordinate rates, l1 sets weights to zero."""

from __future__ import annotations

import numpy as np

from qparity.oracle.bounded import Bounded, clipped, power
from qparity.oracle.optimizers.law import Argument, Law, Slots


class Ftrl(Law):
    """`keras/src/optimizers/ftrl.py`."""

    name = "ftrl"
    keras = "Ftrl"
    arguments = {  # noqa: RUF012
        "learning_rate_power": Argument(-0.5, "how the rate falls with the sum of squares", -10.0, 0.0),
        "initial_accumulator_value": Argument(0.1, "where the sum of squares starts", 0.0, 1e6),
        "l1_regularization_strength": Argument(0.0, "l1", 0.0, 1e6),
        "l2_regularization_strength": Argument(0.0, "l2", 0.0, 1e6),
        "l2_shrinkage_regularization_strength": Argument(0.0, "l2 on the gradient alone", 0.0, 1e6),
        "beta": Argument(0.0, "further l2, over the rate", 0.0, 1e6),
    }
    slots = {"accumulator": "_accumulators", "linear": "_linears"}  # noqa: RUF012

    def start_slot(self, name: str, weight: np.ndarray) -> Bounded:
        """The sum of squares starts at a number of its own."""
        value = self.number("initial_accumulator_value") if name == "accumulator" else self.real(0)
        return Bounded.exact(np.full(weight.shape, value, self.real), self.unit)

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The weight is the leader of all that was seen."""
        rate, exponent = self.number("learning_rate"), -self.number("learning_rate_power")
        l1 = self.number("l1_regularization_strength")
        l2 = self.number("l2_regularization_strength") + self.number("beta") / (2 * rate)
        shrunk = g + w * (2 * self.number("l2_shrinkage_regularization_strength"))
        earlier, linear = slots
        accumulator = earlier + g * g
        now, before = power(accumulator, exponent), power(earlier, exponent)
        linear = (linear + (shrunk - (now - before) / rate * w)).stored()
        quadratic = now / rate + 2 * l2
        return (clipped(linear, -l1, l1) - linear) / quadratic, (accumulator, linear)
