"""What a quantum function is, how it is found, and how its arguments are bound.

    @quantum_circuit(
        weight_shapes=lambda wires, layers: {"weights": (layers, wires)}, features=lambda wires: wires
    )
    def my_circuit(weights, inputs, wires, layers):
        for layer in range(layers):
            for wire in range(wires):
                qml.RX(inputs[..., wire], wires=wire)
                qml.RY(weights[layer, wire], wires=wire)
        return qml.expval(qml.Z(0))

A quantum function must serve NumPy, TensorFlow, PyTorch and JAX alike, for one sample and for a batch: take
feature j as `inputs[..., j]`, and index weights with `range` (a TensorFlow graph cannot iterate a tensor).
The decorator is a convenience: attributes set by hand, or shapes handed to `bind`, do as well.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml

from qparity.circuit import points
from qparity.circuit.batch_only import taking_samples
from qparity.circuit.errors import CircuitError, one_line
from qparity.circuit.measured import of_declared_wires, values_of
from qparity.circuit.transformed import transformed, transforms_of

QuantumFunction = Callable[..., Any]
Shape = tuple[int, ...]
MAX_FEATURES = 64


class ModuleError(CircuitError):
    """The module of a `package.module:function` is missing or fails to import."""


class AttributeMissingError(CircuitError):
    """The module has no such attribute."""


class NotCallableError(CircuitError):
    """The path names something that is not a function."""


class SignatureError(CircuitError):
    """The function's signature does not fit the weights and options it is given."""


