"""Pooling and convolution in NumPy: the few functions of `jax.lax` that Keras' NumPy backend borrows from JAX.

The reference must not share code with a backend that it judges, and must run where JAX is not installed. Arguments and
layouts are those of jax.lax; padding is `SAME` or `VALID` (as XLA defines them), or a pair for each spatial axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Padding = str | Sequence[tuple[int, int]]


class ConvDimensionNumbers(NamedTuple):
    """Axes of inputs (batch, features, spatial...), kernel (out, in, spatial...) and outputs (as the inputs)."""

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


add: Callable[..., np.ndarray] = np.add
max: Callable[..., np.ndarray] = np.maximum


def reduce_window(
    inputs: np.ndarray,
    initial: float,
    reduce: np.ufunc,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
) -> np.ndarray:
    """Each window of `inputs`, reduced; `initial` is what padding holds. `window` and `strides` have every axis."""
    seen = _windows(inputs, window, strides, _pairs(inputs.shape, window, strides, padding), initial)
    axes = tuple(range(inputs.ndim, 2 * inputs.ndim))
    return np.asarray(reduce.reduce(seen, axis=axes, initial=initial))


def conv_general_dilated(
    inputs: np.ndarray,
    kernel: np.ndarray,
    window_strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int],
    dimension_numbers: ConvDimensionNumbers,
    feature_group_count: int = 1,
) -> np.ndarray:
    """The convolution (a cross-correlation: the kernel is not turned round) of deep learning."""
    x = np.transpose(inputs, dimension_numbers.lhs_spec)  # (batch, features, spatial...)
    k = _dilated(np.transpose(kernel, dimension_numbers.rhs_spec), rhs_dilation)  # (out, in of a group, spatial...)
    sizes = k.shape[2:]
    pairs = _pairs(x.shape[2:], sizes, window_strides, padding)
    seen = _windows(x, (1, 1, *sizes), (1, 1, *window_strides), [(0, 0), (0, 0), *pairs], 0.0)
    seen = seen.reshape(*x.shape[:2], *seen.shape[2 : x.ndim], *sizes)  # windows of one in batch and features go
    inner, outer = k.shape[1], k.shape[0] // feature_group_count
    groups = [
        np.tensordot(
            seen[:, g * inner : (g + 1) * inner],
            k[g * outer : (g + 1) * outer],
            axes=([1, *range(x.ndim, seen.ndim)], [1, *range(2, k.ndim)]),
        )
        for g in range(feature_group_count)
    ]  # (batch, spatial..., out) each
    out = np.moveaxis(np.concatenate(groups, axis=-1), -1, 1)
    return np.transpose(out, np.argsort(dimension_numbers.out_spec))


def conv_transpose(
    inputs: np.ndarray,
    kernel: np.ndarray,
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int],
    dimension_numbers: ConvDimensionNumbers,
    transpose_kernel: bool = True,
) -> np.ndarray:
    """The transpose of a convolution: inputs spread out by `strides`, the kernel turned, its channels exchanged."""
    if not transpose_kernel or isinstance(padding, str):
        raise NotImplementedError("conv_transpose as Keras calls it: transpose_kernel, and explicit padding")
    x = np.transpose(inputs, dimension_numbers.lhs_spec)
    k = np.transpose(kernel, dimension_numbers.rhs_spec)  # with transpose_kernel: (in, out, spatial...)
    k = np.swapaxes(np.flip(k, axis=tuple(range(2, k.ndim))), 0, 1)
    channels_first = ConvDimensionNumbers(*[tuple(range(x.ndim))] * 3)
    spread = _dilated(x, strides)
    out = conv_general_dilated(spread, k, [1] * (x.ndim - 2), padding, rhs_dilation, channels_first)
    return np.transpose(out, np.argsort(dimension_numbers.out_spec))


def _pairs(
    sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: Padding
) -> list[tuple[int, int]]:
    """Padding before and after each axis. XLA's SAME: ceil(size / stride) windows, what is odd goes to the end."""
    if not isinstance(padding, str):
        return [(int(a), int(b)) for a, b in padding]
    if padding.upper() == "VALID":
        return [(0, 0)] * len(sizes)
    lacking = [
        int(np.maximum((-(-size // stride) - 1) * stride + width - size, 0))
        for size, width, stride in zip(sizes, window, strides, strict=True)
    ]
    return [(each // 2, each - each // 2) for each in lacking]


def _windows(
    array: np.ndarray, window: Sequence[int], strides: Sequence[int], pairs: list[tuple[int, int]], fill: float
) -> np.ndarray:
    """All windows: (windows along each axis..., window...). Negative padding cuts off; what is too small has none."""
    grown = [(0 if a < 0 else a, 0 if b < 0 else b) for a, b in pairs]
    padded = np.pad(array, grown, constant_values=fill)
    cut = tuple(slice(-a if a < 0 else 0, b if b < 0 else None) for a, b in pairs)
    padded = padded[cut]
    if any(size < width for size, width in zip(padded.shape, window, strict=True)):
        counts = [int(np.maximum(size - width + 1, 0)) for size, width in zip(padded.shape, window, strict=True)]
        return np.zeros((*(-(-n // stride) for n, stride in zip(counts, strides, strict=True)), *window), array.dtype)
    seen = sliding_window_view(padded, tuple(window))
    return np.asarray(seen[tuple(slice(None, None, stride) for stride in strides)])


def _dilated(array: np.ndarray, rates: Sequence[int]) -> np.ndarray:
    """Zeros between the entries of all but the first two axes."""
    if all(rate == 1 for rate in rates):
        return array
    sizes = [(size - 1) * rate + 1 for size, rate in zip(array.shape[2:], rates, strict=True)]
    spread = np.zeros((*array.shape[:2], *sizes), array.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, rate) for rate in rates))] = array
    return spread
