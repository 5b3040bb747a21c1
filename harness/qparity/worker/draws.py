"""The same random numbers on every backend: what `keras.random` draws, made by integer arithmetic in `keras.ops`.

Each backend has a generator of its own, so that one seed gives other dropout masks everywhere and stochastic layers
cannot be compared. Here a number is a hash of the seed generator's state and of the number's place (the finalizer of
MurmurHash3, Appleby 2011, once an axis), in 32-bit integers that wrap round alike on all backends, in graphs and under
XLA too. Uniform numbers have 24 bits and are the same to the last; what is computed from them (normal numbers) is the
same to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import config, ops
from keras.src import backend
from keras.src.random.seed_generator import draw_seed

BITS = 24
FIRST, SECOND = (int(np.uint32(c).astype(np.int32)) for c in (0x85EBCA6B, 0xC2B2AE35))
own: dict[str, Callable[..., Any]] = {}
"""The backend's own functions, while they are replaced."""
drawn_by_backend: set[str] = set()
"""Names of functions that have no replacement and were called: such numbers are the backend's own."""


def share() -> None:
    """From now on `keras.random` and all layers draw the shared numbers."""
    if own:
        return
    shared = {f.__name__: f for f in (uniform, normal, truncated_normal, randint, categorical, shuffle, dropout)}
    for name, function in shared.items():
        own[name] = getattr(backend.random, name)
        setattr(backend.random, name, function)
    for name in ("gamma", "binomial", "beta"):
        own[name] = getattr(backend.random, name)
        setattr(backend.random, name, _noticed(name, own[name]))


def unshare() -> None:
    """Put back the functions of the backend."""
    for name, function in own.items():
        setattr(backend.random, name, function)
    own.clear()


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """minval + u (maxval - minval), u in [0, 1) with 24 bits."""
    dtype = dtype or config.floatx()
    return minval + _unit(_hashed(_places(shape), seed), dtype) * (maxval - minval)


def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """By the inverse of the distribution's error function."""
    dtype = dtype or config.floatx()
    u = (_unit(_hashed(_places(shape), seed), dtype) * 2**BITS + 0.5) * 2.0**-BITS  # never 0 or 1
    return mean + stddev * math.sqrt(2.0) * ops.erfinv(2 * u - 1)


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Within two standard deviations."""
    dtype = dtype or config.floatx()
    inside = math.erf(math.sqrt(2.0))
    u = _unit(_hashed(_places(shape), seed), dtype)
    return mean + stddev * math.sqrt(2.0) * ops.erfinv((2 * u - 1) * inside)


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    """Whole numbers from minval to below maxval (at most 2^24 apart)."""
    u = _unit(_hashed(_places(shape), seed), "float32")
    span = ops.cast(maxval - minval, "float32")
    return ops.cast(minval, dtype) + ops.cast(ops.floor(u * span), dtype)


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """(batch, classes) -> (batch, num_samples), by Gumbel's maximum."""
    places = _places((*ops.shape(logits), num_samples))
    u = (_unit(_hashed(places, seed), "float32") * 2**BITS + 0.5) * 2.0**-BITS
    noisy = ops.expand_dims(ops.cast(logits, "float32"), -1) - ops.log(-ops.log(u))
    return ops.cast(ops.argmax(noisy, axis=1), dtype)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The entries along an axis in another order."""
    return ops.take(x, ops.argsort(_hashed(_places((ops.shape(x)[axis],)), seed)), axis=axis)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """`inputs / (1 - rate)` where the hash is not below rate 2^24, else 0: the mask is the same to the last place."""
    if noise_shape is None:
        places = _places_like(inputs)
    else:
        sizes = ops.shape(inputs)
        places = _places([sizes[k] if size is None else size for k, size in enumerate(noise_shape)])
    kept = _top_bits(_hashed(places, seed)) >= math.ceil(rate * 2**BITS)
    return ops.where(kept, inputs / (1.0 - rate), ops.zeros_like(inputs))


def _noticed(name: str, draw: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(*arguments: Any, **options: Any) -> Any:
        drawn_by_backend.add(name)
        return draw(*arguments, **options)

    return drawn


def _places(shape: Sequence[Any]) -> list[Any]:
    """The index along each axis, as int32 arrays that broadcast to `shape`."""
    found = []
    for axis, size in enumerate(shape):
        index = ops.arange(size, dtype="int32")
        found.append(ops.reshape(index, [-1 if k == axis else 1 for k in range(len(shape))]))
    return found or [ops.zeros((), "int32")]


def _places_like(tensor: Any) -> list[Any]:
    """The same for a tensor whose sizes a graph may not know."""
    ones = ops.cast(ops.ones_like(tensor), "int32")
    return [ops.cumsum(ones, axis=axis, dtype="int32") - 1 for axis in range(len(tensor.shape))] or [ones]


def _hashed(places: Sequence[Any], seed: Any) -> Any:
    """An int32 a place, from the state that the seed has (which moves on)."""
    state = ops.cast(draw_seed(seed), "int32")
    h = _mixed(ops.bitwise_xor(_mixed(state[0]), state[1]))
    for place in places:
        h = _mixed(ops.bitwise_xor(h, place))
    return h


def _mixed(h: Any) -> Any:
    """MurmurHash3's finalizer on int32, which wraps round; the golden ratio is added so that 0 does not stay 0."""
    do, whole = _integers()
    h = do.add(whole(h), whole(-1640531527))
    h = do.bitwise_xor(h, _shifted(h, 16))
    h = do.multiply(h, whole(FIRST))
    h = do.bitwise_xor(h, _shifted(h, 13))
    h = do.multiply(h, whole(SECOND))
    return do.bitwise_xor(h, _shifted(h, 16))


def _shifted(h: Any, bits: int) -> Any:
    """To the right, without the sign."""
    do, whole = _integers()
    return do.bitwise_and(do.right_shift(h, whole(bits)), whole((1 << (32 - bits)) - 1))


def _integers() -> tuple[Any, Callable[[Any], Any]]:
    """Where the operations are, and what makes an int32: NumPy's own on NumPy, where Keras' cost ten times as much."""
    if config.backend() == "numpy":
        return np, lambda value: np.asarray(value, np.int32)
    return ops, lambda value: ops.cast(ops.convert_to_tensor(value), "int32")


def _top_bits(h: Any) -> Any:
    return _shifted(h, 32 - BITS)


def _unit(h: Any, dtype: Any) -> Any:
    return ops.cast(_top_bits(h), dtype) * 2.0**-BITS
