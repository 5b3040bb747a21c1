"""Gradient descent, with momentum m = mu m - rate g; w += m, or w += mu m - rate g (Nesterov)."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded
from qparity.oracle.optimizers.law import Argument, Law, Slots


class SGD(Law):
    """`keras/src/optimizers/sgd.py`."""

    name = "sgd"
    keras = "SGD"
    rate = Argument(0.01, "step size", 0.0, 1e6, open_least=True)
    arguments = {  # noqa: RUF012
        "momentum": Argument(0.0, "momentum", 0.0, 1.0),
        "nesterov": Argument(False, "Nesterov momentum"),
    }
    reach = None
    slots = {"momentum": "momentums"}  # noqa: RUF012

    def kept(self) -> tuple[str, ...]:
        """No slot without momentum."""
        return ("momentum",) if self.number("momentum") else ()

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """Without momentum the slot stays zero: Keras has none."""
        rate, mu = self.number("learning_rate"), self.number("momentum")
        if not mu:
            return w - g * rate, slots
        m = slots[0] * mu - g * rate
        move = m * mu - g * rate if self.number("nesterov") else m
        return w + move, (m,)
