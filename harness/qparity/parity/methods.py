"""One circuit by several devices and differentiation methods: scenarios of a run that differ in nothing else.

They start from the same numbers, so that at step 0 each must predict, lose and differentiate the same, on every variant
by itself. Who is right where nothing independent judged is decided as among backends (`parity/peers.py`), by a majority
of witnesses: of predictions and loss a device is one, whatever method differentiates it; of gradients a method is one,
on whatever devices, since PennyLane's own code or the framework's does that work, but for `adjoint`, which each device
has of its own. Agreement acquits nobody: the verdict of a cell then stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations

import numpy as np

from qparity.parity.comparison import ratio
from qparity.parity.pairs import Side, pair_series
from qparity.parity.peers import COMPARED, Blame, Standing, odd_ones_out
from qparity.parity.setup import weight_arrays
from qparity.parity.types import PASSES, Judgement, Observation, Stage, Verdict
from qparity.parity.verdict import missing_arrays

FAULTS = (Verdict.LOCAL_FAULT, Verdict.SETUP_FAULT)


def compare_methods(cells: Sequence[Observation], judged: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """What is said of cells once they have been compared with the other devices and methods of their variant.

    Args:
        cells: those of scenarios that differ in device and differentiation method alone.
        judged: of each of them (by id), what was said of it; cells without a judgement take no part.

    Returns:
        The judgements of all that have one: with an annotation on what was found, and another verdict for who is away
        from a majority, or in a disagreement without one, in what nothing independent judged.
    """
    result = {o.cell: judged[o.cell] for o in cells if o.cell in judged}
    by_variant: dict[str, list[Observation]] = {}
    for o in cells:
        if o.cell in result and _whole(o):
            by_variant.setdefault(o.variant, []).append(o)
    for mine in by_variant.values():
        for group in _of_one_start(mine):
            blamed = _blamed(group, result)
            result |= blamed
            result |= {cell: replace(result[cell], annotations=(*result[cell].annotations, note))
                       for cell, note in _notes(group, mine, result)}  # fmt: skip
    return result


def _whole(o: Observation) -> bool:
    """Whether the cell has recorded all that is compared."""
    if o.outcome.status != "ok" or o.trace is None or missing_arrays(o):
        return False
    return len(o.recorded.predictions) == len(o.recorded.batch_index)


def _of_one_start(cells: Iterable[Observation]) -> list[list[Observation]]:
    """Cells whose first step has the same weights, data and rows, to the last bit."""
    groups: dict[bytes, list[Observation]] = {}
    for o in cells:
        t = o.recorded
        rows = t.batch_index[: t.offsets[1]]
        numbers = [t.x, t.y, rows, *(w[0] for w in weight_arrays(o, "weights"))]
        digest = sha256()
        for array in numbers:
            digest.update(f"{array.dtype} {array.shape};".encode() + np.ascontiguousarray(array).tobytes())
        groups.setdefault(digest.digest(), []).append(o)
    return list(groups.values())


def _witness(o: Observation, stage: Stage) -> str:
    """Whose work a number is."""
    if stage != Stage.GRADIENT:
        return o.scenario.device
    return f"{o.method} of {o.scenario.device}" if o.method in ("adjoint", "device") else o.method


def _name(o: Observation) -> str:
    return f"{o.scenario.name} ({o.method} on {o.scenario.device})"


WAYS = Standing(_witness, _name, "devices and methods", "independent ones")


def _blamed(group: Sequence[Observation], judged: Mapping[str, Judgement]) -> dict[str, Judgement]:
    """The new judgements of cells that a majority stands against, or that part without one."""
    innocent = [o for o in group if judged[o.cell].verdict not in FAULTS]
    seeing = _seeing(innocent)
    asked = {o.cell: tensors for o in seeing if (tensors := _unjudged(judged[o.cell]))}
    if not asked or len(seeing) < 2:
        return {}
    wanted = {tensor for tensors in asked.values() for tensor in tensors}
    found = odd_ones_out(seeing, wanted, 1, WAYS)
    return {cell: _sentenced(judged[cell], found[cell]) for cell in asked if cell in found}


def _unjudged(judgement: Judgement) -> list[tuple[Stage, str]]:
    return [tensor for tensor in judgement.unjudged if tensor[0] in COMPARED]


def _seeing(cells: Sequence[Observation]) -> list[Observation]:
    """Those whose method is exact enough to tell these gradients from none: the others would agree with anybody."""
    sides = [Side(o) for o in cells]
    largest = max((float(np.abs(g[0]).max(initial=0)) for s in sides for g in s.arrays["gradients"]), default=0.0)
    return [s.cell for s in sides if not largest or s.allowed_gradient[0] < largest]


OUTRANKED = {
    Verdict.LOCAL_FAULT: (Verdict.NOT_COMPARED, Verdict.PRECISION_LEAK, Verdict.PEERS_AGREE),
    Verdict.PRECISION_LEAK: (Verdict.NOT_COMPARED, Verdict.PEERS_AGREE),
    Verdict.NOT_COMPARED: (Verdict.PRECISION_LEAK, Verdict.PEERS_AGREE),
}
"""Which verdicts give way to a blame; the order is that of the table in `parity/verdict.py`."""


def _sentenced(judgement: Judgement, blame: Blame) -> Judgement:
    """The judgement with the blame in place of its verdict, where that says more."""
    nothing_said = judgement.verdict == blame.verdict == Verdict.NOT_COMPARED and judgement.stage is None
    if judgement.verdict not in OUTRANKED[blame.verdict] and not nothing_said:
        return judgement
    said = blame.judgement()
    kept = ("stages", "annotations", "pairs", "judged", "judgeable", "right_bits", "digits", "judges", "unjudged")
    return replace(said, **{name: getattr(judgement, name) for name in kept})


@dataclass(frozen=True, slots=True)
class _Apart:
    """Where two cells differ most at step 0, for what both may be off together."""

    tensor: str
    difference: float
    tolerance: float

    @property
    def share(self) -> float:
        return float(ratio(np.array(self.difference), np.array(self.tolerance)))


def _notes(
    group: Sequence[Observation], variant: Sequence[Observation], judged: Mapping[str, Judgement]
) -> list[tuple[str, str]]:
    """A line for each cell of a group: with whom of its variant it agrees at step 0, and by how much not."""
    apart = {frozenset((a.cell, b.cell)): _apart(a, b, judged) for a, b in combinations(group, 2)}
    notes = []
    for o in group:
        others = [each for each in variant if each.cell != o.cell]
        alike, differing, strange = [], [], []
        for other in others:
            verdict = judged[other.cell].verdict
            name = _name(other) + ("" if verdict in PASSES else f", which is {verdict}")
            found = apart.get(frozenset((o.cell, other.cell)))
            if found is None:
                strange.append(name)
            elif found.share > 1:
                sizes = f"{found.difference:.2g} apart in {found.tensor} (tolerance {found.tolerance:.2g})"
                differing.append(f"{sizes} from {name}")
            else:
                alike.append(name)
        said = [f"agrees with {'; '.join(alike)}"] if alike else []
        said += [f"is {'; '.join(differing)}"] if differing else []
        said += [f"has another start or shape than {'; '.join(strange)}"] if strange else []
        notes.append((o.cell, f"at step 0 {', and '.join(said)}" if said else NOTHING))
    return notes


NOTHING = "no other device or method was there to compare this variant with"


def _apart(a: Observation, b: Observation, judged: Mapping[str, Judgement]) -> _Apart | None:
    """Their largest difference in predictions, loss and gradients; None where they cannot be compared.

    What rounding allows a pair is told for `ASSUMED_GATES`; where the oracle allows predictions more, so is the rest.
    """
    series = [s for s in pair_series(a, b) if s.stage in COMPARED]
    if not series:
        return None
    own = _own(judged[a.cell], judged[b.cell])
    (forward,) = (s for s in series if s.stage == Stage.FORWARD)
    wider = max(1.0, own.get((forward.stage, forward.tensor), 0.0) / float(forward.tolerance[0]))
    found = (
        _Apart(
            s.tensor,
            float(s.difference[0]),
            max(wider * float(s.tolerance[0]), own.get((s.stage, s.tensor), 0.0)),
        )
        for s in series
    )
    return max(found, key=lambda each: each.share)


def _own(one: Judgement, other: Judgement) -> dict[tuple[Stage, str], float]:
    """What the oracle allows two cells together at step 0, the largest of each tensor that it knows of both.

    Its tolerances of loss and gradients are those at a cell's own predictions.
    """
    both = one.first_tolerances.keys() & other.first_tolerances.keys()
    return {t: float(one.first_tolerances[t].max() + other.first_tolerances[t].max()) for t in both}
