"""JAX under jit: what breaks inside a callback of PennyLane's is told as what it is."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("of JAX only", allow_module_level=True)

import jax

from qparity.worker.child import said_of


class Refused(ValueError):
    pass


def test_an_error_in_a_callback_is_told_by_its_own_kind_and_message(backend):
    def broken(x):
        raise Refused("this angle cannot be shifted")

    @jax.jit
    def compiled(x):
        return jax.pure_callback(broken, jax.ShapeDtypeStruct((), np.float64), x)

    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        compiled(1.0).block_until_ready()
    said = said_of(caught.value)
    assert said == {"status": "failed", "reason": "Refused: this angle cannot be shifted"}
