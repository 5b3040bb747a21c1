"""Models with one error of a given size on every trainable backend: `circuit_options = { kind, fault, size }`.

`gradient` scales the gradient of the first layer's kernel by 1 + size, `predictions` what the model says. The reference
is on NumPy and has neither. Used by benchmarks/detection_limits.py as `model = "limits_models:build"`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops
from planted_models import circuit

from qparity import QKerasLayer


class _Scaled:
    """A layer's kernel as it is, to the last bit, with a gradient that is scaled."""

    size = 0.0

    @property
    def kernel(self) -> Any:
        """The kernel, as Keras' own `call` asks for it."""
        kernel = super().kernel  # type: ignore[misc]
        if not self.size or not self.built:  # type: ignore[attr-defined]
            return kernel
        value = ops.convert_to_tensor(kernel)
        return value + self.size * (value - ops.stop_gradient(value))


class Dense(_Scaled, layers.Dense):
    """With a scaled gradient."""


class Conv2D(_Scaled, layers.Conv2D):
    """With a scaled gradient."""


class Off(layers.Layer):
    """x (1 + size)."""

    def __init__(self, size: float, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def call(self, x: Any) -> Any:
        """Anything."""
        return x * (1 + self.size) if self.size else x


def build(
    features: int, outputs: int, dtype: str, device: str, diff_method: str, kind: str, fault: str, size: float
) -> keras.Model:
    """Sixteen features -> one number; `kind` is dense, convolution, normalised or hybrid."""
    made: dict[str, Any] = {"dtype": dtype}
    if keras.backend.backend() == "numpy":
        size = 0.0
    first: Any
    x = keras.Input((features,), **made)
    if kind == "convolution":
        first = Conv2D(3, 2, activation="relu", **made)
        h = layers.MaxPooling2D(**made)(first(layers.Reshape((4, 4, 1), **made)(x)))
        h = layers.Flatten(**made)(h)
    elif kind == "normalised":
        first = Dense(6, use_bias=False, **made)
        h = layers.Activation("relu", **made)(layers.BatchNormalization(**made)(first(x)))
    elif kind == "hybrid":
        first = Dense(2, activation="tanh", **made)
        h = QKerasLayer(
            circuit, wires=2, weight_shapes={"weights": (2,)}, features=2, device=device,
            diff_method=diff_method, **made,
        )(first(x))  # fmt: skip
    else:
        first = Dense(6, activation="tanh", **made)
        h = layers.Dense(4, activation="sigmoid", **made)(first(x))
    first.size = size if fault == "gradient" else 0.0
    return keras.Model(x, Off(size if fault == "predictions" else 0.0, **made)(layers.Dense(outputs, **made)(h)))