@dataclass(frozen=True)
class BoundCircuit:
    """A quantum function with its wires, layers and options filled in.

    `function(weights, inputs)` takes weight arrays by name, shaped as `weight_shapes`, and inputs
    `(features,)` or `(batch, features)`, queues the gates and returns the list of measurements. `features` is
    None where neither the function nor the caller says how many: any number, for all that is known. `labels` are
    the declared wires.
    """

    function: Callable[[dict[str, Any], Any], list[Any]]
    weight_shapes: dict[str, Shape]
    features: int | None
    wires: int
    labels: tuple[Any, ...]

    def example(self, number: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Weights and one sample (features,) that the function takes: generic ones, others for another `number`."""
        return points.weights(self.weight_shapes, number), self.samples(number + 1)[number]

    def samples(self, count: int) -> np.ndarray:
        """Samples (count, features) that the function takes one at a time."""
        return points.rows(self.features_are, self.features or 1, count)

    @functools.cached_property
    def features_are(self) -> str:
        """The first of `points.KINDS` that the function takes for its features: any real numbers, or only bits, ...

        Raises:
            Exception: what the function says of real numbers, if it takes none.
        """
        weights = points.weights(self.weight_shapes)
        refusal: Exception | None = None
        for kind in points.KINDS:
            try:
                self.tape(weights, points.rows(kind, self.features or 1, 1)[0])
            except Exception as error:
                refusal = refusal or error
            else:
                return kind
        assert refusal is not None
        raise refusal

    def tape(self, weights: dict[str, Any] | None = None, inputs: Any = None) -> qml.tape.QuantumScript:
        """The gates and measurements at these weights and inputs, by default at `example()`."""
        if weights is None or inputs is None:
            some_weights, some_inputs = self.example()
            weights = some_weights if weights is None else weights
            inputs = some_inputs if inputs is None else inputs
        with qml.queuing.AnnotatedQueue() as queue:
            self.function(weights, inputs)
        return qml.tape.QuantumScript.from_queue(queue)


def quantum_circuit(
    *,
    weight_shapes: Callable[[int, int], Mapping[str, Sequence[int]]],
    features: Callable[[int], int] | None = None,
) -> Callable[[QuantumFunction], QuantumFunction]:
    """Say which weights and how many features a quantum function takes.

    Args:
        weight_shapes: `(wires, layers) -> {name: shape}`, in the order the weights are created.
        features: `wires -> number of input features`; left out for a circuit that takes any number.
    """

    def mark(function: QuantumFunction) -> QuantumFunction:
        function.weight_shapes = weight_shapes  # type: ignore[attr-defined]
        if features is not None:
            function.features = features  # type: ignore[attr-defined]
        return function

    return mark


def resolve(path: str, search_path: Sequence[str] = ()) -> QuantumFunction:
    """The function that `"package.module:function"` names; folders in `search_path` are looked in first.

    The folders stay at the end of `sys.path`, so that the module can import its neighbours later too.

    Raises:
        ModuleError, AttributeMissingError, NotCallableError: (CircuitError) one line that names the path.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise CircuitError(f"{path!r}: expected package.module:function")
    folders = [folder for folder in map(str, search_path) if folder not in sys.path]
    sys.path[:0] = folders
    try:
        importlib.invalidate_caches()
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ModuleError(f"{path}: cannot import {module_name} ({one_line(error)})") from error
    finally:
        sys.path[:] = [*sys.path[len(folders) :], *folders]
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise AttributeMissingError(f"{path}: module {module_name} has no {name!r}") from error
    if not callable(found):
        raise NotCallableError(f"{path}: expected a function, got {type(found).__name__}")
    function: QuantumFunction = found
    return function


def bind(
    function: QuantumFunction,
    wires: int | Sequence[Any],
    layers: int,
    options: Mapping[str, Any],
    weight_shapes: Mapping[str, Sequence[int]] | None = None,
    features: int | None = None,
    input_name: str = "inputs",
) -> BoundCircuit:
    """Fill in everything but weights and inputs, and check that the signature fits.

    `weight_shapes` and `features` take precedence over those of the function. `wires` (a number, or the wires' labels)
    and `layers` are passed as numbers, and only if the signature names them. `input_name` is the function's name for
    its features. Of a QNode the function and the transforms are taken. A measurement that names no wires is made on the
    declared ones.

    Raises:
        SignatureError: an unknown option, a weight or `inputs` that the function does not take, an argument
            without a value.
        CircuitError: weight shapes that are missing or are not positive integers.
    """
    name = getattr(function, "__name__", type(function).__name__)
    labels = tuple(range(wires)) if isinstance(wires, int) else tuple(wires)
    wires = len(labels)
    if weight_shapes is None:
        declared = getattr(function, "weight_shapes", None)
        if declared is None:
            raise CircuitError(f"{name}: weight_shapes are missing: give them, or set {name}.weight_shapes")
        weight_shapes = declared(wires, layers) if callable(declared) else declared
    if features is None:
        declared = getattr(function, "features", None)
        features = declared(wires) if callable(declared) else declared
    shapes = {weight: _shape(name, weight, shape) for weight, shape in weight_shapes.items()}
    sizes = {"wires": wires, "layers": layers}
    fixed = _fixed_arguments(function, name, sizes, options, (input_name, *shapes))
    if isinstance(function, qml.QNode):
        function = transformed(function.func, transforms_of(function), name)
    call: Any = functools.partial(_call, function, name, input_name, fixed, labels)
    if features is not None:
        call = taking_samples(call, shapes, features, wires)
    return BoundCircuit(call, shapes, features, wires, labels)


def smallest(bound: BoundCircuit) -> BoundCircuit:
    """The circuit with the smallest number of features it runs with, where neither it nor the caller says how many.

    Raises:
        CircuitError: it runs with none up to `MAX_FEATURES`, nor with a power of two that `wires` amplitudes can hold.
    """
    said = ""
    powers = [2**wires for wires in range(bound.wires + 1) if 2**wires > MAX_FEATURES]
    for features in (*range(1, MAX_FEATURES + 1), *powers):
        call = taking_samples(bound.function, bound.weight_shapes, features, bound.wires)
        candidate = dataclasses.replace(bound, features=features, function=call)
        try:
            candidate.tape()
        except CircuitError:
            raise
        except Exception as error:
            said = one_line(error)
            continue
        return candidate
    raise CircuitError(
        f"the circuit runs with no number of features up to {MAX_FEATURES} ({said}): "
        "say how many (features=...), or mend weight_shapes"
    )


def output_size(bound: BoundCircuit, shots: int | None = None, complex_outputs: str | None = None) -> int:
    """Number of real values measured for a sample: 1 for an expectation value, 2^k for probabilities of k wires.

    Args:
        bound: the circuit.
        shots: samples per measurement; None is analytic.
        complex_outputs: `parts` counts a complex value as two, its real and its imaginary part.

    Raises:
        CircuitError: the function fails at every kind of features, or returns no measurement, or one that has no
            fixed size (such as counts), or one of complex values without `complex_outputs`.
    """
    try:
        measurements = bound.tape().measurements
    except CircuitError:
        raise
    except Exception as error:
        raise CircuitError(f"the quantum function fails on NumPy arrays ({one_line(error)})") from error
    if not measurements:
        raise CircuitError("the quantum function returns no measurement")
    return sum(values_of(measurement, bound.wires, shots, complex_outputs) for measurement in measurements)


def _call(
    function: QuantumFunction,
    name: str,
    input_name: str,
    fixed: Mapping[str, Any],
    wires: Sequence[int],
    weights: Mapping[str, Any],
    inputs: Any,
) -> list[Any]:
    result = function(**weights, **{input_name: inputs}, **fixed)
    measurements = list(result) if isinstance(result, list | tuple) else [result]
    for measurement in measurements:
        if not isinstance(measurement, qml.measurements.MeasurementProcess):
            raise CircuitError(f"{name}: expected measurements returned, got {type(measurement).__name__}")
    return of_declared_wires(measurements, wires)


def _fixed_arguments(
    function: QuantumFunction,
    name: str,
    sizes: Mapping[str, int],
    options: Mapping[str, Any],
    tensors: Sequence[str],
) -> dict[str, Any]:
    """The keyword arguments that never change, after checking that every argument finds its place."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [p.name for p in named]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for tensor in tensors:
        if tensor not in names and not takes_any:
            raise SignatureError(f"{name}: the function takes no {tensor!r}, but {', '.join(names)}")
    for option in options:
        if option in (*tensors, *sizes):
            raise SignatureError(f"{name}: {option!r} cannot be a circuit option: it is passed anyway")
        if option not in names and not takes_any:
            known = ", ".join(p for p in names if p not in (*tensors, *sizes))
            raise SignatureError(f"{name}: unknown option {option!r}; expected one of: {known or 'none'}")
    fixed = {size: value for size, value in sizes.items() if size in names} | dict(options)
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in (*tensors, *fixed):
            raise SignatureError(f"{name}: argument {parameter.name!r} has neither weight shape nor option")
    return fixed


def _shape(function: str, weight: str, shape: Any) -> Shape:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise CircuitError(f"{function}: weight shape {weight} = {shape!r}: expected positive integers")
    return sizes
