"""The decision table, in one place: what is said of each cell of a block.

The first line that applies:
LOCAL-FAULT     a residual is over its tolerance, and would be one precision class below too, at a stage that no
                setup fault explains: a hyper-parameter that is not as declared explains a wrong update, not a wrong
                gradient.
SETUP-FAULT     a setup entry differs: data, weights, hyper-parameters, the circuit that the function gives on this
                backend, `fit` training something else than what was recorded (said even where nothing else can be
                compared).
LOCAL-FAULT     as above, at any stage; then against a majority of backends, in what nothing else judged. Local faults
                stand before the rest so that no expected fault hides one.
NOT-COMPARED    nobody can say which circuit is meant; or some tensor was judged at no step by anything independent, and
                no other backend agrees or a majority is lacking.
PRECISION-LEAK  a residual is over its tolerance but would pass one class below, a recorded dtype is below the
                declared one, or the rate of a schedule is rounded to a lower one.
NOT-COMPARED    no gradient could have failed, because the method's own error exceeds every one.
PEERS-AGREE     everything that something independent judged is within its tolerance; of the rest it is known only that
                other backends agree.
ROUNDING        everything is within its tolerance at every judged step (with shots: of what is sampled, chance's).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from qparity.parity.annotations import annotate
from qparity.parity.audit import Audit, Tensor, audit, first_tolerances, without
from qparity.parity.bits import bits_told, digits, right_bits
from qparity.parity.circuits import circuit_faults
from qparity.parity.comparison import REFERENCE, Comparison, effective_bits, look_together, series
from qparity.parity.jury import blame_by_jury
from qparity.parity.pairs import pair_differences, pair_series
from qparity.parity.peers import Blame, blame_by_peers
from qparity.parity.setup import ExactFault, start_faults
from qparity.parity.simulated import simulated_together
from qparity.parity.testimony import heard_of, jurors_of
from qparity.parity.tolerances import UNITS
from qparity.parity.types import STAGES, STEP_STAGES, Judgement, Observation, Stage, Verdict
from qparity.parity.update import moved_together
from qparity.records import Reference

T = TypeVar("T")
ALIKE = 100.0
"""Signs of one tensor whose r differ by more than this are not of one fault; a leak and a fault differ by far more."""


def judge(block: Sequence[Observation], pairs: bool = True) -> dict[str, Judgement]:
    """Judge all cells of one scenario. Cells whose status is not `ok` get no judgement.

    Args:
        block: one scenario on all its variants.
        pairs: whether how far any two variants are apart is told too, which no verdict depends on.

    Returns:
        Cell id to judgement.
    """
    cells = [o for o in block if o.outcome.status == "ok"]
    loaded = [replace(o, trace=o.recorded) for o in cells if o.trace is not None]
    traced = [o for o in loaded if not missing_arrays(o)]
    audits: dict[str, Audit] = {}
    result: dict[str, Judgement] = {}
    moved, prepared = _together(moved_together, traced), _together(simulated_together, traced)
    for o in traced:
        try:
            audits[o.cell] = audit(o, moved.get(o.cell), prepared.get(o.cell))
        except UNREADABLE as error:
            result[o.cell] = unreadable(error)
    traced = [o for o in traced if o.cell in audits]
    look_together(c for found in audits.values() for c in found.comparisons)
    apart = _together(pair_differences, traced) if pairs else {}
    circuits = circuit_faults(traced)
    starts = start_faults(traced)
    for o in traced:
        more = [f for f in (circuits.get(o.cell), starts.get(o.cell)) if isinstance(f, ExactFault)]
        audits[o.cell] = replace(audits[o.cell], faults=(*more, *audits[o.cell].faults))
    if contradicted(traced, audits):
        note = "the reference was not believed: all backends agree on another forward pass than NumPy's"
        audits = {cell: without(found, REFERENCE, note) for cell, found in audits.items()}
    seen = {cell: signs(found) for cell, found in audits.items()}
    whole = [o for o in traced if len(o.recorded.predictions) == len(o.recorded.batch_index)]
    innocent = [o for o in whole if not any(s.hard for s in seen[o.cell]) and o.cell not in circuits]
    why = {o.cell: _why_unjudged(o, audits[o.cell]) for o in innocent}
    unjudged = {o.cell: audits[o.cell].unjudged for o in innocent}
    peers = dict(blame_by_peers(innocent, unjudged, why))
    wrong = _wrong_backends(traced, innocent)
    for o in innocent:
        if unjudged[o.cell] and (blame := _by_jury(o, unjudged[o.cell], why[o.cell], wrong, peers.get(o.cell))):
            peers[o.cell] = blame
    for o in cells:
        if o.cell not in audits and o.cell not in result:
            why_not = "left no trace" if o.trace is None else f"left a trace without {', '.join(missing_arrays(o))}"
            result[o.cell] = Judgement(Verdict.NOT_COMPARED, f"not compared: the cell {why_not}")
    for o in traced:
        undecided = circuits.get(o.cell)
        unknown = undecided if isinstance(undecided, str) else None
        judged = decide(o, audits[o.cell], seen[o.cell], peers.get(o.cell), unknown)
        notes = annotate(o, audits[o.cell], traced, judged)
        found = audits[o.cell]
        judged = replace(judged, judged=found.judged, judgeable=found.judgeable, unjudged=found.unjudged)
        if o.scenario.judged_by_methods:
            judged = replace(judged, first_tolerances=first_tolerances(found))
        result[o.cell] = replace(judged, annotations=notes, pairs=tuple(apart.get(o.cell, ())))
    return result


FAULTS = (Verdict.LOCAL_FAULT, Verdict.PRECISION_LEAK)


def _wrong_backends(traced: Sequence[Observation], innocent: Sequence[Observation]) -> set[str]:
    """The backends all of whose cells have something certain against them: they are nobody's jurors."""
    return {o.backend for o in traced} - {o.backend for o in innocent}


