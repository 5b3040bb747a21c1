"""Pooling and convolution of the reference against jax.lax, which Keras' NumPy backend would borrow them from."""

import itertools

import numpy as np
import pytest

from qparity.worker.reference import windows

pytestmark = pytest.mark.backend("jax")

LAST = windows.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
FIRST = windows.ConvDimensionNumbers((0, 1, 2, 3), (3, 2, 0, 1), (0, 1, 2, 3))


@pytest.fixture(scope="module")
def lax():
    import jax

    jax.config.update("jax_enable_x64", True)
    yield jax.lax
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("padding", "strides"), [*itertools.product(("SAME", "VALID"), ((1, 1), (2, 2), (3, 2)))])
def test_pooling(lax, rng, padding, strides):
    x = rng.normal(size=(2, 7, 6, 4))
    for name, initial in (("add", 0.0), ("max", -np.inf)):
        arguments = (1, 3, 2, 1), (1, *strides, 1), padding
        found = windows.reduce_window(x, initial, getattr(windows, name), *arguments)
        np.testing.assert_allclose(found, lax.reduce_window(x, initial, getattr(lax, name), *arguments), atol=1e-14)


@pytest.mark.parametrize(("padding", "strides", "dilation"), [
    ("SAME", (1, 1), (1, 1)), ("SAME", (2, 3), (1, 1)), ("VALID", (1, 2), (1, 1)), ("SAME", (1, 1), (2, 1)),
    ("VALID", (1, 1), (2, 2)), ([(1, 0), (0, 2)], (1, 1), (1, 1)),
])  # fmt: skip
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(lax, rng, padding, strides, dilation, groups):
    x, kernel = rng.normal(size=(2, 7, 6, 4)), rng.normal(size=(3, 2, 4 // groups, 6))
    for x_, numbers in ((x, LAST), (x.transpose(0, 3, 1, 2), FIRST)):
        options = {"rhs_dilation": dilation, "dimension_numbers": numbers, "feature_group_count": groups}
        found = windows.conv_general_dilated(x_, kernel, strides, padding, **options)
        theirs = options | {"dimension_numbers": lax.ConvDimensionNumbers(*numbers)}
        np.testing.assert_allclose(found, lax.conv_general_dilated(x_, kernel, strides, padding, **theirs), atol=1e-13)


@pytest.mark.parametrize(("strides", "padding", "dilation"), [
    ((1, 1), [(2, 2), (1, 1)], (1, 1)), ((2, 2), [(1, 2), (0, 1)], (1, 1)), ((1, 2), [(0, 0), (1, 1)], (2, 1)),
    ((3, 1), [(1, 1), (-1, 0)], (1, 1)),
])  # fmt: skip
def test_transposed_convolution(lax, rng, strides, padding, dilation):
    x, kernel = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(3, 2, 6, 3))
    found = windows.conv_transpose(x, kernel, strides, padding, dilation, LAST, transpose_kernel=True)
    numbers = lax.ConvDimensionNumbers(*LAST)
    theirs = lax.conv_transpose(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=numbers, transpose_kernel=True
    )
    np.testing.assert_allclose(found, theirs, atol=1e-13)
