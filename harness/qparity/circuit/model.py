"""The Keras model of a scenario: the user's own builder, or one quantum layer on an input."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qparity.circuit.layer import QKerasLayer
from qparity.circuit.saving import load_circuit
from qparity.circuit.script import captured
from qparity.scenario.schema import Scenario


def build_model(scenario: Scenario, features: int | Sequence[int], outputs: int, drawn: bool = True) -> keras.Model:
    """The uncompiled, built model of a scenario for data of `features` inputs and `outputs` targets.

    Unless `drawn` the weights of a circuit without a model of its own are zeros, for who sets them anyway: random
    numbers are what JAX compiles longest of a small model.

    A user's builder `build(...)` gets by name whichever of these it takes: features, outputs, wires, layers, device,
    diff_method, shots, seed, dtype, batch_size, and the scenario's `circuit_options`.
    """
    if scenario.script:
        return captured().fresh_model()
    if scenario.model:
        return _user_model(scenario, features, outputs)
    shapes = scenario.weight_shapes
    assert isinstance(features, int)
    layer = QKerasLayer(
        scenario.circuit,
        wires=scenario.wires,
        layers=scenario.layers,
        weight_shapes=None if shapes is None else {k: tuple(v) for k, v in shapes.items()},
        features=None if hasattr(load_circuit(scenario.circuit), "features") else features,
        device=scenario.device,
        diff_method=scenario.diff_method,
        diff_options=scenario.diff_options,
        device_options=scenario.device_options,
        qnode_options=scenario.qnode_options,
        shots=scenario.shots,
        seed=scenario.seed,
        circuit_options=scenario.circuit_options,
        max_batch_size=scenario.training.batch_size,
        initializer=None if drawn else "zeros",
        dtype=scenario.dtype,
        name="quantum",
    )
    return keras.Sequential([keras.Input((features,), dtype=scenario.dtype), layer], name="model")


def quantum_layers(model: keras.Model) -> list[QKerasLayer]:
    """All quantum layers of a model, in the order Keras flattens them."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, QKerasLayer)]


def _user_model(scenario: Scenario, features: int | Sequence[int], outputs: int) -> keras.Model:
    assert scenario.model is not None
    module, _, name = scenario.model.partition(":")
    build: Callable[..., Any] = getattr(importlib.import_module(module), name)
    offered = {
        "features": features if isinstance(features, int) else tuple(features),
        "outputs": outputs,
        "wires": scenario.wires,
        "layers": scenario.layers,
        "device": scenario.device,
        "diff_method": scenario.diff_method,
        "shots": scenario.shots,
        "seed": scenario.seed,
        "dtype": scenario.dtype,
        "batch_size": scenario.training.batch_size,
        **scenario.circuit_options,
    }
    parameters = inspect.signature(build).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    model = build(**{k: v for k, v in offered.items() if takes_any or k in parameters})
    if not isinstance(model, keras.Model):
        raise ValueError(f"model = {scenario.model!r} returned a {type(model).__name__}: expected a keras.Model")
    if not model.built or not all(layer.built for layer in model._flatten_layers()):
        model(example_batch(features, scenario.dtype))  # a subclassed model makes its weights when it is called
    return model


def example_batch(features: int | Sequence[int], dtype: str) -> Any:
    """A batch of two samples, (2, features...), to build a model with."""
    shape = [features] if isinstance(features, int) else features
    return keras.ops.convert_to_tensor(np.full((2, *shape), 0.5), dtype=dtype)
