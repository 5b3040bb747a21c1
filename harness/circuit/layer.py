"""QKerasLayer: a PennyLane quantum function as a Keras 3 layer, alike on TensorFlow, PyTorch and JAX.

    layer = QKerasLayer("data_reuploading", wires=2, layers=3)               # a circuit of the library
    layer = QKerasLayer(my_function, weight_shapes={"weights": (3, 2)}, wires=2, device="lightning.qubit")
    layer = QKerasLayer.from_qnode(qnode, {"weights": (3, 2)}, output_dim=2)  # as the old qml.qnn.KerasLayer

The input is (..., features), the output (..., outputs): the measurements of a sample, concatenated.
How a backend runs the circuit lives in `execution`, what a quantum function looks like in `definition`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
import pennylane as qml
from keras import ops

from harness.circuit import definition
from harness.circuit.definition import CircuitError
from harness.circuit.execution import INTERFACES, Executor
from harness.scenario.registry import CIRCUITS

FLOATS = ("float32", "float64")


@keras.saving.register_keras_serializable(package="qparity")
class QKerasLayer(keras.layers.Layer):
    """A quantum function with trainable weights as a Keras layer.

    Args:
        circuit: a name of the circuit library, `"package.module:function"`, or a quantum function
            `f(weights, inputs, ...)` (see `harness.circuit.definition`).
        wires: number of wires of the device.
        layers: passed to the quantum function if it takes `layers`.
        weight_shapes: name -> shape of each weight array; a library circuit knows its own.
        features: number of input features; None takes the circuit's own, else any.
        device: PennyLane device name.
        diff_method: PennyLane differentiation method; `best` lets PennyLane choose.
        diff_options: keyword arguments of the differentiation method, such as `{"h": 1e-4}`.
        shots: samples per expectation; None is analytic.
        seed: of the device's sampler and of the default weight initializer.
        circuit_options: further keyword arguments of the quantum function.
        initializer, regularizer, constraint: Keras identifiers for all weights, or a dict by weight name.
        max_batch_size: only TensorFlow graphs and XLA need it: the largest batch that will come, to which a
            batch of unknown size is padded. None pads to chunks of 32 and loops over them.

    Raises:
        CircuitError: (a ValueError) what PennyLane would refuse obscurely later, in one line.
    """

    def __init__(
        self,
        circuit: str | Callable[..., Any] = "data_reuploading",
        *,
        wires: int = 1,
        layers: int = 1,
        weight_shapes: dict[str, tuple[int, ...]] | None = None,
        features: int | None = None,
        device: str = "default.qubit",
        diff_method: str = "best",
        diff_options: dict[str, Any] | None = None,
        shots: int | None = None,
        seed: int | None = None,
        circuit_options: dict[str, Any] | None = None,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        max_batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._options = {
            "wires": wires,
            "layers": layers,
            "weight_shapes": weight_shapes,
            "features": features,
            "device": device,
            "diff_method": diff_method,
            "diff_options": diff_options or {},
            "shots": shots,
            "seed": seed,
            "circuit_options": circuit_options or {},
            "max_batch_size": max_batch_size,
        }
        self._specs = {"initializer": initializer, "regularizer": regularizer, "constraint": constraint}
        self.circuit = circuit
        self.wires, self.device_name, self.diff_method = wires, device, diff_method
        self.shots, self.seed, self.diff_options = shots, seed, dict(diff_options or {})
        self.max_batch_size = max_batch_size
        self.function = definition.bind(
            load_circuit(circuit), wires, layers, dict(circuit_options or {}), weight_shapes, features
        )
        self._any_features = self.function.features is None
        if self._any_features:
            self.function = definition.smallest(self.function)
        self._executor: Executor | None = None
        if self.compute_dtype not in FLOATS:
            raise CircuitError(f"QKerasLayer computes in float32 or float64, not in {self.compute_dtype}")
        self.outputs = definition.output_size(self.function, shots)
        self.executor.check()
        # Keras' `jit_compile="auto"` then leaves XLA out where TensorFlow cannot trace the circuit.
        self.supports_jit = self.executor.interface != "tf" or self.executor.traceable

    # What Keras asks for

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; `input_shape` is (..., features)."""
        self._check_input(input_shape)
        if self._any_features and input_shape[-1] is not None:
            self.function = dataclasses.replace(self.function, features=input_shape[-1])
            self.outputs = definition.output_size(self.function, self.shots)
            self._executor = None
        self._named_weights = {
            name: self.add_weight(
                name=name,
                shape=shape,
                initializer=self._spec("initializer", name) or self._default_initializer(name),
                regularizer=self._spec("regularizer", name),
                constraint=self._spec("constraint", name),
                trainable=True,
            )
            for name, shape in self.function.weight_shapes.items()
        }
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Measurements of every sample: (..., features) -> (..., outputs), in the compute dtype."""
        shape = ops.shape(inputs)
        self._check_input(tuple(inputs.shape))
        flat = inputs if len(shape) == 2 else ops.reshape(inputs, (-1, shape[-1]))
        weights = {name: ops.cast(weight.value, self.compute_dtype) for name, weight in self._named_weights.items()}
        outputs = ops.cast(self.executor(weights, flat), self.compute_dtype)
        return outputs if len(shape) == 2 else ops.reshape(outputs, (*shape[:-1], self.outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(..., features) -> (..., outputs)."""
        return (*input_shape[:-1], self.outputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Shape and dtype without running the circuit: drawing a summary must not execute a device."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments, JSON-able; a function is kept as `module:name` or by Keras registration."""
        circuit = self.circuit if isinstance(self.circuit, str) else keras.saving.serialize_keras_object(self.circuit)
        specs = {key: serialize_spec(value) for key, value in self._specs.items()}
        return {**super().get_config(), "circuit": circuit, **self._options, **specs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild from `get_config`; the caller's dict is left as it was."""
        config = dict(config)
        if isinstance(config["circuit"], dict):
            config["circuit"] = keras.saving.deserialize_keras_object(config["circuit"])
        if config.get("weight_shapes"):
            config["weight_shapes"] = {k: tuple(v) for k, v in config["weight_shapes"].items()}
        for key in ("initializer", "regularizer", "constraint"):
            config[key] = deserialize_spec(config.get(key))
        return cls(**config)

    # What people ask for

    @classmethod
    def from_qnode(
        cls, qnode: qml.QNode, weight_shapes: dict[str, Any], output_dim: int | None = None, **kwargs: Any
    ) -> Self:
        """The arguments of the old `qml.qnn.KerasLayer`: the QNode's function, device and diff method are taken over.

        `output_dim` is checked against what the QNode measures. The QNode's features argument must be named `inputs`.
        As there, the shape 1 is a number and the shape (1,) a vector. Of the device, name and number of wires are kept.

        Raises:
            CircuitError: the QNode has transforms, which would be lost, or its device does not say its wires.
        """
        shapes = {k: () if v == 1 else (v,) if isinstance(v, int) else tuple(v) for k, v in weight_shapes.items()}
        renamed = hasattr(qnode, "compile_pipeline")  # PennyLane 0.45
        if transforms := qnode.compile_pipeline if renamed else qnode.transform_program:
            raise CircuitError(f"the QNode's transforms would be lost ({transforms}): apply them inside its function")
        device = qnode.device
        if not device.wires:
            raise CircuitError(
                f"the QNode's device does not say its wires: expected qml.device('{device.name}', wires=n)"
            )
        shots = qnode.shots.total_shots if qnode.shots else None
        layer = cls(
            qnode.func,
            wires=len(device.wires),
            weight_shapes=shapes,
            device=device.name,
            diff_method=str(qnode.diff_method),
            diff_options=dict(qnode.gradient_kwargs),
            shots=shots,
            **kwargs,
        )
        if output_dim is not None and output_dim != layer.outputs:
            raise CircuitError(f"output_dim = {output_dim}: the QNode measures {layer.outputs} values a sample")
        return layer

    def draw(self, style: str = "text", **kwargs: Any) -> Any:
        """The circuit for one sample: a string (`style="text"`) or matplotlib's `(figure, axes)` (`style="mpl"`)."""
        weights = {k: np.zeros(s) for k, s in self.function.weight_shapes.items()}
        if self.built:
            weights = {name: keras.ops.convert_to_numpy(weight) for name, weight in self._named_weights.items()}
        inputs = np.zeros(self.function.features or 1)
        qnode = qml.QNode(self.function.function, qml.device("default.qubit", wires=self.wires), interface=None)
        if style == "mpl":
            return qml.draw_mpl(qnode, **kwargs)(weights, inputs)
        return qml.draw(qnode, **{"show_matrices": False, **kwargs})(weights, inputs)

    @property
    def executor(self) -> Executor:
        """What runs the circuit on this backend; made on first use, so that a loaded layer makes its own."""
        if self._executor is None:
            self._executor = Executor(
                function=self.function,
                interface=INTERFACES[keras.backend.backend()],
                device_name=self.device_name,
                diff_method=self.diff_method,
                diff_options=self.diff_options,
                shots=self.shots,
                seed=self.seed,
                dtype=self.compute_dtype,
                outputs=self.outputs,
                max_batch_size=self.max_batch_size,
            )
        return self._executor

    def resolved_diff_method(self) -> str:
        """The differentiation method PennyLane uses when the declared one is `best`."""
        return self.executor.resolved_diff_method()

    # Helpers

    def _check_input(self, shape: tuple[int | None, ...]) -> None:
        features = None if self._any_features else self.function.features
        if len(shape) < 2:
            raise CircuitError(f"input of shape {shape}: expected (batch, ..., features)")
        if features is not None and shape[-1] is not None and shape[-1] != features:
            raise CircuitError(f"input of shape {shape}: the circuit takes {features} features")

    def _spec(self, kind: str, name: str) -> Any:
        value = self._specs[kind]
        return value.get(name) if isinstance(value, dict) and "class_name" not in value else value

    def _default_initializer(self, name: str) -> Any:
        """Angles spread over the whole circle; each weight its own stream, so that two are never equal."""
        seed = None if self.seed is None else self.seed + list(self.function.weight_shapes).index(name)
        return keras.initializers.RandomUniform(0.0, 2 * np.pi, seed=seed)


def load_circuit(circuit: str | Callable[..., Any]) -> Callable[..., Any]:
    """The quantum function behind a library name, a `module:function`, or the function itself."""
    if not isinstance(circuit, str):
        return circuit
    path = CIRCUITS.get(circuit, circuit)
    if ":" not in path:
        raise CircuitError(f"circuit = {circuit!r}: expected one of {', '.join(CIRCUITS)}, or package.module:function")
    return definition.resolve(path)


def serialize_spec(value: Any) -> Any:
    """A Keras initializer, regularizer or constraint, or a dict of them by weight name, as JSON."""
    if isinstance(value, dict) and "class_name" not in value:
        return {name: serialize_spec(item) for name, item in value.items()}
    return value if value is None or isinstance(value, str | dict) else keras.saving.serialize_keras_object(value)


def deserialize_spec(value: Any) -> Any:
    """The inverse of `serialize_spec`."""
    if isinstance(value, dict) and "class_name" not in value:
        return {name: deserialize_spec(item) for name, item in value.items()}
    return keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
