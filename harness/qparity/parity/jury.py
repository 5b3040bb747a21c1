"""A cell before its jury: other backends that computed its recorded steps anew, at its own weights (worker/jury.py).

So they stand beside it at every step, where variants that train for themselves have parted. Each juror is a witness
of its backend, and the cell is one of its own. Two that agree are believed against one; a difference that the next
lower precision explains convicts only a side whose numbers are all float32 numbers (`peers`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from qparity.parity.audit import Tensor
from qparity.parity.comparison import Comparison, ratio
from qparity.parity.peers import Blame, float32_has, listed, not_simple
from qparity.parity.testimony import Testimony, ratio_at, rows_at
from qparity.parity.types import STEP_STAGES, Observation, Stage, Verdict


def blame_by_jury(
    o: Observation, unjudged: Collection[Tensor], why: str, heard: Sequence[Testimony], left_out: Sequence[str] = ()
) -> Blame:
    """What the jurors that are heard say of the tensors that nobody independent judged.

    Args:
        o: the cell.
        unjudged: those tensors.
        why: why nobody did.
        heard: the jurors, one at least.
        left_out: a line on each backend that was asked and is not heard.
    """
    alive, gone = list(heard), list(left_out)
    steps = sorted({int(step) for each in heard for c in each.comparisons.values() for step in c.steps})
    for step, stage in product(steps, STEP_STAGES):
        place = _Place(o, step, stage, unjudged)
        while against := [each for each in alive if place.apart(each)]:
            found = place.decided(against, [each for each in alive if each not in against])
            if isinstance(found, Blame):
                return found
            gone += [f"without {name}, which {why_not}" for name, why_not in found.items()]
            alive = [each for each in alive if each.backend not in found]
    without = f" ({'; '.join(gone)})" if gone else ""
    compared = {tensor: set[int]().union(*(_steps_of(each, tensor) for each in alive)) for tensor in unjudged}
    if missing := [tensor for tensor, where in compared.items() if not where]:
        nobody = f"nothing independent judged {listed(missing)} ({why})"
        return Blame(Verdict.NOT_COMPARED, f"not compared: {nobody}, and no other backend can stand in{without}")
    count, of = min(map(len, compared.values())), len(o.recorded.offsets) - 1
    when = "at every step" if count == of else f"at {count} of {of} steps"
    said = f"{listed(unjudged)} agree {when} with {_by_whom(alive, compared)}, run again at the weights recorded here"
    return Blame(Verdict.PEERS_AGREE, f"{said}{without}; nobody independent judged that ({why})")


def _by_whom(jurors: Sequence[Testimony], compared: Mapping[Tensor, set[int]]) -> str:
    """`torch and jax`; `torch, at 3 of them with jax` that had time for fewer; `torch or jax` where neither has all."""
    counts = {each: min(len(_steps_of(each, tensor)) for tensor in compared) for each in jurors}
    whole = [each for each in jurors if all(_steps_of(each, tensor) == where for tensor, where in compared.items())]
    if not whole:
        return " or ".join(each.backend for each in jurors)
    fewer = [
        f", at {counts[each]} of them with {each.backend}" for each in jurors if each not in whole and counts[each]
    ]
    return _names(whole) + "".join(fewer)


def _steps_of(juror: Testimony, tensor: Tensor) -> set[int]:
    return {int(step) for step in juror.comparisons[tensor].steps} if tensor in juror.comparisons else set()


@dataclass(frozen=True, slots=True)
class _Place:
    """A stage of a step of a cell, where jurors may be apart from it."""

    cell: Observation
    step: int
    stage: Stage
    unjudged: Collection[Tensor]

    def apart(self, juror: Testimony) -> list[Comparison]:
        """What differs by more than its tolerance."""
        return [c for c in juror.at(self.step, self.stage, self.unjudged).values() if ratio_at(c, self.step) > 1]

    def decided(self, against: Sequence[Testimony], beside: Sequence[Testimony]) -> Blame | dict[str, str]:
        """A verdict on the cell; or the jurors that stand alone here, with why each is not heard any more.

        `beside` are the jurors that are not away from the cell.
        """
        over = {each.backend: self.apart(each) for each in against}
        differing = {(c.stage, c.tensor) for found in over.values() for c in found}
        beside = [each for each in beside if each.at(self.step, self.stage, differing)]
        if all(_below(c, self.step) <= 1 for found in over.values() for c in found):
            return self._leak(against, beside, over, differing)
        if beside:
            names = ", ".join(each.backend for each in beside)
            return {each.backend: f"is away from this and {names} at {self}" for each in against}
        certain = all(any(_below(c, self.step) > 1 for c in found) for found in over.values())
        if len(against) > 1 and certain and all(self._between(*pair) <= 1 for pair in combinations(against, 2)):
            return self._blame(Verdict.LOCAL_FAULT, over, f"{_names(against)}, which agree")
        return self._undecided(over, "and no majority of backends says which is wrong")

    def _leak(
        self,
        against: Sequence[Testimony],
        beside: Sequence[Testimony],
        over: Mapping[str, Sequence[Comparison]],
        tensors: Collection[Tensor],
    ) -> Blame | dict[str, str]:
        """Of differences in these tensors that the next lower precision makes."""
        mine = np.concatenate([self._rows(c, c.got) for c in over[against[0].backend]])
        narrow = [each.backend for each in against if _narrow(self._numbers(each, tensors))]
        wide = not any(float32_has(self._numbers(each, tensors)) for each in against)
        alike = all(self._between(*pair) <= 1 for pair in combinations(against, 2))
        if _narrow(mine) and wide and alike and all(_narrow(self._numbers(each, tensors)) for each in beside):
            why = f"{_names(against)}: every number here is one that float32 has, there not"
            return self._blame(Verdict.PRECISION_LEAK, over, why)
        if narrow and not float32_has(mine):
            return dict.fromkeys(narrow, f"has what float32 has at {self}")
        lower = "which is what the next lower precision makes; nothing independent says which side computes in it"
        return self._undecided(over, lower)

    def _numbers(self, juror: Testimony, tensors: Collection[Tensor]) -> np.ndarray:
        """What a juror has of some tensors from this step on."""
        there = juror.at(self.step, self.stage, tensors)
        return np.concatenate([np.zeros(0), *(self._rows(c, c.expected) for c in there.values())])

    def _rows(self, c: Comparison, array: np.ndarray) -> np.ndarray:
        """The numbers of a step: of this one, and of later ones where a step has one alone."""
        k = int(np.flatnonzero(c.steps == self.step)[0])
        stop = c.offsets[k + 1] if c.got[c.offsets[k] : c.offsets[k + 1]].size > 1 else c.offsets[-1]
        return np.ravel(array[c.offsets[k] : stop].astype(np.float64))

    def _between(self, a: Testimony, b: Testimony) -> float:
        """How far two jurors are apart here, over what the cell may be off from either."""
        mine, other = (each.at(self.step, self.stage, self.unjudged) for each in (a, b))
        found = [0.0]
        for tensor in mine.keys() & other.keys():
            sides = [(c, rows_at(c, self.step)) for c in (mine[tensor], other[tensor])]
            difference = np.abs(sides[0][0].expected[sides[0][1]] - sides[1][0].expected[sides[1][1]])
            allowed = np.maximum(*(c.tolerance[where] for c, where in sides))
            found.append(float(ratio(difference, allowed).max(initial=0.0)))
        return max(found)

    def _blame(self, verdict: Verdict, over: Mapping[str, Sequence[Comparison]], right: str) -> Blame:
        c, size, allowed = self._worst(over)
        reason = f"{verdict} {self} {c.tensor}: {size:.2g} away from {right} (tolerance {allowed:.2g})"
        return Blame(verdict, reason, self.stage, self.step, c.tensor, size, allowed)

    def _undecided(self, over: Mapping[str, Sequence[Comparison]], why: str) -> Blame:
        c, size, allowed = self._worst(over)
        sizes = f"{size:.2g} away from {' and '.join(over)} in {c.tensor} (tolerance {allowed:.2g})"
        reason = f"not compared: at {self} it is {sizes}, {why}"
        return Blame(Verdict.NOT_COMPARED, reason, self.stage, self.step, c.tensor)

    def _worst(self, over: Mapping[str, Sequence[Comparison]]) -> tuple[Comparison, float, float]:
        """What differs most, by how much, and what is allowed."""
        c = max((c for found in over.values() for c in found), key=lambda c: ratio_at(c, self.step))
        position = int(c.worst[0][np.flatnonzero(c.steps == self.step)[0]])
        return c, float(c.residual.reshape(-1)[position]), float(c.tolerance.reshape(-1)[position])

    def __str__(self) -> str:
        return f"step {self.step} {self.stage}"


def _names(jurors: Sequence[Testimony]) -> str:
    return " and ".join(each.backend for each in jurors)


def _narrow(values: np.ndarray) -> bool:
    """Whether all are numbers that float32 has, two of them at least such as do not come out of any computation."""
    return float32_has(values) and not_simple(values) >= 2


def _below(c: Comparison, step: int) -> float:
    """The same, where what the next lower precision makes is allowed."""
    return float(c.worst_of_class_below[1][np.flatnonzero(c.steps == step)[0]])
