"""Models with a layer that is right on every backend but one: `circuit_options = { fault, where }`.

Each layer is a sound one but for a line that acts where `keras.backend.backend() == where`, as a framework's kernel or
Keras' port to it may have something wrong. `x + size * (x - stop_gradient(x))` is x itself, to the last bit,
and has a wrong derivative. Used by benchmarks/planted_faults.py and the suite as `model = "planted_models:build"`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pennylane as qml
from keras import layers, ops

from qparity import QKerasLayer

SIZES = {"float32": 1e-3, "float64": 1e-6}
"""By how much a kernel's gradient is scaled."""


class Planted(layers.Layer):
    """A layer that knows whether it is to be wrong."""

    def __init__(self, wrong: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.wrong = wrong


class Linear(Planted):
    """x W; W's gradient is scaled. Python's `@` keeps float64 on every backend, which `ops.matmul` does not."""

    def build(self, shape: Any) -> None:
        """As many units as features."""
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], shape[-1]), initializer="glorot_uniform")

    def call(self, x: Any) -> Any:
        """(batch, features) -> (batch, features)."""
        kernel = self.kernel.value
        if self.wrong:
            kernel = kernel + SIZES[self.compute_dtype] * (kernel - ops.stop_gradient(kernel))
        return x @ kernel

    def compute_output_shape(self, shape: Any) -> Any:
        """The same."""
        return shape


class OneEntry(Linear):
    """x W; the gradient of one entry of W is scaled."""

    entry = (1, 2)

    def call(self, x: Any) -> Any:
        """(batch, features) -> (batch, features)."""
        kernel = self.kernel.value
        if self.wrong:
            here = np.zeros(kernel.shape)
            here[self.entry] = 0.1
            kernel = kernel + ops.convert_to_tensor(here, self.compute_dtype) * (kernel - ops.stop_gradient(kernel))
        return x @ kernel


class Transposed(Linear):
    """x W^T."""

    def call(self, x: Any) -> Any:
        """(batch, features) -> (batch, features)."""
        return x @ ops.transpose(self.kernel.value) if self.wrong else x @ self.kernel.value


