"""Two interleaving half circles, to be told apart."""

import numpy as np

from qparity.data.dataset import Dataset, generator, labelled, real


def moons(samples: int, seed: int, *, noise: float = 0.1, labels: str = "signs") -> Dataset:
    """x (samples, 2) in about [-pi, pi], y (samples, 1) is -1 on the upper moon, +1 on the lower, in turn.

    `noise` is the standard deviation in units of a moon's radius. `labels`: see circles.
    """
    noise = real("noise", noise, 0, 10)
    rng = generator(seed)
    angle = rng.uniform(0, np.pi, samples)
    lower = np.arange(samples) % 2 == 1
    across = np.where(lower, 1 - np.cos(angle), np.cos(angle))
    up = np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    x = np.stack([across - 0.5, up - 0.25], axis=1) + noise * rng.standard_normal((samples, 2))
    return labelled(x * (np.pi / 1.5), lower, labels)
