"""A scenario's whole model on NumPy, as a function of its weights, of the rest of its state and of a batch.

Where the oracle covers a quantum layer, it simulates the gate program; else PennyLane's NumPy interface makes a tape of
each sample, and that is simulated (`qnodes`), as are the tapes of QNodes that the model's own layers call.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from qparity import oracle
from qparity.circuit.model import build_model, example_batch, quantum_layers
from qparity.circuit.program import gate_program
from qparity.oracle.probes import direction
from qparity.records import Program, read
from qparity.records.document import Table
from qparity.scenario.schema import Scenario
from qparity.worker.reference import qnodes
from qparity.worker.reference.cannot import CannotStand
from qparity.worker.reference.differences import UNIT
from qparity.worker.reference.rounding import Disturbance, disturb, disturbed_by, disturbing
from qparity.worker.training import loss_of

Arrays = list[np.ndarray]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`predictions` (rows, outputs), the `loss` with all that the model adds to it, and the state afterwards."""

    predictions: np.ndarray
    loss: float
    state: Arrays


@dataclass
class Shift:
    """`size` times a direction is added to the outputs of every call of a quantum layer; `seed` and `step` are its."""

    layer: int
    size: float
    seed: int
    step: int
    calls: int = 0

    def __call__(self, outputs: np.ndarray) -> np.ndarray:
        """(batch, outputs), shifted."""
        self.calls += 1
        return outputs + self.size * direction(outputs.shape, self.seed, self.step, self.layer, self.calls)


class ReferenceModel:
    """The model of a scenario, built once. Trainable weights and other variables are in Keras' order."""

    def __init__(self, scenario: Scenario, features: int | Sequence[int], outputs: int) -> None:
        self.scenario = scenario
        self.model = build_model(scenario.model_copy(update={"dtype": "float64"}), features, outputs)
        self.layers = quantum_layers(self.model)
        self.programs = [gate_program(layer.function) for layer in self.layers]
        self.executors: list[Shifted] | None = None
        self._watch_layers()

    @property
    def trainable(self) -> list[Any]:
        """The trainable variables."""
        return list(self.model.trainable_weights)

    @property
    def rest(self) -> list[Any]:
        """All other variables."""
        return list(self.model.non_trainable_variables)

    @property
    def seeds(self) -> list[int]:
        """Which of the rest are the states of random generators."""
        return [j for j, variable in enumerate(self.rest) if variable.path.endswith("seed_generator_state")]

    def prepare(self) -> None:
        """Make the model ready to be evaluated.

        Raises:
            CannotStand: a layer samples.
        """
        if self.executors is not None:
            return
        if any(layer.shots is not None for layer in self.layers):
            raise CannotStand("sampled layers have no exact reference")
        self.executors = [Shifted(self._executor(*each)) for each in zip(self.layers, self.programs, strict=True)]
        for layer, executor in zip(self.layers, self.executors, strict=True):
            layer._executor = executor  # type: ignore[assignment]
        self.model.compile(optimizer="sgd", loss=loss_of(self.scenario), run_eagerly=True)

    def try_once(self, features: int | Sequence[int]) -> None:
        """Run the model on an example, whatever comes of it. Raises what a layer raises that does not run on NumPy."""
        if any(layer.shots is not None for layer in self.layers):
            return  # its circuits can be read, and no more will be asked
        self.prepare()
        with qnodes.simulated():
            self.model(example_batch(features, "float64"), training=True)

    def evaluate(
        self,
        weights: Sequence[np.ndarray],
        state: Sequence[np.ndarray],
        batch: Sequence[np.ndarray | None],
        disturbance: Disturbance | None = None,
        shift: Shift | None = None,
    ) -> Evaluation:
        """One forward pass in training mode.

        Args:
            weights: one array for each trainable variable.
            state: one for each other variable; afterwards they are as the pass left them.
            batch: inputs (rows, features), targets (rows, ...), the samples' weights in the loss (rows,) or None.
            disturbance: noise to add everywhere.
            shift: what to add to a quantum layer's outputs.
        """
        x, y, weight = batch
        assert x is not None
        assert self.executors is not None
        for j, executor in enumerate(self.executors):
            executor.shift = None if shift is None or shift.layer != j else dataclasses.replace(shift)
        with disturbed_by(disturbance), qnodes.simulated():
            for variable, value in zip(self.trainable, weights, strict=True):
                variable.assign(disturb(value))
            for variable, value in zip(self.rest, state, strict=True):
                variable.assign(disturb(value))
            x_moved = np.where(x == np.rint(x), x, disturb(x))  # a whole number may be an index
            predictions = self.model(x_moved, training=True)
            loss = self.model._compute_loss(x=x, y=y, y_pred=predictions, sample_weight=disturb(weight), training=True)
        after = [np.array(keras.ops.convert_to_numpy(variable)) for variable in self.rest]
        flat = np.asarray(predictions, np.float64).reshape(len(predictions), -1)
        return Evaluation(flat, float(np.asarray(loss)), after)

    def _watch_layers(self) -> None:
        """Disturb what every layer returns, while something is disturbed."""
        for layer in self.model._flatten_layers(include_self=False):
            layer.call = self._watched(layer)

    def _watched(self, layer: Any) -> Any:
        call, floor = layer.call, self._floor(layer)

        def watched(*arguments: Any, **options: Any) -> Any:
            outputs = call(*arguments, **options)
            if not disturbing():
                return outputs
            return keras.tree.map_structure(lambda leaf: disturb(leaf, floor), outputs)

        with contextlib.suppress(AttributeError):
            watched.__signature__ = layer._call_signature  # type: ignore[attr-defined]
        return watched

    def _floor(self, layer: Any) -> float:
        """An expectation value of zero is still rounded: sqrt(gates) times the observable's size, which is about 1."""
        if layer not in self.layers:
            return 0.0
        return floor_of(read(Program, self.programs[self.layers.index(layer)]), layer.wires)

    def _executor(self, layer: Any, program: Table) -> Any:
        with contextlib.suppress(oracle.NotCovered):
            return OracleExecutor(layer.executor, read(Program, program).simulated)
        plain: dict[str, Any] = {"device_options": {}, "qnode_options": {}, "diff_options": {}, "diff_method": "best"}
        device = qnodes.device_of_a_layer(layer)
        return dataclasses.replace(layer.executor, device_name=device.beside, given_device=device, **plain)


