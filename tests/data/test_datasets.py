"""Every data set: shapes, determinism, float32 values, options that are refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qparity.data import DATASETS, OptionError, make, options_of

SHAPES = {
    "fourier": (1, 1),
    "moons": (2, 1),
    "circles": (2, 1),
    "bars_and_stripes": (4, 1),
    "identity": (1, 1),
    "random": (1, 1),
}


@pytest.mark.parametrize("name", DATASETS)
@given(samples=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_any_seed_gives_reproducible_float32_values(name: str, samples: int, seed: int) -> None:
    data, again = make(name, samples, seed), make(name, samples, seed)
    features, outputs = SHAPES[name]
    assert data.x.shape == (samples, features)
    assert data.y.shape == (samples, outputs)
    for array, same in ((data.x, again.x), (data.y, again.y)):
        assert array.dtype == np.float64
        assert np.array_equal(array, same)
        assert np.array_equal(array.astype(np.float32).astype(np.float64), array)


@pytest.mark.parametrize("name", ["moons", "circles", "bars_and_stripes", "random"])
def test_seed_changes_random_data(name: str) -> None:
    assert not np.array_equal(make(name, 30, 0).x, make(name, 30, 1).x)


def test_fourier_defaults_are_the_seed_experiment() -> None:
    data = make("fourier", 70, 0)
    x = np.linspace(-6, 6, 70).astype(np.float32).astype(np.float64)
    series = 0.1 + (0.15 + 0.15j) * np.exp(1j * x) + (0.15 - 0.15j) * np.exp(-1j * x)
    assert np.array_equal(data.x[:, 0], x)
    assert np.allclose(data.y[:, 0], series.real, rtol=0, atol=2**-24)


@given(degree=st.integers(1, 6), scaling=st.floats(0.25, 3), real=st.floats(-1, 1), imag=st.floats(-1, 1))
def test_fourier_spectrum_is_the_declared_one(degree: int, scaling: float, real: float, imag: float) -> None:
    options = {"degree": degree, "scaling": scaling, "coeff_real": real, "coeff_imag": imag, "coeff0": 0.25}
    data = make("fourier", 64, 0, {**options, "low": 0, "high": 2 * np.pi / scaling * 63 / 64})
    spectrum = np.fft.fft(data.y[:, 0]) / 64
    expected = np.zeros(64, complex)
    expected[0] = 0.25
    expected[1 : degree + 1] = real + 1j * imag
    expected[-degree:] = real - 1j * imag
    assert np.allclose(spectrum, expected, atol=1e-4)


def test_fourier_features_are_copies_and_noise_is_seeded() -> None:
    wide = make("fourier", 20, 0, {"features": 3})
    assert wide.x.shape == (20, 3)
    assert np.all(wide.x == wide.x[:, :1])
    clean, noisy = make("fourier", 4000, 3), make("fourier", 4000, 3, {"noise": 0.1})
    assert np.array_equal(clean.x, noisy.x)
    assert abs(np.std(noisy.y - clean.y) - 0.1) < 0.01


@pytest.mark.parametrize("name", ["moons", "circles"])
def test_points_without_noise_lie_on_their_curves(name: str) -> None:
    data = make(name, 200, 5, {"noise": 0})
    assert np.abs(data.x).max() <= np.pi + 1e-6
    assert set(data.y[:, 0]) == {-1.0, 1.0}
    assert data.y.sum() == 0
    if name == "circles":
        radius = np.hypot(*data.x.T) / np.pi
        assert np.allclose(radius, np.where(data.y[:, 0] > 0, 0.5, 1.0), atol=1e-6)
    else:
        centre = np.where(data.y > 0, [[0.5, 0.25]], [[-0.5, -0.25]])
        assert np.allclose(np.hypot(*(data.x * 1.5 / np.pi - centre).T), 1, atol=1e-6)


@given(size=st.integers(2, 5), seed=st.integers(0, 1000))
def test_bars_and_stripes_are_what_their_label_says(size: int, seed: int) -> None:
    data = make("bars_and_stripes", 10, seed, {"size": size})
    for pixels, label in zip(data.x.reshape(-1, size, size), data.y[:, 0], strict=True):
        image = pixels if label > 0 else pixels.T
        assert np.all(image == image[0])
        assert 0 < np.count_nonzero(image[0]) < size
        assert set(pixels.ravel()) == {0.0, float(np.float32(np.pi))}


def test_identity_is_zero_and_random_has_any_shape() -> None:
    zero = make("identity", 1, 9, {"features": 2})
    assert not zero.x.any()
    assert not zero.y.any()
    wide = make("random", 50, 1, {"features": 7, "outputs": 4})
    assert wide.x.shape == (50, 7)
    assert wide.y.shape == (50, 4)
    assert np.abs(wide.x).max() <= 3.1416
    assert np.abs(wide.y).max() <= 1


@pytest.mark.parametrize(
    ("name", "options", "option"),
    [
        ("fourier", {"degree": 0}, "degree"),
        ("fourier", {"degree": True}, "degree"),
        ("fourier", {"scaling": "1"}, "scaling"),
        ("fourier", {"coeff0": float("nan")}, "coeff0"),
        ("fourier", {"low": 1, "high": 1}, "high"),
        ("fourier", {"degre": 1}, "degre"),
        ("moons", {"noise": -1}, "noise"),
        ("circles", {"factor": 2}, "factor"),
        ("bars_and_stripes", {"size": 1}, "size"),
        ("random", {"features": 0}, "features"),
        ("random", {"seed": 1}, "seed"),
        ("identity", {"outputs": 1.0}, "outputs"),
        ("monsoons", {}, "name"),
    ],
)
def test_wrong_option_is_named(name: str, options: dict[str, object], option: str) -> None:
    with pytest.raises(OptionError, match=option) as caught:
        make(name, 5, 0, options)
    assert caught.value.option == option
    assert "expected" in str(caught.value)


def test_unknown_names_are_corrected() -> None:
    with pytest.raises(ValueError, match="did you mean degree"):
        make("fourier", 5, 0, {"degre": 1})
    with pytest.raises(ValueError, match="did you mean moons"):
        make("moon", 5, 0)


def test_wrong_samples_and_seed_are_named() -> None:
    with pytest.raises(OptionError, match="samples"):
        make("fourier", 0, 0)
    with pytest.raises(OptionError, match="seed"):
        make("fourier", 1, -1)


def test_options_are_read_from_the_signature() -> None:
    assert options_of("moons") == {"noise": 0.1, "labels": "signs"}