def _by_jury(
    o: Observation, unjudged: Sequence[Tensor], why: str, wrong: Collection[str], peers: Blame | None
) -> Blame | None:
    """What a cell's jurors say of it, or else `peers`, who were compared with it at step 0."""
    try:
        if not (heard := heard_of(o, wrong)):
            return peers
        left_out = [f"without {name}, whose own cells are wrong" for name in jurors_of(o) if name in wrong]
        jury = blame_by_jury(o, unjudged, why, heard, left_out)
    except UNREADABLE as error:
        return Blame(Verdict.NOT_COMPARED, unreadable(error).reason)
    if peers is None or jury.verdict != Verdict.NOT_COMPARED:
        return jury
    knows_more = (Verdict.PEERS_AGREE,) if jury.stage is None else FAULTS
    return peers if peers.verdict in knows_more else jury


def _together(
    compute: Callable[[Sequence[Observation]], Mapping[str, T]], cells: Sequence[Observation]
) -> Mapping[str, T]:
    """What can be computed of all cells in one go; nothing where one of them is odd, which its own audit then says."""
    try:
        return compute(cells)
    except UNREADABLE:
        return {}


def contradicted(block: Sequence[Observation], audits: Mapping[str, Audit]) -> bool:
    """Whether every one of several backends has another forward pass than the reference, and all have the same.

    Then it is the reference that stands alone: a user's layer may be another one on NumPy. A difference that lower
    precision explains is none: the reference computes in float64 whatever it is given.
    """
    against = [o for o in block if any(_forward_fault(c) for c in audits[o.cell].comparisons)]
    told = [o for o in block if any(c.by == REFERENCE for c in audits[o.cell].comparisons)]
    if len(against) < len(told) or len({o.backend for o in against}) < 2:
        return False
    return all(
        s.difference[0] <= s.tolerance[0]
        for a, b in combinations(against, 2)
        for s in pair_series(a, b)
        if s.stage in (Stage.FORWARD, Stage.LOSS)
    )


def _forward_fault(c: Comparison) -> bool:
    """Whether the reference found more than lower precision explains, at the first step it looked at."""
    forward = c.by == REFERENCE and c.stage in (Stage.FORWARD, Stage.LOSS) and len(c.steps)
    return bool(forward and c.worst_of_class_below[1][0] > 1)


def _why_unjudged(o: Observation, found: Audit) -> str:
    said = o.outcome.reference
    reasons = [found.not_covered, said.reason]
    if said == Reference():
        reasons.append("no reference was asked")
    notes = [note for note in found.annotations if note.startswith("the reference was not believed")]
    return "; ".join(str(reason) for reason in [*reasons, *notes] if reason) or "the reference says nothing of it"


UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What recordings raise that are not as docs/architecture.md says: a run folder may come from anywhere."""


def unreadable(error: Exception) -> Judgement:
    """The judgement of a cell whose recordings cannot be read: NOT-COMPARED."""
    why = f"not compared: what was recorded cannot be judged ({type(error).__name__}: {error})"
    return Judgement(Verdict.NOT_COMPARED, why)


def missing_arrays(o: Observation) -> list[str]:
    """What a trace must have to be judged at all, and has not (or not one step of it)."""
    needed = ["offsets", "batch_index", "x", "y", "predictions", "loss"]
    needed += ["weights/0", "gradients/0", "new_weights/0"]
    return [name for name in needed if name not in o.recorded or (name == "offsets" and len(o.recorded[name]) < 2)]


def decide(
    o: Observation, found: Audit, first: Sequence[_Sign], peers: Blame | None, unknown: str | None = None
) -> Judgement:
    """The table, for one cell, whose signs are `first`; `unknown` is why nobody can say which circuit is meant."""
    stages = {
        stage: series(group, found.steps)
        for stage in STAGES
        if (group := [c for c in found.comparisons if c.stage == stage])
    }
    setup = [f for f in found.faults if f.stage == Stage.SETUP]
    hard = [s for s in first if s.hard]
    soft = [s for s in first if not s.hard] + [_exact(f, hard=False) for f in found.leaks]
    apart = [s for s in hard if not any(s.stage in f.explains for f in setup)]
    if unknown and not setup:
        judged = Judgement(Verdict.NOT_COMPARED, f"not compared: {unknown}", stage=Stage.SETUP)
    elif apart:
        judged = _located(min(apart, key=_when), Verdict.LOCAL_FAULT, o)
    elif setup:
        judged = _exactly(setup[0], Verdict.SETUP_FAULT)
    elif hard:
        judged = _located(min(hard, key=_when), Verdict.LOCAL_FAULT, o)
    elif peers is not None and peers.verdict in (Verdict.LOCAL_FAULT, Verdict.NOT_COMPARED):
        judged = peers.judgement()
    elif soft:
        judged = _located(min(soft, key=_when), Verdict.PRECISION_LEAK, o)
    elif peers is not None and peers.verdict == Verdict.PRECISION_LEAK:
        judged = peers.judgement()
    elif found.unjudged and peers is None:
        why = "not compared: nothing judged its predictions and gradients"
        judged = Judgement(Verdict.NOT_COMPARED, why)
    elif vacuous(found):
        why = "not compared: the differentiation method's own error exceeds every gradient there can be"
        judged = Judgement(Verdict.NOT_COMPARED, why, stage=Stage.GRADIENT)
    elif peers is not None:
        passed = _passed(found, o)
        reason = f"{peers.reason}; {passed.reason}" if passed.verdict == Verdict.ROUNDING else peers.reason
        judged = replace(passed, verdict=Verdict.PEERS_AGREE, reason=reason)
    else:
        judged = _passed(found, o)
    bits, judges = right_bits(o, found, stages), sorted({c.by for c in found.comparisons if c.got.size})
    reason = f"{judged.reason}{bits_told(judged, bits, o)}"
    return replace(judged, reason=reason, stages=stages, right_bits=bits, digits=digits(o), judges=tuple(judges))


def signs(found: Audit) -> list[_Sign]:
    """For each stage its first hard sign of trouble, or else its first."""
    exact = [_exact(f) for f in found.faults if f.stage != Stage.SETUP]
    every = [*(s for c in found.comparisons if (s := _Sign.of(c))), *exact]
    by_stage = ([s for s in every if s.stage == stage] for stage in STAGES)
    return [min([s for s in mine if s.hard] or mine, key=_when) for mine in by_stage if mine]


def vacuous(found: Audit) -> bool:
    """Whether gradients were compared only where the tolerance allows any gradient that the circuit can have."""
    compared = [c for c in found.comparisons if c.stage == Stage.GRADIENT and c.got.size]
    return bool(compared) and all(bool((c.tolerance > c.scale).all()) for c in compared)


@dataclass(frozen=True)
class _Sign:
    """The first sign of trouble in one comparison, or an exact fault."""

    stage: Stage
    step: int
    hard: bool
    comparison: Comparison | None = None
    position: int = 0
    fault: ExactFault | None = None

    @classmethod
    def of(cls, c: Comparison) -> _Sign | None:
        """The first step over; hard if any is over one class below too.

        It is then the first about as bad as that one, since a leak may have gone before.
        """
        where, r = c.worst
        if not (r > 1).any():
            return None
        certain = np.flatnonzero(c.worst_of_class_below[1] > 1)
        least = r[certain[0]] / ALIKE if len(certain) else 1.0
        over = np.flatnonzero((r > 1) & (r >= least))
        return cls(c.stage, int(c.steps[over[0]]), bool(len(certain)), c, int(where[over[0]]))


def _when(sign: _Sign) -> tuple[int, int]:
    return sign.step, STAGES.index(sign.stage)


def _exact(fault: ExactFault, hard: bool = True) -> _Sign:
    return _Sign(fault.stage, fault.step or 0, hard, fault=fault)


def _exactly(fault: ExactFault, verdict: Verdict) -> Judgement:
    return Judgement(
        verdict,
        f"{verdict} {_place(fault.stage, fault.step)} {fault.tensor}: {fault.reason}",
        stage=fault.stage,
        step=fault.step,
        tensor=fault.tensor,
        got=fault.got,
        expected=fault.expected,
    )


def _located(sign: _Sign, verdict: Verdict, o: Observation) -> Judgement:
    if sign.comparison is None:
        assert sign.fault is not None
        return _exactly(sign.fault, verdict)
    judged = _figures(sign.comparison, sign.position, sign.step, verdict, o)
    index = f"[{','.join(str(i) for i in judged.index)}]" if judged.index else ""
    tensor = f" {judged.tensor}{index}" if index or judged.tensor != judged.stage else ""
    return replace(judged, reason=f"{verdict} {_place(judged.stage, judged.step)}{tensor}: {_both(judged)}")


def _passed(found: Audit, o: Observation) -> Judgement:
    worst: tuple[float, Comparison, int, int] | None = None
    for c in found.comparisons:
        where, ratios = c.worst
        if len(ratios) and (worst is None or ratios.max() > worst[0]):
            at = int(ratios.argmax())
            worst = float(ratios[at]), c, int(where[at]), int(c.steps[at])
    if worst is None:
        return Judgement(Verdict.NOT_COMPARED, "not compared: the trace has no steps")
    _, c, position, step = worst
    judged = _figures(c, position, step, Verdict.ROUNDING, o)
    within = "sampling error and rounding" if o.scenario.shots else "rounding"
    reason = f"within {within} {_where(found)}"
    if o.own_optimizer:
        reason += "; updates are not judged"
    return replace(judged, reason=reason)


def _where(found: Audit) -> str:
    """At which steps: every one, or so many of each stage."""
    counts: dict[Stage, list[int]] = {}
    for tensor in found.required:
        if steps := found.judged_steps.get(tensor):
            counts.setdefault(tensor[0], []).append(len(steps))
    if all(least == found.steps for each in counts.values() for least in each):
        return "at every step" if len(counts) == len(STEP_STAGES) else f"at every step ({', '.join(counts)})"
    told = [f"{stage} {min(n)}" + (f" to {max(n)}" if max(n) > min(n) else "") for stage, n in counts.items()]
    return f"at the judged ones of {found.steps} steps ({', '.join(told)})"


def _figures(c: Comparison, position: int, step: int, verdict: Verdict, o: Observation) -> Judgement:
    def at(array: np.ndarray) -> float:
        return float(array.reshape(-1)[position])

    residual, scale = at(c.residual), at(c.scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        ulps = float(np.float64(residual) / (2 * UNITS[o.dtype] * scale)) if residual else 0.0
    return Judgement(
        verdict,
        "",
        stage=c.stage,
        step=step,
        tensor=c.tensor,
        index=c.index(position),
        got=at(c.got),
        expected=at(c.expected),
        residual=residual,
        tolerance=at(c.tolerance),
        r=at(c.r),
        effective_bits=float(effective_bits(np.array(residual), np.array(scale))),
        ulps=ulps,
        smallest_tolerance=float(c.residual.max()),
    )


def _both(judged: Judgement) -> str:
    """Got and expected with as many digits as it takes to tell them apart."""
    for precision in (6, 9, 12, 15, 17):
        got, expected = f"{judged.got:.{precision}g}", f"{judged.expected:.{precision}g}"
        if got[:-1] != expected[:-1]:
            break
    return f"got {got}, expected {expected}"


def _place(stage: Stage | None, step: int | None) -> str:
    return f"{stage}" if step is None else f"step {step} {stage}"
