"""A re-uploading circuit behind a trainable layer: the model that `qparity doctor` and the capability matrix probe.

The layer multiplies matrices by einsum: of Keras' products it is the one that computes float64 in float64 on torch.
"""

from __future__ import annotations

import keras

from qparity.circuit.layer import QKerasLayer


def build(features: int, wires: int, device: str, diff_method: str, dtype: str, batch_size: int) -> keras.Model:
    """(batch, features) -> EinsumDense -> data_reuploading -> (batch, 1)."""
    dense = keras.layers.EinsumDense("bi,ij->bj", output_shape=features, dtype=dtype)
    quantum = QKerasLayer(
        wires=wires,
        features=features,
        device=device,
        diff_method=diff_method,
        max_batch_size=batch_size,
        dtype=dtype,
        name="quantum",
    )
    return keras.Sequential([keras.Input((features,), dtype=dtype), dense, quantum])
