"""One circle inside another, to be told apart."""

import numpy as np

from qparity.data.dataset import Dataset, generator, labelled, real


def circles(samples: int, seed: int, *, noise: float = 0.05, factor: float = 0.5, labels: str = "signs") -> Dataset:
    """x (samples, 2) in about [-pi, pi], y (samples, 1) is -1 outside and +1 inside, in turn.

    `factor` is the inner radius and `noise` a standard deviation, in units of the outer radius.
    `labels = "classes"` makes y 0 and 1, `"one-hot"` (samples, 2).
    """
    noise, factor = real("noise", noise, 0, 10), real("factor", factor, 0, 1)
    rng = generator(seed)
    angle = rng.uniform(0, 2 * np.pi, samples)
    inner = np.arange(samples) % 2 == 1
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(inner, factor, 1.0)[:, None]
    return labelled(np.pi * (points + noise * rng.standard_normal((samples, 2))), inner, labels)
