"""Variants against each other, as the last resort for what nobody independent judged.

Variants of one backend share its code and are one witness: a majority is one of backends. Models of a user's own are
compared at step 0 alone (`parity/pairs.py` says why), where they have no jury (`parity/jury.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Protocol

import numpy as np

from qparity.parity.audit import Tensor
from qparity.parity.names import weight_name
from qparity.parity.pairs import KINDS, PairSeries, pair_series, ratio
from qparity.parity.setup import weight_arrays
from qparity.parity.types import Judgement, Observation, Stage, Verdict


class Witness(Protocol):
    """Names what a cell's numbers at a stage come from."""

    def __call__(self, o: Observation, /, stage: Stage) -> str:
        """Such as `torch`; cells of one name are one witness."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What makes cells independent of each other, and what they are called.

    `name` is what a cell is called, `cells` and `witnesses` what many are.
    """

    witness: Witness
    name: Callable[[Observation], str]
    cells: str
    witnesses: str


def _backend(o: Observation, stage: Stage) -> str:
    del stage
    return o.backend


BACKENDS = Standing(_backend, lambda o: o.variant, "variants", "backends")
"""Variants of one scenario: those of one backend share its code."""


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
    by_design: bool = False

    def judgement(self) -> Judgement:
        """The blame as a judgement; it has no expected value, only what the others recorded."""
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
            by_design=self.by_design,
        )


def blame_by_peers(
    cells: Sequence[Observation], unjudged: Mapping[str, Collection[Tensor]], why: Mapping[str, str]
) -> dict[str, Blame]:
    """What the other backends say of the tensors that nobody else judged.

    Args:
        cells: those that may be asked: of one scenario, with whole traces, nothing certain against them.
        unjudged: of each cell (by id) the tensors that no independent reference judged; cells without any are witnesses
            alone.
        why: of each cell, why not.

    Returns:
        For each cell with such tensors: PEERS-AGREE with other backends; LOCAL-FAULT or PRECISION-LEAK against a
        majority of backends, from the first step and stage on; NOT-COMPARED where there is none, or no other backend.
    """
    asked = [o for o in cells if unjudged.get(o.cell)]
    if not asked:
        return {}
    if any(o.draws for o in cells):
        sampled = sorted({name for o in cells for name in o.sampled_by_itself})
        drawn = f"samples of {', '.join(sampled)}" if sampled else "the random numbers of the model's layers"
        why_not = f"{drawn} are other ones on every backend"
        return {
            o.cell: Blame(Verdict.NOT_COMPARED, f"not compared: {listed(unjudged[o.cell])}: {why_not}", by_design=True)
            for o in asked
        }
    wanted = {tensor for o in asked for tensor in unjudged[o.cell] if tensor[0] in COMPARED}
    found = odd_ones_out(cells, wanted, 1 if cells[0].whole_model else len(cells[0].recorded.offsets) - 1)
    result: dict[str, Blame] = {}
    for o in asked:
        if o.cell in found:
            result[o.cell] = found[o.cell]
            continue
        others = [p.variant for p in cells if p.backend != o.backend and p.cell not in found]
        missing = listed(unjudged[o.cell])
        compared = [tensor for tensor in unjudged[o.cell] if tensor[0] in COMPARED]
        if not others or len(compared) < len(unjudged[o.cell]):
            left = missing if not others else listed([t for t in unjudged[o.cell] if t not in compared])
            reason = (
                f"not compared: nothing independent judged {left} ({why[o.cell]}), and no other backend can stand in"
            )
            result[o.cell] = Blame(Verdict.NOT_COMPARED, reason)
        else:
            when = "at step 0, after which their weights are no longer the same" if o.whole_model else "at every step"
            reason = f"{missing} agree with {', '.join(others)} {when}; nobody independent judged that ({why[o.cell]})"
            result[o.cell] = Blame(Verdict.PEERS_AGREE, reason)
    return result


COMPARED = (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT)


