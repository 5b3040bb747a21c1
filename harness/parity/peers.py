"""Variants against each other: always as information, sometimes as the judge.

They judge forward and gradient where the oracle does not cover a program.

At step 0 all variants hold the same weights, so they must agree to rounding. Later their weights may differ
(with Adam by far more than rounding), so the tolerance of step t grows with the observed distance d_t = sum
|w_a - w_b|: a circuit's outputs change by at most ||O|| d_t max(1, |x|), since every |df/dtheta| <= ||O||,
and its gradients accordingly. Nothing of the kind is known of classical layers, so models of a user's own
are compared at step 0 only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness import oracle
from harness.parity import tolerances as tol
from harness.parity.setup import weight_arrays
from harness.parity.types import Judgement, Observation, PairDifference, Stage, Verdict

ASSUMED_GATES = 256
"""Pairs are judged as if their circuit had this many gates: there may be no gate program to count."""
ENOUGH = 3


@dataclass(frozen=True, slots=True)
class PairSeries:
    """One tensor of two variants: largest difference of each step and its tolerances, (T,)."""

    stage: Stage
    tensor: str
    difference: np.ndarray
    tolerance: np.ndarray
    lower: np.ndarray


@dataclass(frozen=True, slots=True)
class Blame:
    """What the majority says of a cell."""

    verdict: Verdict
    reason: str
    stage: Stage | None = None
    step: int | None = None
    tensor: str | None = None
    residual: float | None = None
    tolerance: float | None = None

    def judgement(self) -> Judgement:
        """As a judgement; there is no expected value, only the others'."""
        r = self.residual / self.tolerance if self.residual is not None and self.tolerance else None
        return Judgement(
            self.verdict,
            self.reason,
            stage=self.stage,
            step=self.step,
            tensor=self.tensor,
            residual=self.residual,
            tolerance=self.tolerance,
            r=r,
            smallest_tolerance=self.residual,
        )


def pair_differences(cells: Sequence[Observation]) -> dict[str, list[PairDifference]]:
    """For each cell, the largest difference to each other variant at each stage, relative to its tolerance."""
    result: dict[str, list[PairDifference]] = {o.cell: [] for o in cells}
    for a, b in combinations(cells, 2):
        found: dict[Stage, tuple[float, PairSeries, int]] = {}
        for s in pair_series(a, b):
            ratios = _ratio(s.difference, s.tolerance)
            t = int(np.argmax(ratios))
            if s.stage not in found or ratios[t] > found[s.stage][0]:
                found[s.stage] = float(ratios[t]), s, t
        for stage, (_, s, t) in found.items():
            for mine, other in ((a, b), (b, a)):
                result[mine.cell].append(
                    PairDifference(other.variant, stage, t, s.tensor, float(s.difference[t]), float(s.tolerance[t]))
                )
    return result


def blame_by_majority(
    cells: Sequence[Observation], not_covered: Mapping[str, str | None], guilty: Collection[str] = ()
) -> dict[str, Blame]:
    """Judge forward and gradient by majority.

    Cells that the oracle does not cover get a verdict: ROUNDING with the majority, LOCAL-FAULT (or
    PRECISION-LEAK) against it from the first step and stage on that they leave it, NOT-COMPARED where fewer
    than three variants ran or none has a majority. Cells of a user's own model that it does cover at the
    layer's boundary get faults, and NOT-COMPARED where they disagree without a majority (sampled ones always do);
    those that the oracle has found `guilty` are not asked.
    """
    innocent = {o.cell for o in cells if o.scenario.get("model") and o.cell not in guilty}
    judged = [o for o in cells if not_covered[o.cell] is not None or o.cell in innocent]
    found = _rounds(judged) if len(judged) > 1 else {}
    for o in judged:
        reason = not_covered[o.cell]
        if reason is None:
            if o.scenario.get("shots") and o.cell in found and found[o.cell].verdict == Verdict.NOT_COMPARED:
                del found[o.cell]
        elif len(judged) < ENOUGH:
            few = f"not compared: {reason}, and {len(judged)} variants are too few for a majority"
            found[o.cell] = Blame(Verdict.NOT_COMPARED, few)
        elif o.cell not in found:
            where = " at step 0, the only one compared," if o.scenario.get("model") else ""
            found[o.cell] = Blame(Verdict.ROUNDING, f"agrees with the majority of variants{where} ({reason})")
    return found


