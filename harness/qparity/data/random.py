"""Uniform features and targets of any number: nothing to learn, which is all that a parity test needs."""

import numpy as np

from qparity.data.dataset import Dataset, dataset, generator, whole


def random(samples: int, seed: int, *, features: int = 1, outputs: int = 1) -> Dataset:
    """x (samples, features) uniform in [-pi, pi], y (samples, outputs) uniform in [-1, 1]."""
    features, outputs = whole("features", features, 1, 1000), whole("outputs", outputs, 1, 1 << 12)
    rng = generator(seed)
    return dataset(rng.uniform(-np.pi, np.pi, (samples, features)), rng.uniform(-1, 1, (samples, outputs)))