class Late(Linear):
    """W's gradient is doubled from the step on that a counter among its variables says."""

    def build(self, shape: Any) -> None:
        """The counter begins at 0."""
        super().build(shape)
        self.steps = self.add_weight(name="steps", shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        """(batch, features) -> (batch, features)."""
        kernel, late = self.kernel.value, ops.cast(self.steps.value >= 5, self.compute_dtype)
        if training:
            self.steps.assign(self.steps.value + 1)
        return x @ (kernel + late * (kernel - ops.stop_gradient(kernel)) if self.wrong else kernel)


class Partial(Linear):
    """W's gradient is doubled where a batch has fewer than four rows."""

    def call(self, x: Any) -> Any:
        """(batch, features) -> (batch, features)."""
        kernel = self.kernel.value
        if self.wrong:
            small = ops.cast(ops.shape(x)[0] < 4, self.compute_dtype)
            kernel = kernel + small * (kernel - ops.stop_gradient(kernel))
        return x @ kernel


class Leaky(Planted):
    """Leaky ReLU, whose derivative is 1 for negative numbers too."""

    def call(self, x: Any) -> Any:
        """Anything, element by element."""
        right = ops.where(x < 0, 0.2 * x, x)
        return right + ops.where(x < 0, 0.8, 0.0) * (x - ops.stop_gradient(x)) if self.wrong else right


class RunningMean(layers.BatchNormalization):
    """The running mean moves by momentum, not by 1 - momentum."""

    def __init__(self, wrong: bool = False, **options: Any) -> None:
        super().__init__(momentum=0.9, **options)
        self.wrong = wrong

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        """(batch, features)."""
        before = ops.copy(self.moving_mean.value)
        found = super().call(x, training=training, mask=mask)
        if self.wrong and training:
            self.moving_mean.assign(before + 9 * (self.moving_mean.value - before))
        return found


class Scaled(layers.Dropout):
    """What is kept is not divided by 1 - rate."""

    def __init__(self, wrong: bool = False, **options: Any) -> None:
        super().__init__(0.25, seed=1, **options)
        self.wrong = wrong

    def call(self, x: Any, training: bool = False) -> Any:
        """Anything."""
        found = super().call(x, training=training)
        return found * 0.75 if self.wrong and training else found


class Marked(layers.Layer):
    """Masks the steps whose first feature is below that of the first step, which is never masked."""

    def call(self, x: Any) -> Any:
        """(batch, steps, features), as they come."""
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """(batch, steps)."""
        return x[..., 0] >= x[:, :1, 0]


class MaskIgnored(layers.GlobalAveragePooling1D):
    """The mean of all steps, masked or not."""

    def __init__(self, wrong: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.wrong = wrong

    def call(self, x: Any, mask: Any = None) -> Any:
        """(batch, steps, features) -> (batch, features)."""
        return super().call(x, mask=None if self.wrong else mask)


class SecondCall(QKerasLayer):
    """Where it is called with `again`, its rotations turn further."""

    wrong = False

    def call(self, inputs: Any, again: bool = False) -> Any:
        """(batch, features) -> (batch, outputs)."""
        if not (self.wrong and again):
            return super().call(inputs)
        right = self.executor
        self._executor = lambda weights, x: right({name: w + 0.1 for name, w in weights.items()}, x)  # type: ignore
        self._executor.dtype = right.dtype  # type: ignore[union-attr]
        try:
            return super().call(inputs)
        finally:
            self._executor = right

    def compute_output_spec(self, inputs: Any, again: bool = False) -> Any:
        """As without `again`."""
        return super().compute_output_spec(inputs)


def circuit(weights: Any, inputs: Any, wires: int) -> list[Any]:
    """An encoding, a rotation a wire, a CNOT."""
    for wire in range(wires):
        qml.RX(inputs[..., wire], wires=wire)
        qml.RY(weights[wire], wires=wire)
    qml.CNOT(wires=[0, 1])
    return [qml.expval(qml.Z(wire)) for wire in range(wires)]


class Mixed(layers.Layer):
    """z / (1 + z^2) of z = x W: what stands before and after what is planted (JAX takes a float64 tanh in float32)."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, shape: Any) -> None:
        """W (features, units)."""
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], self.units), initializer="glorot_uniform")

    def call(self, x: Any) -> Any:
        """(batch, features) -> (batch, units)."""
        z = x @ self.kernel.value
        return z / (1 + z * z)

    def compute_output_shape(self, shape: Any) -> Any:
        """(batch, units)."""
        return (*shape[:-1], self.units)


LAYERS: dict[str, type[Any]] = {
    "gradient-scaled": Linear,
    "one-entry": OneEntry,
    "running-mean": RunningMean,
    "transposed": Transposed,
    "derivative": Leaky,
    "dropout": Scaled,
    "mask": MaskIgnored,
    "second-call": SecondCall,
    "from-step-5": Late,
    "partial-batch": Partial,
}


def build(
    features: int, outputs: int, dtype: str, device: str, diff_method: str, batch_size: int, fault: str, where: str
) -> keras.Model:
    """The model of a fault; the layer that is wrong is called `planted`."""
    wrong = keras.backend.backend() == where
    made: dict[str, Any] = {"dtype": dtype}
    kind = LAYERS[fault]

    def quantum(layer: type[QKerasLayer], name: str) -> QKerasLayer:
        return layer(
            circuit, wires=2, weight_shapes={"weights": (2,)}, features=2, device=device, diff_method=diff_method,
            max_batch_size=batch_size, name=name, **made,
        )  # fmt: skip

    x = keras.Input((features,), **made)
    if issubclass(kind, QKerasLayer):
        layer = quantum(kind, "planted")
        layer.wrong = wrong
        h = layer(layer(Mixed(2, **made)(x)), again=True)
    elif kind is MaskIgnored:
        steps = Marked(**made)(layers.Reshape((features // 2, 2), **made)(Mixed(features, **made)(x)))
        h = quantum(QKerasLayer, "circuit")(kind(wrong, name="planted", **made)(steps))
    else:
        h = kind(wrong, name="planted", **made)(Mixed(3, **made)(x))
        h = quantum(QKerasLayer, "circuit")(Mixed(2, **made)(h))
    return keras.Model(x, Mixed(outputs, **made)(h))