def listed(tensors: Collection[Tensor], most: int = 4) -> str:
    """Such as `predictions, gradients of dense/kernel, dense/bias`."""
    words = [name if stage in (Stage.FORWARD, Stage.LOSS) else f"{name} ({stage})" for stage, name in tensors]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def odd_ones_out(
    cells: Sequence[Observation], wanted: Collection[Tensor], steps: int, standing: Standing = BACKENDS
) -> dict[str, Blame]:
    """Walk through steps and stages; whoever leaves the majority of witnesses is blamed there and then left out.

    Args:
        cells: those that may be asked; at least one.
        wanted: the tensors that are compared.
        steps: the first so many are.
        standing: which cells are independent of each other.

    Returns:
        The blame of whoever is away from a majority, or of all that are left where they part without one.
    """
    sampled = any(o.sampled for o in cells)
    pairs = {frozenset((a.cell, b.cell)): pair_series(a, b) for a, b in combinations(cells, 2)}
    by_cell = {o.cell: o for o in cells}
    names_of = {o.cell: standing.name(o) for o in cells}
    alive, found = list(by_cell), dict[str, Blame]()
    if not all(pairs.values()):
        reason = f"not compared: the traces of the {standing.cells} differ in shape"
        return {c: Blame(Verdict.NOT_COMPARED, reason) for c in by_cell}
    for t in range(steps):
        for stage in COMPARED:
            names = {name for each, name in wanted if each == stage}
            series = {
                pair: [s for s in all_of if s.stage == stage and s.tensor in names] for pair, all_of in pairs.items()
            }
            apart = {pair for pair, mine in series.items() if pair <= set(alive) and _over(mine, t)}
            if not apart:
                continue
            majority = _majority([by_cell[c] for c in alive], apart, partial(standing.witness, stage=stage))
            precise = None if sampled else _precise([by_cell[c] for c in alive], series, apart, t)
            if sampled or (majority is None and precise is None):
                without = f"the {standing.cells} disagree without a majority of {standing.witnesses}"
                why = "sampled results differ" if sampled else without
                reason = f"not compared: {why} {_furthest(series, apart, names_of, stage, t)}"
                return found | {c: Blame(Verdict.NOT_COMPARED, reason, stage, t, by_design=sampled) for c in alive}
            right = precise or majority
            assert right is not None
            words = _away_from([names_of[m] for m in right], bool(precise))
            blames = {
                c: _blame([s for r in right for s in series[frozenset((c, r))]], stage, t, words)
                for c in alive
                if c not in right
            }
            leaks = [blame for blame in blames.values() if blame.verdict == Verdict.PRECISION_LEAK]
            if leaks and not precise:
                where = _furthest(series, apart, names_of, stage, t)
                why = "which is what the next lower precision makes; nothing independent says which side computes in it"
                reason = f"not compared: {where}, {why}"
                return found | {c: Blame(Verdict.NOT_COMPARED, reason, stage, t) for c in alive}
            found |= blames
            alive = right
    return found


def _precise(
    cells: Sequence[Observation],
    series: Mapping[frozenset[str], Sequence[PairSeries]],
    apart: Collection[frozenset[str]],
    step: int,
) -> list[str] | None:
    """The cells that are right where all others have computed in float32 what differs; None where that is not so.

    Every difference must be one that float32 makes, and what differs have numbers on one side that float32 has, each
    of them and at least two that are no halves or integers, and others on the other side. How many cells stand on a
    side does not matter.
    """
    over = [s for pair in apart for s in series[pair] if s.difference[step] > s.tolerance[step]]
    if any(s.difference[step] > s.lower[step] for s in over):
        return None
    values = {o.cell: _numbers(o, {s.tensor for s in over}, step) for o in cells}
    wide = [cell for cell, found in values.items() if not float32_has(found)]
    narrow = [cell for cell, found in values.items() if float32_has(found) and not_simple(found) >= 2]
    if not wide or not narrow or len(wide) + len(narrow) < len(cells) or any(pair <= set(wide) for pair in apart):
        return None
    return wide


