"""The oracle trains a recorded scenario itself: several runs side by side over the recorded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qparity import oracle
from qparity.oracle.bounded import Bounded
from qparity.oracle.losses import Loss
from qparity.oracle.optimizers import Law, State
from qparity.oracle.schedules import rate_at
from qparity.parity import tolerances as tol
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
    def optimizer(self) -> Law:
        """The law of the scenario's optimizer."""
        return self.o.law(self.o.dtype, self.dtypes[1], tol.unit(self.o.dtype))

    @cached_property
    def offsets(self) -> np.ndarray:
        """Step t covers rows `offsets[t]:offsets[t+1]`."""
        return np.asarray(self.o.recorded.offsets)

    @cached_property
    def steps(self) -> int:
        """How many steps were recorded."""
        return len(self.offsets) - 1

    @cached_property
    def inputs(self) -> np.ndarray:
        """The inputs of each row, (rows, features)."""
        return flat(self.o.recorded.x)[self.o.recorded.batch_index]

    @cached_property
    def targets(self) -> np.ndarray:
        """The targets of each row, (rows, outputs)."""
        return np.asarray(self.o.targets.astype(self.dtypes[1]))

    def recorded_weights(self, step: int) -> list[np.ndarray]:
        """The weights before a step, or after the last, as one run."""
        kind, at = ("weights", step) if step < self.steps else ("new_weights", -1)
        return [np.asarray(w[at])[None].astype(self.dtypes[1]) for w in weight_arrays(self.o, kind)]

    def recorded_state(self, step: int) -> State:
        """The optimizer's state before a step, from the recorded slots."""
        start = self.optimizer.start([w[0] for w in self.recorded_weights(0)])
        if not step:
            return start
        if self.o.optimizer["ema_overwrite_frequency"]:
            raise oracle.NotCovered("the moving averages of the weights were not recorded")
        slots = {
            name: [self._slot(k, name, step - 1, zero) for k, zero in enumerate(zeros)]
            for name, zeros in start.slots.items()
        }
        taken = step % self.accumulated
        waiting = [
            g[step - taken : step].astype(self.dtypes[1]).sum(axis=0) for g in weight_arrays(self.o, "gradients")
        ]
        unit = self.optimizer.unit
        return State(step // self.accumulated, slots, taken, tuple(Bounded.exact(g, unit) for g in waiting))

    @property
    def accumulated(self) -> int:
        """Over how many steps the optimizer accumulates gradients before it updates."""
        return self.o.optimizer["gradient_accumulation_steps"] or 1

    def gradients(self, weights: list[np.ndarray], step: int) -> tuple[np.ndarray, Loss, list[np.ndarray]]:
        """Predictions (runs * batch, outputs), the loss and the gradients of every run on a step's batch."""
        runs, rows = len(weights[0]), slice(self.offsets[step], self.offsets[step + 1])
        stops = np.arange(runs + 1) * (rows.stop - rows.start)
        inputs, targets = (np.tile(a[rows], (runs, 1)) for a in (self.inputs, self.targets))
        predictions = oracle.predict(self.program, weights, inputs, stops, self.dtypes[0])
        shares = self.o.sample_weights
        shares = None if shares is None else np.tile(shares[rows].astype(self.dtypes[1]), runs)
        loss = oracle.evaluate_loss(self.o.loss, predictions, targets, stops, shares)
        return predictions, loss, oracle.vjp(self.program, weights, inputs, loss.cotangents, stops, self.dtypes[0])[1]

    def update(
        self, weights: list[np.ndarray], states: Sequence[State], gradients: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[State]]:
        """One step of every run by itself: clipping by norm must not mix them."""
        training = self.o.scenario.training
        rate = None
        if training.schedule:
            step = states[0].steps * self.accumulated + states[0].taken
            rate = rate_at(training.schedule, training.optimizer.learning_rate, step)
        stepped = [
            self.optimizer.step(state, [w[run] for w in weights], [g[run] for g in gradients], rate=rate)
            for run, state in enumerate(states)
        ]
        columns = zip(*(new for _, new in stepped), strict=True)
        return [np.stack([part.value for part in parts]) for parts in columns], [state for state, _ in stepped]

    def _slot(self, k: int, name: str, step: int, start: Bounded) -> Bounded:
        """A recorded slot; as it started where Keras keeps none of this name."""
        if name not in self.optimizer.kept():
            return start
        if f"slots/{k}/{name}" not in self.o.recorded:
            raise oracle.NotCovered(f"slot {name} of weight {k} was not recorded")
        return Bounded.exact(self.o.recorded[f"slots/{k}/{name}"][step].astype(self.dtypes[1]), start.unit)


def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(rows, *shape) each as one (rows, elements)."""
    return np.concatenate([flat(a) for a in arrays], axis=1)


def flat(array: np.ndarray) -> np.ndarray:
    """(rows, ...) as (rows, elements)."""
    return np.asarray(array).reshape(len(array), -1)
