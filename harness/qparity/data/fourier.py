"""A truncated Fourier series: what a data re-uploading circuit fits if its layers reach the degree."""

import numpy as np

from qparity.data.dataset import Dataset, OptionError, dataset, generator, real, whole


def fourier(
    samples: int,
    seed: int,
    *,
    features: int = 1,
    degree: int = 1,
    scaling: float = 1.0,
    coeff0: float = 0.1,
    coeff_real: float = 0.15,
    coeff_imag: float = 0.15,
    low: float = -6.0,
    high: float = 6.0,
    noise: float = 0.0,
) -> Dataset:
    """y(x) = coeff0 + sum over k = 1..degree of (c e^{i k scaling x} + its conjugate), c = real + i imag.

    x (samples, features) is evenly spaced from `low` to `high`, the same in every feature; y is (samples, 1).
    `noise` is the standard deviation of what is added to y. After Schuld, Sweke & Meyer, Phys. Rev. A 103,
    032430.
    """
    features = whole("features", features, 1, 1000)
    degree = whole("degree", degree, 1, 1000)
    scaling = real("scaling", scaling, -1e3, 1e3)
    coeff0, coeff_real, coeff_imag = (
        real(option, value, -1e6, 1e6)
        for option, value in (("coeff0", coeff0), ("coeff_real", coeff_real), ("coeff_imag", coeff_imag))
    )
    low, high = real("low", low, -1e6, 1e6), real("high", high, -1e6, 1e6)
    if not low < high:
        raise OptionError("high", high, f"more than low = {low:g}")
    noise = real("noise", noise, 0, 1e6)

    x = dataset(np.linspace(low, high, samples), np.zeros(samples)).x[:, 0]  # y belongs to the rounded x
    y = np.full(samples, coeff0)
    for k in range(1, degree + 1):
        y += 2 * (coeff_real * np.cos(k * scaling * x) - coeff_imag * np.sin(k * scaling * x))
    if noise:
        y += noise * generator(seed).standard_normal(samples)
    return dataset(np.repeat(x[:, None], features, axis=1), y)
