"""Muon (Jordan et al., 2024): the momentum of a matrix, made nearly orthogonal by a Newton-Schulz iteration.

What is no matrix, and embeddings, are trained by AdamW. Matrices are scaled as in Moonlight (arXiv:2502.16982).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qparity.oracle.bounded import Bounded, mixed, root, total
from qparity.oracle.optimizers.adam import corrected_rate
from qparity.oracle.optimizers.law import SHARED, Argument, Law, Slots, decay, small


class Muon(Law):
    """`keras/src/optimizers/muon.py`."""

    name = "muon"
    keras = "Muon"
    whole = True
    arguments = {  # noqa: RUF012
        "adam_beta_1": decay(0.9, "decay of the first moment of what is no matrix"),
        "adam_beta_2": decay(0.999, "decay of the second moment of what is no matrix"),
        "adam_weight_decay": Argument(0.004, "weight decay of what is no matrix", 0.0, 1e6),
        "epsilon": small(text="outside the bias correction"),
        "muon_a": Argument(3.4445, "coefficient of the iteration", None),
        "muon_b": Argument(-4.7750, "coefficient of the iteration", None),
        "muon_c": Argument(2.0315, "coefficient of the iteration", None),
        "adam_lr_ratio": Argument(1.0, "rate of what is no matrix over that of matrices", 0.0, 1e6),
        "momentum": Argument(0.95, "momentum", 0.0, 1.0),
        "ns_steps": Argument(5, "iterations", 1, 100),
        "nesterov": Argument(True, "Nesterov momentum"),
        "rms_rate": Argument(0.2, "root mean square of a matrix's move over the rate", 0.0, 1e6),
    }
    slots = {"m": "momentums", "v": "adam_velocities"}  # noqa: RUF012
    shared = SHARED | {"weight_decay": Argument(0.004, "decoupled weight decay", 0.0, 1e6)}

    def decay_of(self, weight: Bounded, path: str) -> Any:
        """Matrices and the others have a decay each."""
        return self.number("weight_decay" if _is_matrix(weight, path) else "adam_weight_decay")

    def update(self, t: int, w: Bounded, g: Bounded, slots: Slots, path: str) -> tuple[Bounded, Slots]:
        """A matrix moves along its orthogonalised momentum, anything else as Adam moves it."""
        m, v = slots
        if not _is_matrix(w, path):
            m = mixed(m, g, self.gain("adam_beta_1"))
            v = mixed(v, g * g, self.gain("adam_beta_2"))
            rate = corrected_rate(self, t, "adam_beta_1", "adam_beta_2") * self.number("adam_lr_ratio")
            return w - m * rate / (root(v) + self.number("epsilon")), (m, v)
        mu = self.number("momentum")
        m = (m * mu + g).stored()
        move = self._orthogonal(g + m * mu if self.number("nesterov") else m)
        scale = self.real(np.sqrt(max(w.shape))) * self.number("rms_rate")
        return w - move * self.number("learning_rate") * scale, (m, v)

    def _orthogonal(self, x: Bounded) -> Bounded:
        a, b, c = (self.number(f"muon_{letter}") for letter in "abc")
        tall = x.shape[0] > x.shape[1]
        x = x.transposed if tall else x
        x = x / (root(total(x * x)) + 1e-7)
        for _ in range(int(self.declared["ns_steps"])):
            square = x @ x.transposed
            x = x * a + (square * b + (square * c) @ square) @ x
        return x.transposed if tall else x


def _is_matrix(weight: Bounded, path: str) -> bool:
    return weight.value.ndim == 2 and "embedding" not in path.lower()