def pair_series(a: Observation, b: Observation) -> list[PairSeries]:
    """All tensors of two variants that can be compared; none where their batches differ in shape."""
    assert a.trace is not None
    assert b.trace is not None
    if not np.array_equal(a.trace["offsets"], b.trace["offsets"]):
        return []
    offsets = a.trace["offsets"]
    sides = {kind: (weight_arrays(a, kind), weight_arrays(b, kind)) for kind in KINDS}
    if any([x.shape for x in mine] != [y.shape for y in other] for mine, other in sides.values()):
        return []
    pairs = {kind: list(zip(*both, strict=True)) for kind, both in sides.items()}
    predictions = [_rows(o.trace["predictions"]) for o in (a, b) if o.trace is not None]
    if predictions[0].shape != predictions[1].shape or len(predictions[0]) != offsets[-1]:
        return []
    if a.loss == "mse" and a.targets.shape != predictions[0].shape:
        return []
    drift = sum((_step_sums(x, y) for x, y in pairs["weights"]), np.zeros(len(offsets) - 1))
    flags = [o.outcome.get("resolved", {}).get("flags") or {} for o in (a, b)]
    low = tol.lower_unit(a.dtype, {"tf32": any(each.get("tf32") for each in flags)}) or tol.unit(a.dtype)
    bounds = [_bounds(a, predictions[0], offsets, drift, u) for u in (tol.unit(a.dtype), low)]
    series = [
        _series(Stage.FORWARD, "predictions", np.maximum.reduceat(_rowmax(*predictions), offsets[:-1]), bounds),
        _series(Stage.LOSS, "loss", _rowmax(a.trace["loss"], b.trace["loss"]), bounds),
    ]
    for stage, kind in ((Stage.GRADIENT, "gradients"), (Stage.UPDATE, "new_weights")):
        series += [_series(stage, f"{kind}/{k}", _rowmax(x, y), bounds) for k, (x, y) in enumerate(pairs[kind])]
    return series


KINDS = ("weights", "gradients", "new_weights")


def _bounds(
    o: Observation, predictions: np.ndarray, offsets: np.ndarray, drift: np.ndarray, u: float
) -> dict[Stage, np.ndarray]:
    """Tolerances of a pair for each stage, (T,); every one counts both sides."""
    assert o.trace is not None
    training = o.scenario["training"]
    loss = oracle.evaluate_loss(o.loss, predictions.astype(np.float64), o.targets, offsets)
    norm = max(1.0, float(np.abs(predictions).max(initial=0)))
    slopes = np.add.reduceat(np.abs(loss.cotangents).sum(axis=1), offsets[:-1]) * norm
    reach = drift * max(1.0, float(np.abs(o.trace["x"]).max(initial=0)))
    method = str(o.outcome.get("resolved", {}).get("diff_method") or "best")
    options = o.scenario.get("diff_options") or {}
    rate = float(training.get("optimizer", {}).get("learning_rate") or 0.001)
    forward = 2 * tol.forward(u, ASSUMED_GATES, norm) + norm * reach
    gradient = 2 * tol.gradient(u, ASSUMED_GATES, slopes, method, options) + (slopes + 2 * norm**2) * reach
    terms = np.diff(offsets) * predictions.shape[1]
    stored = 4 * u * max((float(np.abs(w).max(initial=0)) for w in weight_arrays(o, "weights")), default=0.0)
    adam = training.get("optimizer", {}).get("name", "adam") == "adam"
    return {
        Stage.FORWARD: np.asarray(forward),
        Stage.LOSS: 2 * tol.loss(u, terms, loss.magnitudes) + slopes * forward / norm + forward**2,
        Stage.GRADIENT: np.asarray(gradient),
        # A null gradient is noise, which Adam turns into steps of either sign: only 2 lr bounds that.
        Stage.UPDATE: drift + stored + (2 * rate if adam else rate * gradient),
    }


