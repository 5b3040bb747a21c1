"""Adam (Kingma & Ba, arXiv:1412.6980): w -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps).

Epsilon stands outside the bias correction (the epsilon-hat of the paper). AdamW differs in its weight decay's default.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qparity.oracle.bounded import Bounded, maximum, mixed, power, root
from qparity.oracle.optimizers.law import SHARED, Argument, Law, Slots, decay, small

MOMENTS = {
    "beta_1": decay(0.9, "decay of the first moment"),
    "beta_2": decay(0.999, "decay of the second moment"),
    "epsilon": small(text="outside the bias correction"),
}


class Adam(Law):
    """`keras/src/optimizers/adam.py`."""

    name = "adam"
    keras = "Adam"
    arguments = MOMENTS | {"amsgrad": Argument(False, "the AMSGrad form")}
    reach = 1.0
    slots = {"m": "_momentums", "v": "_velocities", "vhat": "_velocity_hats"}  # noqa: RUF012

    def kept(self) -> tuple[str, ...]:
        """The largest v so far is AMSGrad's."""
        return ("m", "v", "vhat") if self.number("amsgrad") else ("m", "v")

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """`vhat` is `v` without AMSGrad."""
        m, v, top = slots
        m = mixed(m, g, self.gain("beta_1"))
        v = mixed(v, g * g, self.gain("beta_2"))
        top = maximum(top, v) if self.number("amsgrad") else v
        rate = corrected_rate(self, t, "beta_1", "beta_2")
        return w - m * rate / (root(top) + self.number("epsilon")), (m, v, top)


def corrected_rate(law: Law, t: int, first: str, second: str) -> Bounded:
    """rate sqrt(1 - b2^t) / (1 - b1^t), the bias-corrected learning rate of step t."""
    b1, b2, rate = (law.number(name) for name in (first, second, "learning_rate"))
    return _corrected(b1, b2, rate, t, law.unit, law.real)


@lru_cache(maxsize=1 << 12)
def _corrected(b1: np.floating, b2: np.floating, rate: np.floating, t: int, unit: float, real: type) -> Bounded:
    """The same in every training with these numbers, `real` being their type."""
    one, two = (power(Bounded.exact(np.asarray(b, real), unit), t) for b in (b1, b2))
    return root(1 - two) * rate / (1 - one)


class AdamW(Adam):
    """`keras/src/optimizers/adamw.py` (Loshchilov & Hutter, arXiv:1711.05101)."""

    name = "adamw"
    keras = "AdamW"
    shared = SHARED | {"weight_decay": Argument(0.004, "decoupled weight decay", 0.0, 1e6)}
