"""Small black-and-white images of vertical bars or horizontal stripes, to be told apart."""

import numpy as np

from qparity.data.dataset import Dataset, generator, labelled, real, whole


def bars_and_stripes(samples: int, seed: int, *, size: int = 2, noise: float = 0.0, labels: str = "signs") -> Dataset:
    """x (samples, size * size) has a pixel, 0 or pi, a feature; y (samples, 1) is +1 for bars, else -1.

    Bars and stripes alternate. The empty and the full image are both, and are left out. `noise` is a standard
    deviation in radians. `labels`: see circles.
    """
    size, noise = whole("size", size, 2, 5), real("noise", noise, 0, 10)
    rng = generator(seed)
    lines = rng.integers(1, 2**size - 1, samples)[:, None] >> np.arange(size) & 1  # which lines are black
    bars = np.broadcast_to(lines[:, None, :], (samples, size, size))
    is_bar = np.arange(samples) % 2 == 0
    images = np.where(is_bar[:, None, None], bars, bars.transpose(0, 2, 1)).reshape(samples, size * size)
    x = np.pi * images + noise * rng.standard_normal((samples, size * size))
    return labelled(x, is_bar, labels)
