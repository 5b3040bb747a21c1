"""What every variant of a block is given: data, batch order and starting weights, made once by NumPy.

The same initializer seed gives different weights on each backend, so none of them is asked. All values are exactly
representable in float32: a float32 and a float64 program start from the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data import make
from harness.scenario.schema import Scenario
from harness.worker.protocol import digest

ORDER_STREAM, WEIGHT_STREAM = 1, 2


@dataclass(frozen=True, slots=True)
class Inputs:
    """`x` (samples, features) and `y` (samples, outputs) in the declared dtype, `order` (epochs, samples) int64."""

    x: np.ndarray
    y: np.ndarray
    order: np.ndarray


def make_inputs(scenario: Scenario) -> Inputs:
    """Data and batch order of a scenario."""
    data = make(scenario.data.name, scenario.data.samples, scenario.seed, scenario.data.options)
    epochs, samples = scenario.training.epochs, len(data.x)
    order = np.tile(np.arange(samples, dtype=np.int64), (epochs, 1))
    if scenario.training.shuffle:
        rng = np.random.Generator(np.random.PCG64([scenario.seed, ORDER_STREAM]))
        order = rng.permuted(order, axis=1)
    return Inputs(data.x.astype(scenario.dtype), data.y.astype(scenario.dtype), order)


def starting_weights(weights: list[dict[str, Any]], initial: list[np.ndarray], scenario: Scenario) -> list[np.ndarray]:
    """Starting values of every trainable weight, a function of the seed and of shapes alone.

    Weights of a quantum layer are angles, uniform over the circle. Other weights that their layer starts at one value
    (biases, scales) stay there; the rest is Glorot uniform.

    Args:
        weights: `resolved.weights` of an outcome: path, shape, dtype, layer.
        initial: the arrays as the layer's own initializers made them.
    """
    arrays = []
    for k, (about, built) in enumerate(zip(weights, initial, strict=True)):
        rng = np.random.Generator(np.random.PCG64([scenario.seed, WEIGHT_STREAM, k]))
        shape = tuple(about["shape"])
        if about["layer"]:
            values = rng.uniform(0.0, 2 * np.pi, shape)
        elif built.size and np.all(built == built.flat[0]):
            values = built
        else:
            limit = np.sqrt(6.0 / (shape[0] + shape[-1])) if shape else 1.0
            values = rng.uniform(-limit, limit, shape)
        arrays.append(np.asarray(values, dtype=np.float32).astype(about["dtype"]))
    return arrays


def expected(scenario: Scenario, inputs: Inputs, weights: list[np.ndarray]) -> dict[str, Any]:
    """What the parent sent and declared, as the outcome keeps it: the setup stage is judged against it."""
    return {
        "hashes": {
            "x": digest(inputs.x),
            "y": digest(inputs.y),
            "weights": [digest(w) for w in weights],
            "order": digest(inputs.order.reshape(-1)),
        },
        "hyperparameters": scenario.training.optimizer.arguments,
    }
