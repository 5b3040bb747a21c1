"""The oracle trains a recorded scenario itself: several runs side by side over the recorded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qparity import oracle
from qparity.oracle.losses import Loss
from qparity.oracle.optimizers import Optimizer, State
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Observation


@dataclass(frozen=True)
class Retraining:
    """A cell's training, to be done again. Weights are lists of arrays (runs, *shape) in the oracle's real dtype."""

    o: Observation

    @cached_property
    def program(self) -> oracle.GateProgram:
        """The circuit. Raises ValueError (NotCovered) where the oracle cannot train the scenario."""
        if self.o.program is None or self.o.whole_model or self.o.scenario.shots:
            raise oracle.NotCovered("the oracle trains bare analytic circuits that have a gate program")
        return self.o.program.simulated

    @cached_property
    def dtypes(self) -> tuple[type, type]:
        """The complex and the real dtype to compute in."""
        return oracle.reference_dtype(self.o.dtype)

    @cached_property
    def optimizer(self) -> Optimizer:
        """The reference of the scenario's optimizer."""
        return oracle.reference_optimizer(self.o.optimizer, self.o.dtype, self.dtypes[1])

    @cached_property
    def offsets(self) -> np.ndarray:
        """Step t covers rows `offsets[t]:offsets[t+1]`."""
        assert self.o.trace is not None
        return np.asarray(self.o.trace["offsets"])

    @cached_property
    def steps(self) -> int:
        """How many steps were recorded."""
        return len(self.offsets) - 1

    @cached_property
    def inputs(self) -> np.ndarray:
        """What each row was, (rows, features)."""
        assert self.o.trace is not None
        return flat(self.o.trace["x"])[self.o.trace["batch_index"]]

    @cached_property
    def targets(self) -> np.ndarray:
        """What each row was to give, (rows, outputs)."""
        return np.asarray(self.o.targets.astype(self.dtypes[1]))

    def recorded_weights(self, step: int) -> list[np.ndarray]:
        """The weights before a step, or after the last, as one run."""
        kind, at = ("weights", step) if step < self.steps else ("new_weights", -1)
        return [np.asarray(w[at])[None].astype(self.dtypes[1]) for w in weight_arrays(self.o, kind)]

    def recorded_state(self, step: int) -> State:
        """The optimizer's state before a step, from the recorded slots."""
        assert self.o.trace is not None
        start = self.optimizer.start([w[0] for w in self.recorded_weights(0)])
        if not step:
            return start
        slots = {
            name: [self._slot(k, name, step - 1, zero) for k, zero in enumerate(zeros)]
            for name, zeros in start.slots.items()
        }
        return State(step, slots)

    def gradients(self, weights: list[np.ndarray], step: int) -> tuple[np.ndarray, Loss, list[np.ndarray]]:
        """Predictions (runs * batch, outputs), the loss and the gradients of every run on a step's batch."""
        runs, rows = len(weights[0]), slice(self.offsets[step], self.offsets[step + 1])
        stops = np.arange(runs + 1) * (rows.stop - rows.start)
        inputs, targets = (np.tile(a[rows], (runs, 1)) for a in (self.inputs, self.targets))
        predictions = oracle.predict(self.program, weights, inputs, stops, self.dtypes[0])
        loss = oracle.evaluate_loss(self.o.loss, predictions, targets, stops)
        return predictions, loss, oracle.vjp(self.program, weights, inputs, loss.cotangents, stops, self.dtypes[0])[1]

    def update(
        self, weights: list[np.ndarray], states: Sequence[State], gradients: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[State]]:
        """One step of every run by itself: clipping by norm must not mix them."""
        stepped = [
            self.optimizer.step(state, [w[run] for w in weights], [g[run] for g in gradients])
            for run, state in enumerate(states)
        ]
        return [np.stack(parts) for parts in zip(*(new for _, new in stepped), strict=True)], [s for s, _ in stepped]

    def _slot(self, k: int, name: str, step: int, zero: np.ndarray) -> np.ndarray:
        """A recorded slot. Adam without AMSGrad has no `vhat` of its own (it is v), SGD without momentum no slot."""
        assert self.o.trace is not None
        if name == "momentum" and not getattr(self.optimizer, name):
            return zero
        for recorded in (f"slots/{k}/{name}", *([f"slots/{k}/v"] if name == "vhat" else [])):
            if recorded in self.o.trace:
                return np.asarray(self.o.trace[recorded][step]).astype(zero.dtype)
        raise oracle.NotCovered(f"slot {name} of weight {k} was not recorded")


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(rows, *shape) each as one (rows, elements)."""
    return np.concatenate([flat(a) for a in arrays], axis=1)


def flat(array: np.ndarray) -> np.ndarray:
    """(rows, ...) as (rows, elements)."""
    return np.asarray(array).reshape(len(array), -1)
