"""A compiled function that meets a new shape is compiled again, and the backend counts it; a known shape is not."""

import numpy as np


def compiled(name):
    """A doubling function, compiled as the framework's users do, that takes NumPy arrays."""
    if name == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: x + x)
    if name == "jax":
        import jax

        return jax.jit(lambda x: x + x)
    import torch

    double = torch.compile(lambda x: x + x, backend="eager", dynamic=False)
    return lambda x: double(torch.as_tensor(x))


def test_recompilations_are_counted(backend):
    double = compiled(backend.name)
    seen = [backend.compilations()]
    for size in (3, 3, 4, 4):
        double(np.ones(size))
        seen.append(backend.compilations())
    assert np.diff(seen).tolist() == [1, 0, 1, 0]