def _numbers(o: Observation, tensors: Collection[str], step: int) -> np.ndarray:
    """What a float64 program has in these tensors, from this step on where a step has one number; nothing elsewhere."""
    names = {f"{kind}/{weight_name(o, k)}": f"{kind}/{k}" for kind in KINDS for k in range(len(weight_arrays(o, kind)))}
    found = []
    for tensor in tensors if o.dtype == "float64" else ():
        array = o.recorded.get(names.get(tensor, tensor))
        if array is None:
            return np.zeros(0)
        rows = slice(*o.recorded.offsets[step : step + 2]) if tensor == "predictions" else slice(step, None)
        found.append(np.ravel(array[rows].astype(np.float64)))
    return np.concatenate(found) if found else np.zeros(0)


def float32_has(values: np.ndarray) -> bool:
    """Whether there are any, and each is a number that float32 has."""
    return bool(len(values) and np.array_equal(values.astype(np.float32).astype(np.float64), values))


def not_simple(values: np.ndarray) -> int:
    """How many have more than SIMPLE_BITS."""
    mantissa = np.ldexp(np.frexp(values)[0], SIMPLE_BITS)
    return int(np.sum(mantissa != np.round(mantissa)))


SIMPLE_BITS = 12
"""A number of so few bits may come out of any computation, such as halves and integers."""


def _furthest(
    series: Mapping[frozenset[str], Sequence[PairSeries]],
    apart: Collection[frozenset[str]],
    names_of: Mapping[str, str],
    stage: Stage,
    step: int,
) -> str:
    """Which two lie furthest apart, in what, by how much."""

    def share(each: tuple[frozenset[str], PairSeries]) -> float:
        return float(ratio(each[1].difference, each[1].tolerance)[step])

    pair, s = max(((pair, s) for pair in apart for s in series[pair]), key=share)
    a, b = (name for c, name in names_of.items() if c in pair)
    sizes = f"{s.difference[step]:.2g} apart in {s.tensor} (tolerance {s.tolerance[step]:.2g})"
    return f"at step {step} {stage}: {a} and {b} are {sizes}"


def _away_from(right: Sequence[str], precise: bool) -> str:
    """`tf, jax, which agree`, or `tf: here float32 has every number, there not`."""
    if precise:
        return f"{', '.join(right)}: every number here is one that float32 has, there not"
    return f"{', '.join(right)}, which agree"


def _blame(series: Sequence[PairSeries], stage: Stage, step: int, right: str) -> Blame:
    worst = max(series, key=lambda s: float(ratio(s.difference, s.tolerance)[step]))
    difference, tolerance = float(worst.difference[step]), float(worst.tolerance[step])
    leak = worst.lower[step] > tolerance and difference <= worst.lower[step]
    verdict = Verdict.PRECISION_LEAK if leak else Verdict.LOCAL_FAULT
    reason = (
        f"{verdict} step {step} {stage} {worst.tensor}: {difference:.2g} away from {right} (tolerance {tolerance:.2g})"
    )
    return Blame(verdict, reason, stage, step, worst.tensor, difference, tolerance)


def _majority(
    cells: Sequence[Observation], apart: set[frozenset[str]], witness: Callable[[Observation], str]
) -> list[str] | None:
    """The largest group that agrees with each other and has more than half of all witnesses, at least two; or None.

    A witness counts for a group only if none of its cells stands outside. Somebody whose tolerance is wide may agree
    with both sides: where two groups are as large as each other neither is it, and whoever stands outside must be away
    from two witnesses.
    """
    witnesses = {witness(o) for o in cells}
    groups: set[frozenset[str]] = set()
    for seed in cells:
        group = [seed.cell]
        for o in cells:
            if o is not seed and all(frozenset((o.cell, g)) not in apart for g in group):
                group.append(o.cell)
        whole = [w for w in witnesses if all(o.cell in group for o in cells if witness(o) == w)]
        if len(whole) >= 2 and 2 * len(whole) > len(witnesses):
            groups.add(frozenset(group))
    most = max(map(len, groups), default=0)
    largest = [group for group in groups if len(group) == most]
    if len(largest) != 1:
        return None
    inside = [o for o in cells if o.cell in largest[0]]
    for o in cells:
        if o not in inside and len({witness(i) for i in inside if frozenset((o.cell, i.cell)) in apart}) < 2:
            return None
    return [o.cell for o in inside]


def _over(series: Sequence[PairSeries], step: int) -> bool:
    return any(s.difference[step] > s.tolerance[step] for s in series)
