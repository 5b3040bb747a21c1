"""The decision table, in one place: what is said of each cell of a block.

The first line that applies:
LOCAL-FAULT     a residual is over its tolerance, and would be one precision class below too, at a stage that no
                setup fault explains: a hyper-parameter that is not as declared explains a wrong update, not a wrong
                gradient.
SETUP-FAULT     a setup entry differs (said even where nothing else can be compared).
LOCAL-FAULT     as above, at any stage. Local faults stand before the rest so that no expected fault hides one.
NOT-COMPARED    the oracle does not cover the program, and the variants have no majority or are fewer
                than three.
PRECISION-LEAK  a residual is over its tolerance but would pass one class below, or a recorded dtype is
                below the declared one.
NOT-COMPARED    the variants of a user's model disagree without a majority in what the oracle does not cover of it, or
                no gradient could have failed, because the method's own error exceeds every one.
ROUNDING        everything is within its tolerance at every audited step (with shots: of what is sampled, chance's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.parity.annotations import annotate
from harness.parity.audit import Audit, audit
from harness.parity.comparison import Comparison, effective_bits, series
from harness.parity.peers import Blame, blame_by_majority, pair_differences
from harness.parity.setup import ExactFault, weight_arrays
from harness.parity.tolerances import UNITS
from harness.parity.types import STAGES, Judgement, Observation, Stage, Verdict

ALIKE = 100.0
"""Signs of one tensor whose r differ by more than this are not of one fault; a leak and a fault differ by far more."""


def judge(block: Sequence[Observation]) -> dict[str, Judgement]:
    """Judge all cells of one scenario. Cells whose status is not `ok` get no judgement.

    Args:
        block: one scenario on all its variants.

    Returns:
        Cell id to judgement.
    """
    cells = [o for o in block if o.outcome.get("status") == "ok"]
    loaded = [replace(o, trace=dict(o.trace.items())) for o in cells if o.trace is not None]
    traced = [o for o in loaded if not missing_arrays(o)]
    audits: dict[str, Audit] = {}
    result: dict[str, Judgement] = {}
    for o in traced:
        try:
            audits[o.cell] = audit(o)
        except UNREADABLE as error:
            result[o.cell] = unreadable(error)
    traced = [o for o in traced if o.cell in audits]
    pairs = pair_differences(traced)
    whole = [o for o in traced if o.trace is not None and len(o.trace["predictions"]) == len(o.trace["batch_index"])]
    seen = {cell: signs(found) for cell, found in audits.items()}
    guilty = {cell for cell, mine in seen.items() if any(s.hard for s in mine)}
    peers = blame_by_majority(whole, {o.cell: audits[o.cell].not_covered for o in whole}, guilty)
    for o in cells:
        if o.cell not in audits and o.cell not in result:
            why = "left no trace" if o.trace is None else f"left a trace without {', '.join(missing_arrays(o))}"
            result[o.cell] = Judgement(Verdict.NOT_COMPARED, f"not compared: the cell {why}")
    for o in traced:
        judged = decide(o, audits[o.cell], seen[o.cell], peers.get(o.cell))
        if judged.verdict == Verdict.ROUNDING:
            judged = replace(judged, reason=judged.reason + _classical(o, whole))
        notes = annotate(o, audits[o.cell], traced, judged)
        result[o.cell] = replace(judged, annotations=notes, pairs=tuple(pairs[o.cell]))
    return result


UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What recordings raise that are not as docs/architecture.md says: a run folder may come from anywhere."""


def unreadable(error: Exception) -> Judgement:
    """What cannot be judged is said so, and is never a pass."""
    why = f"not compared: what was recorded cannot be judged ({type(error).__name__}: {error})"
    return Judgement(Verdict.NOT_COMPARED, why)


def _classical(o: Observation, block: Sequence[Observation]) -> str:
    """What is known of the gradients that no oracle judges: those of a user's model outside its quantum layers."""
    layers = o.outcome.get("resolved", {}).get("quantum_layers") or []
    quantum = {int(k) for layer in layers for k in layer.get("weights", ())}
    if not o.scenario.get("model") or len(weight_arrays(o, "weights")) <= len(quantum):
        return ""
    others = [other.variant for other in block if other.cell != o.cell]
    beside = f"at step 0 with {', '.join(others)}" if others else "with nothing"
    return f"; gradients of classical layers compared {beside}"


