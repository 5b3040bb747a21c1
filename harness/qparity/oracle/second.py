"""Derivatives of exact gradients, by differences in the reference's precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STENCIL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
"""Central differences of eighth order (Fornberg, Math. Comp. 51, 699): of the values 1, 2, ... steps to either side."""
STEP = 2.0**-6
"""In units of 1 / frequency: the truncation is 2^-48 / 630 of the derivative's bound, far below float64's rounding."""

GAIN = 64.0
"""Of a step half as wide: 2^8 in truncation, and nothing in rounding."""


def derivative(
    gradient: Callable[[np.floating], Sequence[np.ndarray]], frequency: float, real: type
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The derivative at 0 of arrays that are functions of a number, and how far it may be off.

    Args:
        gradient: the function, in `real`; a trigonometric polynomial, or as smooth as one.
        frequency: its largest frequency.
        real: float64 or longdouble.

    Returns:
        one array each; the error is a share of the distance from the derivative with steps twice as wide.
    """
    wide, narrow = (_by_steps(gradient, real(size * STEP / max(frequency, 1.0))) for size in (2.0, 1.0))
    return narrow, [np.abs(a - b).astype(np.float64) / GAIN for a, b in zip(wide, narrow, strict=True)]


def _by_steps(gradient: Callable[[np.floating], Sequence[np.ndarray]], step: np.floating) -> list[np.ndarray]:
    real = type(step)
    total: list[np.ndarray] = []
    for k, exact in enumerate(STENCIL, start=1):
        share = real(round(exact * 840)) / real(840)  # all are multiples of 1/840
        moves = [share * (up - down) / step for up, down in zip(gradient(k * step), gradient(-k * step), strict=True)]
        total = [a + b for a, b in zip(total, moves, strict=True)] if total else moves
    return total
