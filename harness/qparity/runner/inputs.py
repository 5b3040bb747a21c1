"""What every variant of a block is given: data, batch order and starting weights, made once by NumPy.

The same initializer seed gives different weights on each backend, so none of them is asked. All values are exactly
representable in float32: a float32 and a float64 program start from the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qparity.data import Dataset, make
from qparity.records import Variable
from qparity.records.document import Table
from qparity.records.requests import Features
from qparity.runner.plan import Block
from qparity.scenario.own_data import Given, read_own
from qparity.scenario.schema import SAMPLE_WEIGHT, Scenario
from qparity.worker.protocol import digest

ORDER_STREAM, WEIGHT_STREAM, STATE_STREAM = 1, 2, 3
Shape = tuple[Features, int]
"""Features and targets of a sample."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """`x` (samples, features...) and `y` (samples, ...) in the declared dtype, `order` (epochs, samples) int64.

    `weight` (samples,), where there is one, is that of each sample in the loss, in the declared dtype too.
    """

    x: np.ndarray
    y: np.ndarray
    order: np.ndarray
    weight: np.ndarray | None = None

    @property
    def shape(self) -> Shape:
        """Features of a sample (their shape, where they are no vector), and how many targets."""
        return shape_of(self.x, self.y)

    def arrays(self) -> dict[str, np.ndarray]:
        """The data, by their names in a trace."""
        weight = {} if self.weight is None else {SAMPLE_WEIGHT: self.weight}
        return {"x": self.x, "y": self.y, **weight}


def shape_of(x: np.ndarray, y: np.ndarray) -> Shape:
    """Features and targets of a sample of `x` (samples, features...) and `y` (samples, ...)."""
    features = x.shape[1:]
    return features[0] if len(features) == 1 else features, int(np.prod(y.shape[1:]))


def inputs_of(block: Block) -> Inputs:
    """Data and batch order of a block.

    Raises:
        ScenarioError: its data file is not what it was.
    """
    spec = block.scenario.data
    own = read_own(spec, Path(block.search_path[0])) if spec.file else block.given
    return make_inputs(block.scenario, own)


def make_inputs(scenario: Scenario, own: Given | Dataset | None = None) -> Inputs:
    """Data and batch order of a scenario; `own` are a user's data in place of the data set that it names."""
    spec = scenario.data
    data = own or make(spec.name, spec.samples, scenario.seed, spec.options)
    epochs, samples = scenario.training.epochs, len(data.x)
    order = np.tile(np.arange(samples, dtype=np.int64), (epochs, 1))
    if scenario.training.shuffle:
        rng = np.random.Generator(np.random.PCG64([scenario.seed, ORDER_STREAM]))
        order = rng.permuted(order, axis=1)
    x = data.x if scenario.model else data.x.reshape(samples, -1)
    weight = None if data.weight is None else data.weight.astype(scenario.dtype)
    return Inputs(x.astype(scenario.dtype), data.y.astype(scenario.dtype), order, weight)


def starting_values(
    variables: Sequence[Variable], initial: list[np.ndarray], scenario: Scenario, stream: int
) -> list[np.ndarray]:
    """Starting values of every weight (`WEIGHT_STREAM`) or other variable (`STATE_STREAM`) of a model.

    What starts at random is drawn here, a function of the seed, of place and shape alone: angles of a quantum layer
    uniform over the circle, other weights Glorot uniform, integers (seeds of a random generator) below 2^31. Whatever
    a user's code sets to numbers of its own (constants, pretrained weights, zero biases) stays as it is, rounded to
    float32.

    Args:
        variables: `resolved.weights` or `resolved.state` of an outcome.
        initial: the arrays as the model was built with.
    """
    arrays = []
    for k, (about, built) in enumerate(zip(variables, initial, strict=True)):
        rng = np.random.Generator(np.random.PCG64([scenario.seed, stream, k]))
        shape = about.shape
        if not np.issubdtype(built.dtype, np.floating):
            drawn = rng.integers(0, 2**31, shape).astype(built.dtype)
            arrays.append(drawn if about.random else built)
            continue
        if not about.random:
            values = built
        elif about.layer:
            values = rng.uniform(0.0, 2 * np.pi, shape)
        else:
            limit = np.sqrt(6.0 / (shape[0] + shape[-1])) if shape else 1.0
            values = rng.uniform(-limit, limit, shape)
        single = np.asarray(values, dtype=np.float32)
        arrays.append((to_bfloat16(single) if about.dtype == "bfloat16" else single).astype(built.dtype))
    return arrays


def to_bfloat16(array: np.ndarray) -> np.ndarray:
    """float32 numbers rounded to those that bfloat16 has too: the upper half of their bits, to nearest even."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32).reshape(array.shape)


def sent_and_declared(scenario: Scenario, inputs: Inputs, weights: list[np.ndarray], state: list[np.ndarray]) -> Table:
    """What the parent sent and declared, as the outcome keeps it: the setup stage is judged against it."""
    return {
        "hashes": {
            **{name: digest(array) for name, array in inputs.arrays().items()},
            "weights": [digest(w) for w in weights],
            "state": [digest(v) for v in state],
            "order": digest(inputs.order.reshape(-1)),
        },
        "hyperparameters": scenario.training.optimizer.arguments,
    }
