"""QKerasLayer: a PennyLane quantum function as a Keras 3 layer, alike on TensorFlow, PyTorch, JAX and NumPy.

    layer = QKerasLayer("data_reuploading", wires=2, layers=3)               # a circuit of the library
    layer = QKerasLayer(my_function, weight_shapes={"weights": (3, 2)}, wires=2, device="lightning.qubit")
    layer = QKerasLayer.from_qnode(qnode, {"weights": (3, 2)}, output_dim=2)  # as the old qml.qnn.KerasLayer

The function may be written for a batch (`inputs[..., j]`) or for one sample (`inputs[j]`): `layer.expanded` says why a
batch runs as single circuits, if it does.
The input is (..., features), the output (..., outputs): the measurements of a sample, concatenated.
How a backend runs the circuit lives in `execution`, what a quantum function looks like in `definition`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
import pennylane as qml
from keras import ops

from qparity.circuit import definition
from qparity.circuit.computed import on_tensors
from qparity.circuit.device import OPTIONS, options_of
from qparity.circuit.errors import CircuitError
from qparity.circuit.execution import INTERFACES, Executor
from qparity.circuit.qnode import name_of_inputs, settings_of
from qparity.circuit.saving import deserialize_spec, load_circuit, serialize_circuit, serialize_spec
from qparity.circuit.tensors import ComputesWithNumpy
from qparity.oracle.program import NotCovered

# compute dtype -> what the circuit computes in
PRECISIONS = {"float32": "float32", "float64": "float64", "float16": "float32", "bfloat16": "float32"}
SPECS = ("initializer", "regularizer", "constraint")
COMPUTED = (
    "its function computes with NumPy, where tensors lose their gradients: the layer computes the same with qml.math"
)


@keras.saving.register_keras_serializable(package="qparity")
class QKerasLayer(keras.layers.Layer):
    """A quantum function with trainable weights as a Keras layer.

    Args:
        circuit: a name of the circuit library, `"package.module:function"`, or a quantum function
            `f(weights, inputs, ...)` (see `qparity.circuit.definition`). Of a QNode, function and transforms are
            taken; what else it says, `from_qnode` takes.
        wires: number of wires of the device, or their labels.
        layers: passed to the quantum function if it takes `layers`.
        weight_shapes: name -> shape of each weight array, {} for none; a library circuit knows its own.
        features: number of input features; None takes the circuit's own, else any.
        device: PennyLane device name, or a device, which is then used as it is.
        device_options: further arguments of `qml.device`.
        diff_method: PennyLane differentiation method; `best` lets PennyLane choose.
        diff_options: keyword arguments of the differentiation method, such as `{"h": 1e-4}`.
        shots: samples per expectation; None is analytic.
        seed: of the device's sampler and of the default weight initializer.
        circuit_options: further keyword arguments of the quantum function.
        qnode_options: further arguments of the QNode, such as `mcm_method`.
        initializer: Keras identifier for all weights, or a dict by weight name.
        regularizer: likewise.
        constraint: likewise.
        weight_specs: weight name -> further arguments of `add_weight`, as the old layer took them.
        input_name: the function's name for its features.
        complex_outputs: None refuses complex measurements, such as `qml.state()`; `parts` returns the real parts of
            such a measurement, then its imaginary parts.
        max_batch_size: only TensorFlow graphs and XLA need it: the largest batch that will come (times further axes
            before the features), to which a batch of unknown size is filled up. None fills chunks of 32 and loops
            over them.

    The circuit computes in the layer's compute dtype; where that has 16 bits, in float32, and the outputs are rounded.

    Raises:
        CircuitError: (a ValueError) what PennyLane would refuse obscurely later, in one line.
    """

    def __init__(
        self,
        circuit: str | Callable[..., Any] = "data_reuploading",
        *,
        wires: int | Sequence[Any] = 1,
        layers: int = 1,
        weight_shapes: dict[str, tuple[int, ...]] | None = None,
        features: int | None = None,
        device: Any = "default.qubit",
        device_options: dict[str, Any] | None = None,
        diff_method: str = "best",
        diff_options: dict[str, Any] | None = None,
        shots: int | None = None,
        seed: int | None = None,
        circuit_options: dict[str, Any] | None = None,
        qnode_options: dict[str, Any] | None = None,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        weight_specs: dict[str, dict[str, Any]] | None = None,
        input_name: str = "inputs",
        complex_outputs: str | None = None,
        max_batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = None if isinstance(device, str) else device
        if given is not None:
            device, device_options = given.name, options_of(given) if given.name in OPTIONS else {}
        self._options = {
            "wires": wires,
            "layers": layers,
            "weight_shapes": weight_shapes,
            "features": features,
            "device": device,
            "device_options": device_options or {},
            "diff_method": diff_method,
            "diff_options": diff_options or {},
            "shots": shots,
            "seed": seed,
            "circuit_options": circuit_options or {},
            "qnode_options": qnode_options or {},
            "input_name": input_name,
            "complex_outputs": complex_outputs,
            "max_batch_size": max_batch_size,
        }
        self._specs = {"initializer": initializer, "regularizer": regularizer, "constraint": constraint}
        self._weight_specs = weight_specs or {}
        self.circuit = circuit
        self.wires, self.device_name, self.diff_method = wires, device, diff_method
        self.shots, self.seed, self.diff_options = shots, seed, dict(diff_options or {})
        self.device_options, self.qnode_options = dict(device_options or {}), dict(qnode_options or {})
        self.max_batch_size = max_batch_size
        self._given_device = given
        self._executor: Executor | None = None
        if self.compute_dtype not in PRECISIONS:
            raise CircuitError(f"dtype {self.compute_dtype}: expected one of {', '.join(PRECISIONS)}")
        if complex_outputs not in (None, "parts"):
            raise CircuitError(f"complex_outputs = {complex_outputs!r}: expected None or 'parts'")
        self.function = definition.bind(
            load_circuit(circuit), wires, layers, dict(circuit_options or {}), weight_shapes, features, input_name
        )
        if unknown := set(self._weight_specs) - set(self.function.weight_shapes):
            raise CircuitError(f"weight_specs: no weight is called {', '.join(sorted(unknown))}")
        self._any_features = self.function.features is None
        self._take(definition.smallest(self.function) if self._any_features else self.function)

    # What Keras asks for

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; `input_shape` is (..., features)."""
        self._check_input(input_shape)
        if self._any_features and input_shape[-1] not in (None, self.function.features):
            self._take(dataclasses.replace(self.function, features=input_shape[-1]))
        self._named_weights = {
            name: self.add_weight(**self._weight_arguments(name, shape))
            for name, shape in self.function.weight_shapes.items()
        }
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Measurements of every sample: (..., features) -> (..., outputs), in the compute dtype."""
        shape = ops.shape(inputs)
        self._check_input(tuple(inputs.shape))
        flat = inputs if len(shape) == 2 else ops.reshape(inputs, (-1, shape[-1]))
        flat = ops.cast(flat, "int32" if self.function.features_are == "integers" else self.executor.dtype)
        weights = {name: ops.cast(weight.value, self.executor.dtype) for name, weight in self._named_weights.items()}
        outputs = ops.cast(self.executor(weights, flat), self.compute_dtype)
        return outputs if len(shape) == 2 else ops.reshape(outputs, (*shape[:-1], self.outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(..., features) -> (..., outputs)."""
        return (*input_shape[:-1], self.outputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Shape and dtype without running the circuit: drawing a summary must not execute a device."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments, JSON-able; a function is kept as `module:name` or by Keras registration.

        A device is kept by its name and known options, a QNode by its function or its `module:name`.
        """
        specs = {key: serialize_spec(value) for key, value in self._specs.items()}
        weight_specs = {name: serialize_spec(spec) for name, spec in self._weight_specs.items()}
        circuit = {"circuit": serialize_circuit(self.circuit)}
        return {**super().get_config(), **circuit, **self._options, **specs, "weight_specs": weight_specs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild from `get_config`; the caller's dict is left as it was."""
        config = dict(config)
        if isinstance(config["circuit"], dict):
            config["circuit"] = keras.saving.deserialize_keras_object(config["circuit"])
        if config.get("weight_shapes"):
            config["weight_shapes"] = {k: tuple(v) for k, v in config["weight_shapes"].items()}
        for key in SPECS:
            config[key] = deserialize_spec(config.get(key))
        config["weight_specs"] = {k: deserialize_spec(v) for k, v in (config.get("weight_specs") or {}).items()}
        return cls(**config)

    @property
    def supports_jit(self) -> bool:
        """Whether Keras' `jit_compile="auto"` may choose XLA: not where TensorFlow cannot trace the circuit."""
        return self._supports_jit and (self.executor.interface != "tf" or self.executor.traceable)

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        self._supports_jit = value

    # What people ask for

    @classmethod
    def from_qnode(
        cls,
        qnode: qml.QNode,
        weight_shapes: dict[str, Any],
        output_dim: int | None = None,
        weight_specs: dict[str, dict[str, Any]] | None = None,
        input_name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """The arguments of the old `qml.qnn.KerasLayer`: all that the QNode says is taken over.

        Its function and transforms, its device as it is, its diff method, shots and further options; what `kwargs` say
        goes before. `output_dim` is checked against what the QNode measures. The features are its argument `inputs`, or
        the one that is no weight. As there, the shape 1 is a number and the shape (1,) a vector.

        Raises:
            CircuitError: the device does not say its wires, or a transform makes several circuits of one.
        """
        shapes = {k: () if v == 1 else (v,) if isinstance(v, int) else tuple(v) for k, v in weight_shapes.items()}
        settings = settings_of(qnode) | {"input_name": input_name or name_of_inputs(qnode, shapes)}
        layer = cls(qnode, **{**settings, "weight_shapes": shapes, "weight_specs": weight_specs, **kwargs})
        if output_dim is not None and output_dim not in (layer.outputs, (layer.outputs,), [layer.outputs]):
            raise CircuitError(f"output_dim = {output_dim}: the QNode measures {layer.outputs} values a sample")
        return layer

    def draw(self, style: str = "text", **kwargs: Any) -> Any:
        """The circuit for one sample: a string (`style="text"`) or matplotlib's `(figure, axes)` (`style="mpl"`)."""
        weights, inputs = self.function.example()
        if self.built:
            weights = {name: keras.ops.convert_to_numpy(weight) for name, weight in self._named_weights.items()}
        device = qml.device("default.qubit", wires=list(self.function.labels))
        qnode = qml.QNode(self.function.function, device, interface=None)
        if style == "mpl":
            return qml.draw_mpl(qnode, **kwargs)(weights, inputs)
        return qml.draw(qnode, **{"show_matrices": False, **kwargs})(weights, inputs)

    @property
    def executor(self) -> Executor:
        """What runs the circuit on this backend; made on first use, so that a loaded layer makes its own."""
        if self._executor is None:
            self._executor = Executor(
                function=self._run,
                interface=INTERFACES[keras.backend.backend()],
                device_name=self.device_name,
                diff_method=self.diff_method,
                diff_options=self.diff_options,
                shots=self.shots,
                seed=self.seed,
                dtype=PRECISIONS[self.compute_dtype],
                outputs=self.outputs,
                max_batch_size=self.max_batch_size,
                device_options=self.device_options,
                qnode_options=self.qnode_options,
                given_device=self._given_device,
            )
        return self._executor

    @property
    def expanded(self) -> str | None:
        """Why a batch runs as single circuits, in one line; None where it runs as one circuit."""
        return self.executor.expanded

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

    def _take(self, function: definition.BoundCircuit) -> None:
        """Make this the circuit, once it is known to run."""
        self.function, self._run = function, function
        self.outputs = definition.output_size(function, self.shots, self._options["complex_outputs"])
        self._executor = None
        try:
            self.executor.check()
        except ComputesWithNumpy as refusal:
            self._run_as_computed(refusal)
        else:
            if self.executor.loses_inputs:
                self._run_as_computed(None)

    def _run_as_computed(self, refusal: ComputesWithNumpy | None) -> None:
        """Run what the function computes in place of its code, where that is known; else raise the refusal, if any."""
        before = self._executor
        try:
            self._run, self._executor = on_tensors(self.function), None
            self.executor.check()
        except (NotCovered, ComputesWithNumpy):
            self._run, self._executor = self.function, before
            if refusal is not None:
                raise refusal from None
        else:
            warnings.warn(f"{self.name}: {COMPUTED}", stacklevel=2)

    @property
    def computed(self) -> str | None:
        """Why the layer runs what its function computes in place of its code, in one line; None where it runs that."""
        return None if self._run is self.function else COMPUTED

    def _weight_arguments(self, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        found = {kind: self._spec(kind, name) for kind in SPECS}
        found["initializer"] = found["initializer"] or self._default_initializer(name)
        return {"name": name, "shape": shape, "trainable": True, **found, **self._weight_specs.get(name, {})}

    def _spec(self, kind: str, name: str) -> Any:
        value = self._specs[kind]
        return value.get(name) if isinstance(value, dict) and "class_name" not in value else value

    def _default_initializer(self, name: str) -> Any:
        """Angles spread over the whole circle; each weight its own stream, so that two are never equal."""
        seed = None if self.seed is None else self.seed + list(self.function.weight_shapes).index(name)
        return keras.initializers.RandomUniform(0.0, 2 * np.pi, seed=seed)
