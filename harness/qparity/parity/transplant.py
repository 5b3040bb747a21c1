"""Which steps made a difference: the oracle continues a training from the backend's own state at step s.

F_s is where the oracle ends when it takes over before step s, so F_0 is the oracle's own training and F_T the
backend's. What the backend did differently in steps a..b-1 is F_b - F_a, with all that later steps made of it: an
accumulated difference is the sum of these, each due to its own steps. Measured in predictions over the data,
since weights may mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from qparity import oracle
from qparity.parity.retraining import Retraining, flat
from qparity.parity.types import Observation
from qparity.records.document import Table

SEGMENTS = 32
AMPLITUDES = 2**27
"""Amplitudes pushed through the circuit in one go; long trainings of many wires are cut into fewer segments."""
STANDS_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Transplant:
    """Segment i is steps `starts[i]` to `starts[i+1] - 1`; `moves` is what each changed in the end, `total` all did."""

    starts: tuple[int, ...]
    moves: tuple[float, ...]
    total: float
    weights: float

    @property
    def shares(self) -> np.ndarray:
        """Each segment's part of all moves."""
        moves = np.array(self.moves)
        return np.asarray(moves / moves.sum() if moves.any() else moves)

    def line(self) -> str:
        """What it says, for people."""
        order = [int(i) for i in np.argsort(-self.shares, kind="stable")]
        loud = [i for i in order[:3] if self.shares[i] >= STANDS_OUT]
        parts = [f"{self._steps(i)} ({100 * self.shares[i]:.0f}%)" for i in loud or order[:1]]
        return (
            f"transplant: backend and oracle end {self.total:.2g} apart in predictions, {self.weights:.2g} in weights; "
            f"{'made in' if loud else 'no step stands out, the largest part is'} {', '.join(parts)}"
        )

    def to_dict(self) -> Table:
        """Plain values for JSON."""
        return {"starts": list(self.starts), "moves": list(self.moves), "total": self.total, "weights": self.weights}

    def _steps(self, segment: int) -> str:
        first, last = self.starts[segment], self.starts[segment + 1] - 1
        return f"step {first}" if first == last else f"steps {first} to {last}"


def transplant(o: Observation) -> Transplant:
    """Find the steps that matter; in a long training first the segment, then its steps.

    Raises:
        ValueError: (NotCovered) the oracle cannot train the scenario.
    """
    training = Retraining(o)
    cost = training.steps * len(training.inputs) * 2**training.program.axes * len(training.program.operations)
    segments = max(2, min(SEGMENTS, training.steps, AMPLITUDES * SEGMENTS // cost))
    starts = np.unique(np.linspace(0, training.steps, segments + 1).round().astype(int))
    found = _between(training, starts)
    worst = int(np.argmax(found.moves))
    first, last = found.starts[worst], found.starts[worst + 1]
    if last - first > 1 and found.shares[worst] >= STANDS_OUT:
        inner = np.unique(np.linspace(first, last, min(segments, last - first) + 1).round().astype(int))
        found = _between(training, np.unique(np.concatenate([[0], inner, [training.steps]])))
    return found


def _between(training: Retraining, starts: np.ndarray) -> Transplant:
    ends = _ends(training, starts)
    inputs = np.unique(flat(training.o.recorded.x), axis=0)
    stops = np.arange(len(starts) + 1) * len(inputs)
    kind = training.dtypes[0]
    predicted = oracle.predict(training.program, ends, np.tile(inputs, (len(starts), 1)), stops, kind)
    each = predicted.reshape(len(starts), -1)
    moves = tuple(float(np.abs(b - a).max()) for a, b in pairwise(each))
    weights = max(float(np.abs(w[-1] - w[0]).max(initial=0)) for w in ends)
    return Transplant(tuple(map(int, starts)), moves, float(np.abs(each[-1] - each[0]).max()), weights)


def _ends(training: Retraining, starts: np.ndarray) -> list[np.ndarray]:
    """Final weights, (starts, *shape) each, of the oracle taking over at each start; the last are the backend's."""
    weights: list[np.ndarray] = [w[:0] for w in training.recorded_weights(0)]
    states: list[Any] = []
    for step in range(training.steps):
        if step in starts:
            weights = [np.concatenate(pair) for pair in zip(weights, training.recorded_weights(step), strict=True)]
            states = [*states, training.recorded_state(step)]
        _, _, gradients = training.gradients(weights, step)
        weights, states = training.update(weights, states, gradients)
    return [np.concatenate(pair) for pair in zip(weights, training.recorded_weights(training.steps), strict=True)]
