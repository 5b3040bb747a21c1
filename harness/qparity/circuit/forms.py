"""How an angle depends on weights and features: a quadratic form of them, or an expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qparity.oracle.expressions import Expression, Kink, bounds, values

TOLERANCE = 1e-12
ROUNDED = 2.0**-50
"""What a computed number may be off, in units of its running error."""


@dataclass(frozen=True, slots=True)
class Form:
    """constant + sum linear[i] v_i + sum products[i, k] v_i v_k."""

    constant: float
    linear: dict[int, float]
    products: dict[tuple[int, int], float]

    def agrees(self, point: np.ndarray, value: float) -> bool:
        """Whether the form gives this value but for rounding, at the scale of its largest terms."""
        terms = [self.constant]
        terms += [slope * point[i] for i, slope in self.linear.items()]
        terms += [slope * point[i] * point[k] for (i, k), slope in self.products.items()]
        scale = 1.0 + sum(abs(term) for term in terms)
        return bool(np.isfinite(scale) and abs(sum(terms) - value) <= TOLERANCE * scale)


@dataclass(frozen=True, slots=True)
class Computed:
    """An angle as the function computes it."""

    nodes: Expression
    weights: int

    def agrees(self, point: np.ndarray, value: float) -> bool:
        """Whether it gives this value but for rounding; anything goes where neither is a number."""
        columns = {"w": point[: self.weights, None], "i": point[self.weights :, None]}
        try:
            found = bounds(self.nodes, columns)
        except Kink:  # or not finite
            mine = float(np.ravel(values(self.nodes, columns)[-1])[0])
            return not (np.isfinite(mine) or np.isfinite(value)) or abs(mine - value) <= TOLERANCE * (1 + abs(mine))
        allowed = TOLERANCE * (1 + abs(found.value[0])) + ROUNDED * found.error[0]
        return bool(abs(found.value[0] - value) <= allowed)

    def written(self) -> list[dict[str, Any]]:
        """Its nodes as the gate program has them."""
        return [
            {"name": node.name, "number": node.number}
            if node.name == "number"
            else {"name": node.name, "of": [*node.of]}
            for node in self.nodes
        ]
