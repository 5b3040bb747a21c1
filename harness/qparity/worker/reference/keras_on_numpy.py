"""Import Keras on NumPy, without JAX, computing in float64 whatever precision a model asks for.

Keras' NumPy backend imports JAX for pooling, convolution and Fourier transforms, and maps float64 to float32 in most
operations (`keras/src/backend/common/dtypes.py`). Both are undone here: `windows` stands in for JAX, the promotion
table keeps 64 bits, and every dtype policy means float64. `rounding` stands in for NumPy.
"""

from __future__ import annotations

import os
import types
from typing import Any

import numpy as np

from qparity.worker.reference import rounding, windows
from qparity.worker.reference.shells import Shells, standing_in


def load() -> None:
    """Import Keras so; nothing of it may have been imported before.

    Raises:
        RuntimeError: Keras is there already on another backend.
    """
    os.environ["KERAS_BACKEND"] = "numpy"
    with standing_in(Shells(("jax", "jaxlib"))):
        import keras
    if keras.backend.backend() != "numpy":
        raise RuntimeError(f"Keras chose the backend {keras.backend.backend()}, not numpy")
    from keras.src.backend.common import dtypes
    from keras.src.backend.numpy import linalg, math, nn
    from keras.src.backend.numpy import numpy as operations
    from keras.src.dtype_policies.dtype_policy import DTypePolicy

    dtypes.BIT64_TO_BIT32_DTYPE.update({name: name for name in ("int64", "uint64", "float64", "complex128")})
    nn.lax, nn.jax = windows, types.SimpleNamespace(lax=windows)
    for module in (linalg, math, nn, operations):
        module.np = rounding.numpy
    nn.sigmoid = rounding.rounded(nn.sigmoid, rounding.SAVED["sigmoid"])
    total = operations.sum  # which Keras' own compute_loss gives a list of losses: the other backends take one
    operations.sum = lambda x, *arguments, **options: total(np.asarray(x), *arguments, **options)
    parse = DTypePolicy._parse_name

    def in_float64(self: Any, name: Any) -> tuple[str, str]:
        return tuple("float64" if "float" in each else each for each in parse(self, name))  # type: ignore[return-value]

    DTypePolicy._parse_name = in_float64
    from qparity.worker.reference import qnodes, told  # not before Keras has been imported so

    told.install()
    qnodes.install()
    keras.config.set_floatx("float64")
