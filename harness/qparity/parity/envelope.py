"""The trajectory envelope: how far rounding alone moves a whole training, and which weights it makes meaningless.

The oracle trains the scenario once as it is and K times with rounding put in: every step each gradient is moved by
+-u sqrt(G) S and each weight multiplied by (1 +- u). E_t is the largest move seen at step t, d_t the distance of the
recorded trajectory from the oracle's; d_t <= 2 E_t + floor is inside, the floor being the local tolerance that a
single step has anyhow. An annotation, asked for by `diagnose`, never a verdict: weights of zero gradient turn rounding
into steps of the learning rate, and two correct programs may end far apart there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from qparity import oracle
from qparity.oracle.adjoint import infidelity
from qparity.parity import tolerances as tol
from qparity.parity.retraining import Retraining, flat, joined
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Observation
from qparity.records.document import Table

RUNS = 8
UNINFORMATIVE = 0.01
"""Weights say nothing once rounding moves them by more than this share of the distance travelled."""


class Quantities(NamedTuple):
    """An array for each that is followed through a training; `_fields` are their names."""

    weights: np.ndarray
    predictions: np.ndarray
    loss: np.ndarray
    gradients: np.ndarray


class Trained(NamedTuple):
    """The oracle's own trainings, run 0 as it is, all runs side by side.

    `found` are (runs + 1, rows, elements), `floors` (rows,), `gradient_scale` (T, weights).
    """

    found: Quantities
    floors: Quantities
    gradient_scale: np.ndarray


@dataclass(frozen=True)
class Envelope:
    """What rounding may do to a training of T steps, and what was recorded.

    `moves` (E), `distances` (d) and `floors` are float64 arrays (T,); weights are those after a step. `null` are
    (weight number, index) with a gradient below its own rounding at every step. `function` is the largest difference
    of the oracle's predictions at the recorded and at its own final weights, `infidelity` that of the states.
    """

    moves: Quantities
    distances: Quantities
    floors: Quantities
    uninformative_from: int | None
    null: tuple[tuple[int, tuple[int, ...]], ...]
    function: float
    infidelity: float

    def outside(self) -> dict[str, int]:
        """Quantity -> the first step at which the recorded trajectory is outside."""
        found = {}
        for name, distance, allowed in self._judged():
            over = np.flatnonzero(~(distance <= allowed))
            if len(over):
                found[name] = int(over[0])
        return found

    def _judged(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Name, distances, and what is allowed, of each quantity."""
        for name, d, e, floor in zip(Quantities._fields, self.distances, self.moves, self.floors, strict=True):
            yield name, d, 2 * e + floor

    def annotations(self) -> tuple[str, ...]:
        """One line each, for people."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.uninformative_from is not None:
            yield (
                f"weights uninformative from step {self.uninformative_from}: rounding alone moves them by up to "
                f"{self.moves.weights.max():.2g}; the two sets of weights predict alike to {self.function:.2g} "
                f"(infidelity {self.infidelity:.2g})"
            )
        if self.null:
            shown = ", ".join(f"weights/{k}[{','.join(map(str, index))}]" for k, index in self.null[:6])
            more = f" and {len(self.null) - 6} more" if len(self.null) > 6 else ""
            yield f"null directions (zero gradient but for rounding): {shown}{more}"
        outside = self.outside()
        for name, distance, allowed in self._judged():
            if name in outside:
                times = f"up to {float((distance / allowed).max()):.2g} times"
                yield f"accumulated difference outside the envelope: {name} from step {outside[name]} ({times})"

    def to_dict(self) -> Table:
        """Plain values for JSON; the series are left out."""
        return {
            "uninformative_from": self.uninformative_from,
            "null": [[k, list(index)] for k, index in self.null],
            "outside": self.outside(),
            "largest_moves": {name: float(each.max()) for name, each in self.moves._asdict().items()},
            "largest_distances": {name: float(each.max()) for name, each in self.distances._asdict().items()},
            "function_difference": self.function,
            "infidelity": self.infidelity,
        }


def envelope(o: Observation, runs: int = RUNS, seed: int = 0) -> Envelope:
    """The envelope of a bare circuit's cell, and where its recorded trajectory lies.

    Raises:
        ValueError: (NotCovered) the oracle cannot train the scenario.
    """
    training = Retraining(o)
    program, trained = training.program, _train(training, runs, np.random.default_rng(seed))
    recorded = Quantities(
        joined(weight_arrays(o, "new_weights")),
        flat(o.recorded.predictions),
        flat(o.recorded.loss),
        joined(weight_arrays(o, "gradients")),
    )
    by_step = np.arange(training.steps)
    starts = Quantities(by_step, training.offsets[:-1], by_step, by_step)
    moves, distances, floors = [], [], []
    for each, seen, floor, at in zip(trained.found, recorded, trained.floors, starts, strict=True):
        moves.append(np.maximum.reduceat(np.abs(each[1:] - each[0]).max(axis=(0, 2)), at).astype(np.float64))
        gap = np.abs(seen - each[0]).max(axis=1).astype(np.float64)
        distances.append(np.maximum.reduceat(np.where(np.isnan(gap), np.inf, gap), at))
        floors.append(np.maximum.reduceat(floor, at).astype(np.float64))
    moved, own = Quantities(*moves), trained.found.weights[0]
    travelled = np.abs(own - joined(weight_arrays(o, "weights"))[0]).max(axis=1)
    lost = np.flatnonzero(moved.weights > UNINFORMATIVE * travelled)
    return Envelope(
        moved,
        Quantities(*distances),
        Quantities(*floors),
        int(lost[0]) if len(lost) else None,
        _null(program, trained),
        *_function_space(o, program, recorded.weights[-1], own[-1]),
    )


def _train(training: Retraining, runs: int, rng: np.random.Generator) -> Trained:
    o, program = training.o, training.program
    u, method = tol.unit(o.dtype), o.scenario.diff_method
    weights = [np.repeat(w, runs + 1, axis=0) for w in training.recorded_weights(0)]
    states = [training.recorded_state(0)] * (runs + 1)
    found: list[Quantities] = []
    floors: list[Quantities] = []
    bounds: list[np.ndarray] = []
    for step, (a, b) in enumerate(pairwise(training.offsets)):
        rows, inputs = b - a, training.inputs[a:b]
        predictions, loss, gradients = training.gradients(weights, step)
        here, whole = oracle.flatten_weights(program, [w[:1] for w in weights], np.float64), np.array([0, rows])
        norms = oracle.norms(program, here, inputs, whole)
        size = (np.abs(loss.cotangents[:rows]).astype(np.float64) * norms).sum()
        scale = size * oracle.chain_factors(program, here, inputs, whole)[0]
        gates = oracle.operation_counts(program, here, inputs, whole).max()
        noise = u * np.sqrt(gates) * scale
        moved = [g + n * _signs(rng, g) for g, n in zip(gradients, _split(program, noise), strict=True)]
        weights, states = training.update(weights, states, moved)
        weights = [w * (1 + u * _signs(rng, w)) for w in weights]
        now = Quantities(
            joined(weights)[:, None],
            predictions.reshape(runs + 1, rows, -1),
            loss.steps.reshape(runs + 1, 1, 1),
            joined(gradients)[:, None],
        )
        bound = tol.gradient(u, gates, scale, method, o.scenario.diff_options)
        floor = (
            [4 * u * np.abs(now.weights[0]).max()],
            [np.max(tol.forward(u, gates, norms))] * rows,
            [float(tol.loss(u, rows * predictions.shape[1], loss.magnitudes[0]))],
            [np.max(bound)],
        )
        found.append(now)
        floors.append(Quantities(*(np.array(each, np.float64) for each in floor)))
        bounds.append(np.asarray(bound)[None])
    return Trained(
        Quantities(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))),
        Quantities(*(np.concatenate(parts) for parts in zip(*floors, strict=True))),
        np.concatenate(bounds),
    )


def _signs(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    """+1 or -1 for every element, 0 in run 0."""
    signs = rng.choice([-1.0, 1.0], like.shape).astype(like.dtype)
    signs[0] = 0
    return signs


def _null(program: oracle.GateProgram, trained: Trained) -> tuple[tuple[int, tuple[int, ...]], ...]:
    quiet = (np.abs(trained.found.gradients[0]) <= trained.gradient_scale).all(axis=0)
    return tuple(
        (k, tuple(int(i) for i in index))
        for k, part in enumerate(_split(program, quiet))
        for index in np.argwhere(part)
    )


def _function_space(o: Observation, program: oracle.GateProgram, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Largest difference of predictions and of states (infidelity) between two flat weight sets, over the data."""
    inputs = np.unique(flat(o.recorded.x), axis=0).astype(np.float64)
    both = [_split(program, np.asarray(w, np.float64)) for w in (a, b)]
    predictions = [oracle.predict(program, w, inputs) for w in both]
    return float(np.abs(predictions[0] - predictions[1]).max()), infidelity(program, (both[0], both[1]), inputs)


def _split(program: oracle.GateProgram, flat: np.ndarray) -> list[np.ndarray]:
    stops = np.cumsum([prod(shape) for shape in program.weight_shapes])[:-1]
    return [p.reshape(s) for p, s in zip(np.split(flat, stops), program.weight_shapes, strict=True)]