def missing_arrays(o: Observation) -> list[str]:
    """What a trace must have to be judged at all, and has not (or not one step of it)."""
    assert o.trace is not None
    needed = ["offsets", "batch_index", "x", "y", "predictions", "loss"]
    needed += ["weights/0", "gradients/0", "new_weights/0"]
    return [name for name in needed if name not in o.trace or (name == "offsets" and len(o.trace[name]) < 2)]


def decide(o: Observation, found: Audit, first: Sequence[_Sign], peers: Blame | None) -> Judgement:
    """The table, for one cell, whose signs are `first`."""
    stages = {
        stage: series(group, found.steps)
        for stage in STAGES
        if (group := [c for c in found.comparisons if c.stage == stage])
    }
    setup = [f for f in found.faults if f.stage == Stage.SETUP]
    hard = [s for s in first if s.hard]
    soft = [s for s in first if not s.hard] + [_exact(f, hard=False) for f in found.leaks]
    apart = [s for s in hard if not any(s.stage in f.explains for f in setup)]
    if apart:
        judged = _located(min(apart, key=_when), Verdict.LOCAL_FAULT, o)
    elif setup:
        judged = _exactly(setup[0], Verdict.SETUP_FAULT)
    elif hard:
        judged = _located(min(hard, key=_when), Verdict.LOCAL_FAULT, o)
    elif peers is not None and (peers.verdict == Verdict.LOCAL_FAULT or (found.not_covered and _nothing(peers))):
        judged = peers.judgement()
    elif soft:
        judged = _located(min(soft, key=_when), Verdict.PRECISION_LEAK, o)
    elif peers is not None:
        judged = peers.judgement()
    elif vacuous(found):
        why = "not compared: the differentiation method's own error exceeds every gradient there can be"
        judged = Judgement(Verdict.NOT_COMPARED, why, stage=Stage.GRADIENT)
    else:
        judged = _passed(found, o)
    return replace(judged, stages=stages)


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


def _nothing(peers: Blame) -> bool:
    return peers.verdict == Verdict.NOT_COMPARED


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
        where, r = c.worst()
        certain = np.flatnonzero(c.worst(lenient=True)[1] > 1)
        least = r[certain[0]] / ALIKE if len(certain) else 1.0
        over = np.flatnonzero((r > 1) & (r >= least))
        if not len(over):
            return None
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
    reason = (
        f"{verdict} {_place(judged.stage, judged.step)}{tensor}: {_both(judged)}, "
        f"r = {judged.r:.2g}, {judged.effective_bits:.0f} bits; "
        f"over all steps a tolerance of {judged.smallest_tolerance:.2g} would have passed"
    )
    return replace(judged, reason=reason)


def _passed(found: Audit, o: Observation) -> Judgement:
    worst: tuple[float, Comparison, int, int] | None = None
    for c in found.comparisons:
        where, ratios = c.worst()
        if len(ratios) and (worst is None or ratios.max() > worst[0]):
            at = int(ratios.argmax())
            worst = float(ratios[at]), c, int(where[at]), int(c.steps[at])
    if worst is None:
        return Judgement(Verdict.NOT_COMPARED, "not compared: the trace has no steps")
    r, c, position, step = worst
    judged = _figures(c, position, step, Verdict.ROUNDING, o)
    within = "sampling error and rounding" if o.scenario.get("shots") else "rounding"
    return replace(judged, reason=f"within {within} at every step: largest r = {r:.2g} ({c.stage}, step {step})")


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
    for digits in (6, 9, 17):
        got, expected = f"{judged.got:.{digits}g}", f"{judged.expected:.{digits}g}"
        if got[:-1] != expected[:-1]:
            break
    return f"got {got}, expected {expected}"


def _place(stage: Stage | None, step: int | None) -> str:
    return f"{stage}" if step is None else f"step {step} {stage}"
