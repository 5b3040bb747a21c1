"""What other backends have said of a cell's recorded steps, which they ran again at its own weights, beside the cell.

Each number may be as far from a juror's as rounding moves it, which the jurors have measured on themselves
(worker/jury.py): the largest of what they found counts, since one backend may be spared by chance what another rounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qparity.parity import tolerances as tol
from qparity.parity.audit import Tensor
from qparity.parity.comparison import Comparison, compare
from qparity.parity.names import state_name, weight_name
from qparity.parity.reference import method_error, model_units, of_one_layer
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Observation, Stage
from qparity.records.trace import Trace

KNOWN = 0.5
"""Of the size of what is compared: where the tolerance is more, agreement says little, and does not count."""


@dataclass(frozen=True, eq=False, slots=True)
class Testimony:
    """What one backend says of a cell: a comparison for each tensor, at the steps where it can say anything."""

    backend: str
    comparisons: Mapping[Tensor, Comparison]

    def at(self, step: int, stage: Stage, tensors: Collection[Tensor]) -> dict[Tensor, Comparison]:
        """Its comparisons of these tensors of a stage that have this step."""
        return {
            tensor: c
            for tensor, c in self.comparisons.items()
            if tensor[0] == stage and tensor in tensors and step in c.steps
        }


def heard_of(o: Observation, but: Collection[str]) -> list[Testimony]:
    """What a cell's jurors have said of it, but for some backends."""
    told = {backend: _Beside(o, backend).comparisons() for backend in jurors_of(o) if backend not in but}
    return [Testimony(backend, {(c.stage, c.tensor): c for c in found}) for backend, found in told.items()]


def jurors_of(o: Observation) -> list[str]:
    """The other backends that have said something of a cell."""
    return [name for name, juror in o.outcome.jury.items() if juror.reason is None and name != o.backend]


def doubted_steps(o: Observation) -> list[int]:
    """The steps at which some juror is away from a cell: there its own backend is asked what it rounds."""
    found = [c.steps[c.worst[1] > 1] for each in heard_of(o, ()) for c in each.comparisons.values()]
    return sorted({int(step) for steps in found for step in steps})


def rows_at(c: Comparison, step: int) -> slice:
    """Which rows of a comparison are a step's."""
    k = int(np.flatnonzero(c.steps == step)[0])
    return slice(int(c.offsets[k]), int(c.offsets[k + 1]))


def ratio_at(c: Comparison, step: int) -> float:
    """The largest share of its tolerance that a step takes."""
    return float(c.worst[1][np.flatnonzero(c.steps == step)[0]])


