"""Adafactor (Shazeer & Stern, arXiv:1804.04235): second moments of a matrix as row and column averages."""

from __future__ import annotations

import numpy as np

from qparity.oracle.bounded import Bounded, maximum, mean, mixed, power, root
from qparity.oracle.optimizers.law import Argument, Law, Slots, small


class Adafactor(Law):
    """`keras/src/optimizers/adafactor.py`."""

    name = "adafactor"
    keras = "Adafactor"
    whole = True
    arguments = {  # noqa: RUF012
        "beta_2_decay": Argument(-0.8, "exponent of the second moment's decay", -10.0, 0.0),
        "epsilon_1": small(1e-30, "added to the squared gradient"),
        "epsilon_2": small(1e-3, "least scale of a weight"),
        "clip_threshold": Argument(1.0, "most of a move's root mean square", 0.0, 1e6, open_least=True),
        "relative_step": Argument(True, "a rate of at most 1 / sqrt(step)"),
    }
    slots = {"r": "_r", "c": "_c", "v": "_v"}  # noqa: RUF012

    def start_slot(self, name: str, weight: np.ndarray) -> Bounded:
        """Rows, columns, and what is made of both; a vector has no rows and columns."""
        shapes = {"r": weight.shape[:-1], "c": (*weight.shape[:-2], *weight.shape[-1:]), "v": weight.shape}
        shape = shapes[name] if weight.ndim > 1 or name == "v" else ()
        return Bounded.exact(np.zeros(shape, self.real), self.unit)

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """The move's root mean square is clipped, and scaled by the weight's."""
        step = self.constant(t)
        slow = 1 / root(step)
        declared = self.constant(self.number("learning_rate"))
        rate = declared if declared.value < slow.value else slow
        scale = maximum(_rms(w), self.number("epsilon_2")) * rate
        square = g * g + self.number("epsilon_1")
        left = power(step, self.number("beta_2_decay"))
        gain, (r, c, v) = self.real(left.value), slots
        if w.value.ndim > 1:
            r = self._average(r, mean(square, -1), gain, left)
            c = self._average(c, mean(square, -2), gain, left)
            v = (r / mean(r, -1, keepdims=True))[..., None] * c[..., None, :]
        else:
            v = self._average(v, square, gain, left)
        move = g / root(v)
        move = move / maximum(_rms(move) / self.number("clip_threshold"), self.real(1))
        return w - scale * move, (r, c, v)

    def _average(self, old: Bounded, new: Bounded, gain: np.floating, left: Bounded) -> Bounded:
        """`mixed`, with a gain that is rounded itself."""
        found = mixed(old, new, gain)
        return Bounded(found.value, found.error + left.error * np.abs(old.value + new.value), self.unit)


def _rms(x: Bounded) -> Bounded:
    return root(mean(x * x))
