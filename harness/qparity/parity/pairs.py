"""Two variants beside each other: how far apart each tensor is at each step, and how far it may be.

At step 0 all variants hold the same weights, so they must agree to rounding. Later their weights may differ (with Adam
by far more than rounding), so the tolerance of step t grows with the observed distance d_t = sum |w_a - w_b|: a
circuit's outputs change by at most ||O|| d_t max(1, |x|), since every |df/dtheta| <= ||O||, and its gradients
accordingly. Nothing of the kind is known of classical layers, so models of a user's own are compared at step 0 alone;
beside them at later steps stands a jury (`jury`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from qparity import oracle
from qparity.oracle.losses import WITH_LAW
from qparity.parity import tolerances as tol
from qparity.parity.names import weight_name
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Differentiated, Observation, PairDifference, Stage

SMALL = 1 << 16
"""Numbers of a side that are laid beside those of several others at once: of more, one after the other."""
ASSUMED_GATES = 256
"""Pairs are judged as if their circuit had this many gates: there may be no gate program to count."""


@dataclass(frozen=True, slots=True)
class PairSeries:
    """One tensor of two variants: largest difference of each step and its tolerances, (T,)."""

    stage: Stage
    tensor: str
    difference: np.ndarray
    tolerance: np.ndarray
    lower: np.ndarray


def pair_differences(cells: Sequence[Observation]) -> dict[str, list[PairDifference]]:
    """For each cell, the largest difference to each other variant at each stage, relative to its tolerance."""
    result: dict[str, list[PairDifference]] = {o.cell: [] for o in cells}
    sides = [Side(o) for o in cells]
    for number, a in enumerate(sides):
        others = [b for b in sides[number + 1 :] if comparable(a, b)]
        at_once = max(1, SMALL // max(1, a.numbers.size)) if others else 1
        for start in range(0, len(others), at_once):
            some = others[start : start + at_once]
            for b, stages in zip(some, _largest(a, some), strict=True):
                for mine, other in ((a.cell, b.cell), (b.cell, a.cell)):
                    result[mine.cell] += [
                        PairDifference(other.variant, stage, s.step, s.tensor, s.difference, s.tolerance)
                        for stage, s in stages.items()
                    ]
    return result


@dataclass(frozen=True, slots=True)
class _Largest:
    ratio: float
    tensor: str
    step: int
    difference: float
    tolerance: float


def _largest(a: Side, others: Sequence[Side]) -> list[dict[Stage, _Largest]]:
    """For each of the others, where it is furthest away at each stage."""
    found: list[dict[Stage, _Largest]] = [{} for _ in others]
    for s in _series_of(a, others, lower=False):
        ratios = ratio(s.difference, s.tolerance)
        for k, t in enumerate(ratios.argmax(axis=1).tolist()):
            largest = float(ratios[k, t])
            if s.stage not in found[k] or largest > found[k][s.stage].ratio:
                size, allowed = float(s.difference[k, t]), float(s.tolerance[k, t])
                found[k][s.stage] = _Largest(largest, s.tensor, t, size, allowed)
    return found


def pair_series(a: Observation, b: Observation) -> list[PairSeries]:
    """All tensors of two variants that can be compared; none where their batches differ in shape."""
    one, other = Side(a), Side(b)
    found = _series_of(one, [other]) if comparable(one, other) else []
    return [PairSeries(s.stage, s.tensor, s.difference[0], s.tolerance[0], s.lower[0]) for s in found]


KINDS = ("weights", "gradients", "new_weights")


class Side:
    """A cell as one side of its pairs: what each of them needs of it is made once."""

    def __init__(self, cell: Observation) -> None:
        self.cell = cell
        self.arrays = {kind: weight_arrays(cell, kind) for kind in KINDS}
        self.shapes = [[array.shape for array in arrays] for arrays in self.arrays.values()]
        self._bounds: dict[float, Bounds] = {}

    @cached_property
    def predictions(self) -> np.ndarray:
        """(rows, outputs)."""
        return _rows(self.cell.recorded.predictions)

    @cached_property
    def starts(self) -> list[np.ndarray]:
        """The weights that steps start from, (T, elements) each, in float64."""
        return [_rows(array.astype(np.float64)) for array in self.arrays["weights"]]

    @cached_property
    def numbers(self) -> np.ndarray:
        """Loss, gradients and new weights side by side, (T, elements of all), in float64."""
        tensors = [self.cell.recorded.loss, *self.arrays["gradients"], *self.arrays["new_weights"]]
        return np.concatenate([_rows(array).astype(np.float64) for array in tensors], axis=1)

    @cached_property
    def tensors(self) -> list[tuple[Stage, str, slice]]:
        """Stage and name of each of them, and which columns of `numbers` it has."""
        found, stop = [(Stage.LOSS, "loss", slice(0, 1))], 1
        for stage, kind in ((Stage.GRADIENT, "gradients"), (Stage.UPDATE, "new_weights")):
            for k, array in enumerate(self.arrays[kind]):
                start, stop = stop, stop + prod(array.shape[1:])
                found.append((stage, f"{kind}/{weight_name(self.cell, k)}", slice(start, stop)))
        return found

    def bounds(self, u: float) -> Bounds:
        """Its part in the tolerances of a pair, in this unit roundoff."""
        if u not in self._bounds:
            self._bounds[u] = Bounds.of(self, u)
        return self._bounds[u]

    @property
    def allowed_gradient(self) -> np.ndarray:
        """How far its own gradients may be off at each step, (T,)."""
        return self.bounds(tol.unit(self.cell.dtype)).gradient / 2

    @cached_property
    def stride(self) -> float | None:
        """`Law.reach` of its optimizer."""
        o = self.cell
        return o.law(o.dtype, float, tol.unit(o.dtype)).reach

    @cached_property
    def scales(self) -> tuple[float, np.ndarray, np.ndarray]:
        """The size of a prediction; of each step's terms of the loss, and of its slopes by the angles, (T,)."""
        norm = max(1.0, float(np.abs(self.predictions).max(initial=0)))
        magnitudes, slopes = _loss_scales(self.cell, self.predictions, self.cell.recorded.offsets)
        return norm, magnitudes, slopes * norm


