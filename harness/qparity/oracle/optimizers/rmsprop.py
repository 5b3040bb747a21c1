"""RMSprop (Hinton, lecture 6e): w -= rate g / sqrt(v + eps), centred and with momentum if asked."""

from __future__ import annotations

from qparity.oracle.bounded import Bounded, mixed, root
from qparity.oracle.optimizers.law import Argument, Law, Slots, decay, small


class RMSprop(Law):
    """`keras/src/optimizers/rmsprop.py`: epsilon inside the root."""

    name = "rmsprop"
    keras = "RMSprop"
    arguments = {  # noqa: RUF012
        "rho": decay(0.9, "decay of the squared gradient's average"),
        "momentum": Argument(0.0, "momentum", 0.0, 1.0),
        "epsilon": small(),
        "centered": Argument(False, "divide by the variance, not by the mean square"),
    }
    slots = {"v": "_velocities", "momentum": "_momentums", "mean": "_average_gradients"}  # noqa: RUF012

    def kept(self) -> tuple[str, ...]:
        """Only what the arguments ask for."""
        asked = {"momentum": self.number("momentum"), "mean": self.number("centered")}
        return ("v", *(name for name, use in asked.items() if use))

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """Slots that Keras does not have stay zero."""
        v, momentum, average = slots
        v = mixed(v, g * g, self.gain("rho"))
        inside = v
        if self.number("centered"):
            average = mixed(average, g, self.gain("rho"))
            inside = v - average * average
        move = g * self.number("learning_rate") / root(inside + self.number("epsilon"))
        if mu := self.number("momentum"):
            momentum = move = momentum * mu + move
        return w - move, (v, momentum, average)