class _Beside:
    """A cell beside one of its jurors."""

    def __init__(self, o: Observation, backend: str) -> None:
        self.o, self.backend, self.trace = o, backend, o.recorded
        self.said = self.trace.of_juror(backend)
        self.steps, self.offsets = np.asarray(self.said["steps"]), np.asarray(self.trace.offsets)
        self.stops = np.cumsum([0, *np.diff(self.offsets)[self.steps]])
        self.high, self.low = model_units(o)
        self.others = [self.trace.of_juror(name) for name in jurors_of(o) if name != backend]
        self.itself = self.trace.of_juror(o.backend)

    def comparisons(self) -> Iterator[Comparison]:
        """Everything that the juror has said, at the steps where its tolerance says anything."""
        t, said, steps = self.trace, self.said, self.steps
        rows = np.concatenate([np.arange(self.offsets[s], self.offsets[s + 1]) for s in steps])
        expected, got = said["predictions"], t.predictions.reshape(len(t.predictions), -1)[rows]
        size = np.maximum.reduceat(np.abs(expected).max(axis=1, initial=0.0), self.stops[:-1])
        yield from self._made(Stage.FORWARD, "predictions", got, expected, ("predictions_condition", None), size)
        size = np.abs(said["loss"]) + said["loss_condition"]  # of a loss near zero its terms are what is rounded
        yield from self._made(Stage.LOSS, "loss", t.loss[steps], said["loss"], ("loss_condition", None), size)
        right = said.numbered("gradients")
        sizes = [np.abs(gradient).reshape(len(steps), -1).max(axis=1, initial=0.0) for gradient in right]
        for k, gradient in enumerate(weight_arrays(self.o, "gradients")):
            # what cancels in one weight's gradient may be as large as another's of the same layer (attention's key
            # bias); what a saturated function passes back is known to the rounding of what came back to it
            size = np.max([sizes[j] for j in of_one_layer(self.o, k, len(right))], axis=0)
            more = method_error(self.o, k, size) + tol.model(self.high, np.max(sizes, axis=0) - size)
            name, column = f"gradients/{weight_name(self.o, k)}", ("gradients_condition", k)
            yield from self._made(Stage.GRADIENT, name, gradient[steps], right[k], column, size, more)
        for name in sorted(n for n in said if n.startswith("state/")):
            j = int(name.rpartition("/")[2])
            if len(t[name]) == len(self.offsets):
                expected, got = said[name], t[name][steps + 1]
                size = np.abs(expected).reshape(len(steps), -1).max(axis=1, initial=0.0)
                tensor, of = f"state/{state_name(self.o, j)}", f"state_condition/{j}"
                yield from self._made(Stage.UPDATE, tensor, got, expected, (of, None), size)

    def _made(
        self,
        stage: Stage,
        tensor: str,
        got: np.ndarray,
        expected: np.ndarray,
        condition_of: tuple[str, int | None],
        size: np.ndarray,
        more: np.ndarray | float = 0.0,
    ) -> Iterator[Comparison]:
        """Of predictions (rows, outputs), or arrays with a row a step; `size` and `more` are (steps,)."""
        ends = self.stops if stage == Stage.FORWARD else np.arange(len(self.steps) + 1)
        counts = np.diff(ends)
        unit = self.high + self._unit_of(self.backend)
        mine = self._condition(self.said, *condition_of)
        every = [mine, *(self._condition(other, *condition_of) for other in self.others)]
        condition = np.where(np.isnan(mine), np.nan, np.fmax.reduce(every))
        allowed = np.asarray(tol.model(unit, condition + size, more))
        known = np.isfinite(allowed) & ((allowed <= KNOWN * size) | (size == 0))
        difference = np.abs(got.astype(np.float64) - expected).reshape(len(got), -1).max(axis=1, initial=0.0)
        difference = np.maximum.reduceat(difference, ends[:-1])
        # what the cell's own backend rounds as much where it runs the step again, nobody can judge
        by_itself = self.high + self._unit_of(self.o.backend)
        rounded = tol.model(by_itself, self._condition(self.itself, *condition_of) + size, more)
        known &= ~((difference > allowed) & (difference <= rounded))
        if not known.any():
            return
        keep = np.repeat(known, counts)

        def spread(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, counts)[keep].reshape(-1, *[1] * (got.ndim - 1))

        lower = None if self.low is None else np.asarray(tol.model(self.low + unit - self.high, condition + size, more))
        yield compare(
            stage,
            tensor,
            got[keep].astype(np.float64),
            expected[keep],
            (spread(allowed), None if lower is None else spread(lower)),
            spread(np.maximum(size, condition)),
            self.steps[known],
            np.concatenate([[0], np.cumsum(counts[known])]),
            self.backend,
        )

    def _unit_of(self, backend: str) -> float:
        """The unit roundoff of what a backend computed the steps in."""
        juror = self.o.outcome.jury.get(backend)
        return tol.UNITS.get((juror and juror.precision) or "", tol.UNITS["float32"])

    def _condition(self, said: Trace, name: str, k: int | None) -> np.ndarray:
        """What a backend found at each of the steps, (steps,); NaN where it was not asked."""
        found = np.full(len(self.steps), np.nan)
        if name in said:
            values = said[name] if k is None else said[name][:, k]
            _, mine, its = np.intersect1d(self.steps, said["steps"], return_indices=True)
            found[mine] = values[its]
        return found
