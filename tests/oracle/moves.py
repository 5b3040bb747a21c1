"""Weights and gradients that a law of an optimizer is tried on, and how much of its bound a difference uses."""

import numpy as np

STEPS = 4
rng = np.random.default_rng(0)
SHAPES = [(), (3, 5), (2, 2, 3)]
WEIGHTS = [rng.normal(size=shape) for shape in SHAPES]
GRADIENTS = [[rng.normal(size=shape) * 10.0 ** rng.integers(-4, 1) for shape in SHAPES] for _ in range(STEPS)]


def share(got, bounded, law):
    """How much of the bound a difference uses."""
    off = np.abs(np.asarray(got, np.longdouble) - bounded.value).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(off == 0, 0.0, off / (law.unit * bounded.error)), initial=0))