ENTROPIES = ("VnEntropy", "MutualInfo", "VnEntanglementEntropy")
"""PennyLane's measurements that sum -p log p over eigenvalues, of which a pure state's are zero."""


def floor_of(program: Program, wires: int) -> float:
    """What a circuit's outputs are rounded by however small they are, in units of roundoff.

    sqrt(gates) for expectation values of size 1. An eigenvalue of zero comes out as some u, of which -u log u is left:
    for entropies as much for each of the 2^wires eigenvalues.
    """
    floor = float(np.sqrt(max(len(program.gates), 16)))
    if any(name in (program.not_covered or "") for name in ENTROPIES):
        floor += 2.0**wires * -float(np.log(UNIT))
    return floor


@dataclass
class Shifted:
    """An executor whose outputs are shifted."""

    executor: Any
    shift: Shift | None = None

    def __call__(self, weights: dict[str, Any], inputs: Any) -> Any:
        """(batch, outputs)."""
        with qnodes.left_alone():
            outputs = self.executor(weights, inputs)
        return outputs if self.shift is None else self.shift(np.asarray(outputs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@dataclass(frozen=True)
class OracleExecutor:
    """Runs a circuit by the oracle: `(weights, inputs (batch, features)) -> (batch, outputs)`, float64."""

    executor: Any
    program: oracle.GateProgram

    def __call__(self, weights: dict[str, Any], inputs: Any) -> np.ndarray:
        """The measurements of every row."""
        arrays = [np.asarray(weights[name], np.float64) for name in self.program.weight_names]
        return np.asarray(oracle.predict(self.program, arrays, np.asarray(inputs, np.float64)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence NumPy's warnings, such as of an overflow before a relu: the frameworks give none either."""
    with np.errstate(all="ignore"):
        yield
