"""Points at which a quantum function is tried: generic ones, at which nothing vanishes, cancels or coincides.

Weights and features lie strictly between 0 and 1, where logarithms, square roots, inverse cosines and probabilities
are defined, in binary fractions, so that sums and products of a few of them are exact. A function that refuses them
is offered what else features can be: a unit vector, bits, whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

KINDS = ("reals", "unit", "bits", "integers")
_LOW, _HIGH, _BITS = 410, 3686, 12  # a tenth to nine tenths, in units of 2^-12


def weights(shapes: Mapping[str, tuple[int, ...]], number: int = 0) -> dict[str, np.ndarray]:
    """Weight arrays of these shapes, float64; all different for another `number`."""
    rng = np.random.default_rng([number, 0])
    return {name: _reals(rng, shape) for name, shape in shapes.items()}


def rows(kind: str, features: int, count: int) -> np.ndarray:
    """`count` samples (count, features): float64, or int64 for `integers`. The first two differ in every feature."""
    rng = np.random.default_rng([features, 1])
    if kind in ("bits", "integers"):
        bits = rng.integers(0, 2, (count, features))
        bits[1:2] = 1 - bits[:1]
        return bits if kind == "integers" else bits.astype(np.float64)
    samples = np.stack([_reals(rng, (features,)) for _ in range(count)])
    return samples / np.linalg.norm(samples, axis=1, keepdims=True) if kind == "unit" else samples


def _reals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.integers(_LOW, _HIGH, shape) * 2 + 1) / 2.0 ** (_BITS + 1)
