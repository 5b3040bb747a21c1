"""No data: for circuits whose output is the objective itself, such as VQE with the loss `energy`."""

import numpy as np

from qparity.data.dataset import Dataset, dataset, whole


def identity(samples: int, seed: int, *, features: int = 1, outputs: int = 1) -> Dataset:
    """x (samples, features) and y (samples, outputs), all zero. The seed changes nothing."""
    shapes = (samples, whole("features", features, 1, 1000)), (samples, whole("outputs", outputs, 1, 1000))
    return dataset(np.zeros(shapes[0]), np.zeros(shapes[1]))
