"""How large a residual rounding alone can make: one pure function for each stage of a step.

u is the unit roundoff of the declared dtype (2^-53, 2^-24), G the number of elementary operations of the circuit (a Rot
is three), more where angles are large (oracle/rounding.py), ||O|| the spectral radius of the observable, B the batch
size, S = sum_b |dL/df_b| ||O|| the scale of a gradient (L is the mean loss, so this is the mean over the batch of
|dl_b/df| ||O||). Arrays broadcast; all float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qparity.oracle.rounding import CIRCUIT

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "tf32": 2.0**-11, "float16": 2.0**-11, "bfloat16": 2.0**-8}
DIGITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
"""Binary digits of a number's mantissa, the leading one counted."""

STEPS = {"finite-diff": 1e-7, "spsa": 1e-5}
"""PennyLane's default step h of the methods that divide by one."""

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
    return UNITS["tf32"] if dtype == "float32" and flags.get("tf32") else None


def forward(u: float, gates: Numbers, norm: Numbers) -> Numbers:
    """|f - O.f| <= 6 u sqrt(G) ||O||: every operation rounds, and roundings add like a random walk."""
    return CIRCUIT * u * np.sqrt(gates) * norm


SMOOTHING = 1e-14
"""What PennyLane adds to the probabilities of a channel (`qml.math.eps`), so that their roots have derivatives."""


def loss(u: float, terms: Numbers, magnitude: Numbers) -> Numbers:
    """|loss - O.loss(f)| <= 4 u log2(B) mean|l_b|: a pairwise sum rounds log2(B) times.

    `terms` is the number of numbers summed (samples x outputs), at least one rounding is allowed;
    `magnitude` is the mean of their absolute values, equal to mean|l_b| where nothing cancels inside a
    sample.
    """
    return 4 * u * np.maximum(np.log2(terms), 1) * magnitude


def added(scale: Numbers) -> Numbers:
    """What a term that Keras adds to loss or gradient may round, in units of u: its own sum, and adding it."""
    return 4 * scale


def gradient(
    u: float, gates: Numbers, scale: Numbers, method: str, options: Mapping[str, Any] | None = None
) -> Numbers:
    """|g - O.vjp| <= t_g = 6 u sqrt(G) S for exact methods, with the error of the method itself added for others.

    Finite differences, and SPSA between variants that draw the same directions, divide the rounding of two predictions
    by h and truncate the series: 12 u sqrt(G)/h + h |f''|/2.
    The parameter-shift rule evaluates at theta + pi/2, where the shift itself is rounded: u pi |f''|.
    |f''| <= ||O|| for rotations with eigenvalues +-1/2, so it is inside S.
    """
    tolerance = CIRCUIT * u * np.sqrt(gates) * scale
    if method in STEPS:
        h = float((options or {}).get("h", STEPS[method]))
        return tolerance + 2 * tolerance / h + h / 2 * scale
    if method == "parameter-shift":
        return tolerance + u * np.pi * scale
    return tolerance


MODEL = 24
"""Constant of a whole model's predictions, loss and slopes, in units of what one rounding of everything moves them."""


def model(u: float, condition: Numbers, error: Numbers = 0.0) -> Numbers:
    """|f - reference| <= 24 u condition + error: a whole model's numbers, whatever its layers do.

    `condition` is measured: how far a disturbance of every weight, input, layer output and result of an operation by a
    relative 1 would move the number, from a few random disturbances of size 2^-22 (worker/reference). The backward pass
    rounds too, and the largest of three random moves may be well below the largest there is: hence 24
    (benchmarks/clean_models.py prints what correct models use). `error` is that of the reference's differences.
    """
    return MODEL * u * condition + error