def comparable(a: Side, b: Side) -> bool:
    """Whether two variants recorded numbers that can be laid beside each other."""
    offsets = a.cell.recorded.offsets
    if not np.array_equal(offsets, b.cell.recorded.offsets) or a.shapes != b.shapes:
        return False
    if a.predictions.shape != b.predictions.shape or len(a.predictions) != offsets[-1]:
        return False
    return a.cell.loss != "mse" or a.cell.targets.shape == a.predictions.shape


def _series_of(a: Side, others: Sequence[Side], lower: bool = True) -> list[PairSeries]:
    """All tensors of a variant beside each of some that it is comparable with: arrays (others, T).

    Without `lower` the tolerances of one precision class below are left at those of the declared one.
    """
    offsets = a.cell.recorded.offsets
    drift = np.zeros((len(others), len(offsets) - 1))
    for k, start in enumerate(a.starts):
        drift += np.abs(start - np.stack([b.starts[k] for b in others])).sum(axis=2)
    drift[:, 0] = 0.0  # all start from the same weights: setup says so where they do not
    u = tol.unit(a.cell.dtype)
    lower_units = [(tol.lower_unit(a.cell.dtype, _flags(a, b)) if lower else None) or u for b in others]
    high = _tolerances(a, others, [u] * len(others), drift)
    low = high if set(lower_units) == {u} else _tolerances(a, others, lower_units, drift)

    def series(stage: Stage, tensor: str, difference: np.ndarray) -> PairSeries:
        return PairSeries(stage, tensor, difference, high[stage], low[stage])

    there = np.stack([b.predictions.astype(np.float64) for b in others])
    by_row = np.abs(a.predictions.astype(np.float64) - there).max(axis=2, initial=0)
    found = [series(Stage.FORWARD, "predictions", np.maximum.reduceat(_infinite(by_row), offsets[:-1], axis=1))]
    entries = np.abs(a.numbers - np.stack([b.numbers for b in others]))
    return found + [
        series(stage, tensor, _infinite(entries[:, :, columns].max(axis=2, initial=0)))
        for stage, tensor, columns in a.tensors
    ]