def _rounds(cells: Sequence[Observation]) -> dict[str, Blame]:
    """Walk through steps and stages; whoever leaves the majority is blamed there and then left out."""
    first_only = bool(cells[0].scenario.get("model"))
    sampled = bool(cells[0].scenario.get("shots")) or cells[0].scenario.get("diff_method") == "spsa"
    pairs = {frozenset((a.cell, b.cell)): pair_series(a, b) for a, b in combinations(cells, 2)}
    names = {o.cell: o.variant for o in cells}
    alive, found = list(names), dict[str, Blame]()
    if not all(pairs.values()):
        return {c: Blame(Verdict.NOT_COMPARED, "not compared: the variants' traces differ in shape") for c in names}
    steps = 1 if first_only else len(cells[0].trace["offsets"]) - 1 if cells[0].trace is not None else 0
    for t in range(steps):
        for stage in (Stage.FORWARD, Stage.GRADIENT):
            apart = {pair for pair, all_of in pairs.items() if pair <= set(alive) and _over(all_of, stage, t)}
            if not apart:
                continue
            majority = max(_clusters(alive, apart), key=len)
            if sampled or 2 * len(majority) <= len(alive):
                why = "sampled results differ" if sampled else "the variants disagree without a majority"
                reason = f"not compared: {why} from step {t} {stage} on"
                return found | {c: Blame(Verdict.NOT_COMPARED, reason, stage, t) for c in alive}
            for cell in [c for c in alive if c not in majority]:
                found[cell] = _blame(pairs[frozenset((cell, majority[0]))], stage, t, [names[c] for c in majority])
            alive = majority
    return found


def _blame(series: Sequence[PairSeries], stage: Stage, step: int, majority: Sequence[str]) -> Blame:
    mine = [s for s in series if s.stage == stage]
    worst = max(mine, key=lambda s: float(_ratio(s.difference, s.tolerance)[step]))
    difference, tolerance = float(worst.difference[step]), float(worst.tolerance[step])
    leak = worst.lower[step] > tolerance and difference <= worst.lower[step]
    verdict = Verdict.PRECISION_LEAK if leak else Verdict.LOCAL_FAULT
    reason = (
        f"{verdict} step {step} {stage} {worst.tensor}: {difference:.2g} away from {', '.join(majority)}, "
        f"which agree (tolerance {tolerance:.2g})"
    )
    return Blame(verdict, reason, stage, step, worst.tensor, difference, tolerance)


def _clusters(cells: Sequence[str], apart: set[frozenset[str]]) -> list[list[str]]:
    """For each cell, it and all that agree with it and with each other (greedy, in the given order)."""
    result: list[list[str]] = []
    for seed in cells:
        group = [seed]
        for c in cells:
            if c != seed and all(frozenset((c, g)) not in apart for g in group):
                group.append(c)
        result.append([c for c in cells if c in group])
    return result


def _over(series: Sequence[PairSeries], stage: Stage, step: int) -> bool:
    return any(s.difference[step] > s.tolerance[step] for s in series if s.stage == stage)


def _series(
    stage: Stage, tensor: str, difference: np.ndarray, bounds: Sequence[Mapping[Stage, np.ndarray]]
) -> PairSeries:
    return PairSeries(stage, tensor, difference, bounds[0][stage], bounds[1][stage])


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _rowmax(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    difference = _rows(np.abs(a.astype(np.float64) - b.astype(np.float64))).max(axis=1, initial=0)
    return np.where(np.isnan(difference), np.inf, difference)


def _step_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(_rows(np.abs(a.astype(np.float64) - b.astype(np.float64))).sum(axis=1))


def _ratio(difference: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / tolerance)
