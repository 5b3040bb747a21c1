"""How large a residual rounding alone can make: one pure function for each stage of a step.

u is the unit roundoff of the declared dtype (2^-53, 2^-24), G the number of elementary operations of the circuit (a Rot
is three), ||O|| the spectral radius of the observable, B the batch size, S = sum_b |dL/df_b| ||O|| the scale of a
gradient (L is the mean loss, so this is the mean over the batch of |dl_b/df| ||O||). Arrays broadcast; all float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "tf32": 2.0**-11}

CIRCUIT = 8
"""Constant of forward and gradient. Measured on correct single-wire re-uploading circuits of 1 to 32 layers, written as
PennyLane writes Rot, batch 1, 20,000 rows, both dtypes: the largest residual is 5.2 u sqrt(G) ||O||, so r <= 0.65. With
4, and a Rot counted as one gate, correct float32 programs reach r = 1.9."""

Numbers = np.ndarray | float


def unit(dtype: str) -> float:
    """Unit roundoff of a declared dtype. Doubled where the reference is no finer than what it judges."""
    shares = dtype == "float64" and np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps
    return UNITS[dtype] * (2 if shares else 1)


def lower_unit(dtype: str, flags: Mapping[str, Any]) -> float | None:
    """Unit roundoff of the next precision class down, which tells a leak from a fault, or None.

    Below float64 that is float32. Below float32 it is TF32 (11 bits in matrix products), where the worker
    says it was on: a class of its own, so that it is named and never silently allowed.
    """
    if dtype == "float64":
        return UNITS["float32"]
    return UNITS["tf32"] if flags.get("tf32") else None


def forward(u: float, gates: int, norm: Numbers) -> Numbers:
    """|f - O.f| <= 8 u sqrt(G) ||O||: every operation rounds, and roundings add like a random walk."""
    return CIRCUIT * u * np.sqrt(max(gates, 1)) * norm


def loss(u: float, terms: Numbers, magnitude: Numbers) -> Numbers:
    """|loss - O.loss(f)| <= 4 u log2(B) mean|l_b|: a pairwise sum rounds log2(B) times.

    `terms` is the number of numbers summed (samples x outputs), at least one rounding is allowed;
    `magnitude` is the mean of their absolute values, equal to mean|l_b| where nothing cancels inside a
    sample.
    """
    return 4 * u * np.maximum(np.log2(terms), 1) * magnitude


def gradient(u: float, gates: int, scale: Numbers, method: str, options: Mapping[str, Any] | None = None) -> Numbers:
    """|g - O.vjp| <= t_g = 8 u sqrt(G) S for exact methods, with the error of the method itself added for
    others.

    Finite differences divide the rounding of f by h and truncate the series: 2u sqrt(G)/h + h |f''|/2.
    The parameter-shift rule evaluates at theta + pi/2, where the shift itself is rounded: u pi |f''|.
    |f''| <= ||O|| for rotations with eigenvalues +-1/2, so it is inside S.
    """
    tolerance = CIRCUIT * u * np.sqrt(max(gates, 1)) * scale
    if method == "finite-diff":
        h = float((options or {}).get("h", 1e-7))
        return tolerance + (2 * u * np.sqrt(max(gates, 1)) / h + h / 2) * scale
    if method == "parameter-shift":
        return tolerance + u * np.pi * scale
    return tolerance


def sgd(u: float, weight: Numbers, momentum: Numbers, step: int) -> Numbers:
    """|w' - O.opt| <= 2u|w| + 4u|lr g|: one rounding to store, one to add, and those of the product.

    With momentum `momentum` is the sum of |lr g| decayed as the slot decays, whose roundings add over about
    ten steps like a random walk (sqrt(min(t, 10))); without momentum it is |lr g| and t counts as 1.
    """
    return 2 * u * np.abs(weight) + 4 * u * momentum * np.sqrt(min(step, 10))


def adam(
    u: float, weight: Numbers, move: Numbers, momentum: Numbers, step: int, beta_1: float, beta_2: float
) -> Numbers:
    """Adam's bound at step t (from 1), with dw the move and a_t M / (sqrt(v) + eps) given as `momentum`.

    2u|w| + 4u(|dw| + momentum sqrt(min(t, 10)))      storing w; rounding of m, which may cancel where M
    does not + 2u|dw| (b2^t/(1-b2^t) + b1^t/(1-b1^t))          cancellation in the bias corrections + u|dw|
    min(t, 500)                               v keeps its rounding errors for 1/(1-b2) = 1000 steps
    """
    size = np.abs(move)
    b1, b2 = beta_1**step, beta_2**step
    corrections = b2 / (1 - b2) + b1 / (1 - b1)
    return (
        2 * u * np.abs(weight)
        + 4 * u * (size + momentum * np.sqrt(min(step, 10)))
        + 2 * u * size * corrections
        + u * size * min(step, 500)
    )