def _flags(a: Side, b: Side) -> Mapping[str, Any]:
    """The flags of whichever of the two computes in TF32."""
    return next((f for f in (side.cell.outcome.resolved.flags for side in (a, b)) if f.get("tf32")), {})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Tolerances of pairs in one unit roundoff, if both sides were like this one, and had the same weights.

    `forward` and `update` are numbers, `loss` and `gradient` (T,). The others say how they grow with the distance of
    the weights: `norm` and `slopes` as of `Side.scales`, `reach` by how much an angle moves with a weight, `rate` the
    learning rate, `stride` how many of these a step may be where its gradient is noise, None where that is no limit.
    """

    forward: tol.Numbers
    loss: np.ndarray
    gradient: np.ndarray
    update: tol.Numbers
    norm: tol.Numbers
    slopes: np.ndarray
    reach: tol.Numbers
    rate: tol.Numbers
    stride: tol.Numbers | None

    @classmethod
    def side_by_side(cls, sides: Sequence[Bounds]) -> Bounds:
        """Those of several sides that train alike: (sides, 1) in place of numbers, (sides, T) of what has steps."""

        def stacked(name: str) -> np.ndarray:
            return np.stack([np.atleast_1d(np.asarray(getattr(side, name))) for side in sides])

        stride = None if any(side.stride is None for side in sides) else stacked("stride")
        return cls(**{each.name: stacked(each.name) for each in fields(cls) if each.name != "stride"}, stride=stride)

    @classmethod
    def of(cls, side: Side, u: float) -> Bounds:
        """Those of a cell and any other one."""
        o = side.cell
        training = o.scenario.training
        used = [*o.differentiated, *([Differentiated("finite-diff")] if o.by_differences else [])]
        norm, magnitudes, slopes = side.scales
        rate = training.optimizer.learning_rate
        if training.schedule:
            rate = max(rate, float(np.abs(o.recorded.learning_rate).max()))
        terms = np.diff(o.recorded.offsets) * side.predictions.shape[1]
        largest = max((float(np.abs(w).max(initial=0)) for w in side.arrays["weights"]), default=0.0)
        return cls(
            2 * float(tol.forward(u, ASSUMED_GATES, norm)),
            2 * np.asarray(tol.loss(u, terms, magnitudes)),
            2 * np.max([np.asarray(tol.gradient(u, ASSUMED_GATES, slopes, *each.asked)) for each in used], axis=0),
            4 * u * largest,
            norm,
            slopes,
            max(1.0, float(np.abs(o.recorded.x).max(initial=0))),
            rate,
            side.stride,
        )

    def apart(self, drift: np.ndarray) -> dict[Stage, np.ndarray]:
        """The tolerances of each stage, (pairs, T), where the weights are `drift` (pairs, T) apart."""
        norm, reach = self.norm, drift * self.reach
        forward = self.forward + norm * reach
        # Predictions that are apart have other slopes of the loss, also where it is almost at its least.
        gradient = self.gradient + (self.slopes + 2 * norm**2) * reach + 2 * norm * self.forward
        # A null gradient is noise, which Adam turns into steps of either sign: only 2 lr bounds that.
        update = drift + self.update + self.rate * (gradient if self.stride is None else 2 * self.stride)
        loss = self.loss + self.slopes * forward / norm + forward**2
        return {Stage.FORWARD: forward, Stage.LOSS: loss, Stage.GRADIENT: gradient, Stage.UPDATE: update}


def _tolerances(a: Side, others: Sequence[Side], units: Sequence[float], drift: np.ndarray) -> dict[Stage, np.ndarray]:
    """The tolerances of a variant beside others, (others, T), in a unit roundoff each.

    Each side gives them as if the other were like it: half of each.
    """
    own = units[:1] if len(set(units)) == 1 else units  # the same beside each of the others
    mine = Bounds.side_by_side([a.bounds(u) for u in own]).apart(drift)
    theirs = Bounds.side_by_side([b.bounds(u) for b, u in zip(others, units, strict=True)]).apart(drift)
    return {stage: (tolerance + theirs[stage]) / 2 for stage, tolerance in mine.items()}


def _loss_scales(o: Observation, predictions: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The size of the terms of each step's loss, and of its derivative by the predictions, (T,) each.

    Of a loss without a law, as recorded: the samples' losses, and the cotangents that reached the first quantum layer.
    """
    if o.loss in WITH_LAW:
        loss = oracle.evaluate_loss(o.loss, predictions.astype(np.float64), o.targets, offsets, o.sample_weights)
        return loss.magnitudes, np.add.reduceat(np.abs(loss.cotangents).sum(axis=1), offsets[:-1])
    sizes = np.abs(np.asarray(o.recorded.sample_loss, np.float64))
    if (weights := o.sample_weights) is not None:
        sizes = sizes * np.abs(weights)
    magnitudes = np.add.reduceat(sizes, offsets[:-1]) / np.diff(offsets)
    bars = o.recorded.get("layer_cotangents/0")
    if bars is None:
        return magnitudes, np.full(len(magnitudes), 1.0)
    stops = np.asarray(o.recorded.get("layer_offsets/0", offsets))
    return magnitudes, np.add.reduceat(np.abs(bars).reshape(len(bars), -1).sum(axis=1), stops[:-1])


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _infinite(difference: np.ndarray) -> np.ndarray:
    """With what is not a number as infinite, which it is then too."""
    difference[np.isnan(difference)] = np.inf
    return difference


def ratio(difference: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """difference / tolerance, (T,); 0 where there is no difference."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / tolerance)
