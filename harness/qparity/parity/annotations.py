"""What is worth saying of a cell beside its verdict. Annotations never change a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np

from qparity.parity import statistical
from qparity.parity.audit import Audit
from qparity.parity.comparison import REFERENCE
from qparity.parity.fit import ends, repeated
from qparity.parity.names import weight_name
from qparity.parity.types import Judgement, Observation, Stage, Verdict

COMPARED = ("predictions", "loss", "gradients", "new_weights")


def annotate(o: Observation, found: Audit, block: Sequence[Observation], judged: Judgement) -> tuple[str, ...]:
    """All annotations of a cell."""
    notes = [
        *_injected(o),
        *_precision(o),
        *_computed(o),
        *_repeat(o),
        *found.annotations,
        *_nonfinite(o),
        *_leaks(found, judged),
    ]
    notes += [*_setup(found, judged), *_wide(found), *_coverage(o, found), *_sampling(o, found)]
    twins = [other.variant for other in block if other.cell != o.cell and bitwise_equal(o, other)]
    if twins:
        notes.append(f"bitwise equal to {', '.join(twins)}")
    if o.scenario.shots and len(block) > 1:
        alike = [other.variant for other in block if other.cell != o.cell and _same_samples(o, other)]
        notes.append(f"the same samples as {', '.join(alike)}" if alike else "no other variant drew the same samples")
    return tuple([*notes, *_fit(o), *_metrics(o, block)])


def bitwise_equal(a: Observation, b: Observation) -> bool:
    """Whether two cells recorded the same bytes of predictions, loss, gradients and weights."""
    mine, other = a.recorded, b.recorded
    both = ((array, other.get(name)) for name, array in mine.items() if name.partition("/")[0] in COMPARED)
    return all(
        twin is not None
        and array.dtype == twin.dtype
        and array.shape == twin.shape
        and array.tobytes() == twin.tobytes()
        for array, twin in both
    )


def _same_samples(a: Observation, b: Observation) -> bool:
    """Whether two sampled cells drew the same shots: their means differ by less than half of one."""
    mine, other = a.recorded.predictions, b.recorded.predictions
    return mine.shape == other.shape and bool(np.abs(mine - other).max() < 0.5 / (a.scenario.shots or 1))


def _injected(o: Observation) -> Iterator[str]:
    """A line for a fault that was put in on purpose."""
    if fault := o.outcome.fault:
        told = {key: value for key, value in asdict(fault).items() if value is not None}
        yield f"a fault was injected on purpose: {', '.join(f'{key} {value}' for key, value in told.items())}"


def _computed(o: Observation) -> Iterator[str]:
    for layer in o.outcome.resolved.quantum_layers:
        if layer.computed:
            yield f"{layer.name}: {layer.computed}"


def _precision(o: Observation) -> Iterator[str]:
    """A line where matrix products had fewer bits than the declared dtype."""
    if o.dtype == "float32" and o.outcome.resolved.flags.get("tf32"):
        yield "precision class TF32: products of float32 matrices keep 11 bits (u = 2^-11)"


def _repeat(o: Observation) -> Iterator[str]:
    """Whether the audit, run twice, gave the same bits (asked on a GPU, where additions may be atomic)."""
    repeat = o.outcome.audit.repeat
    if repeat and repeat.bitwise:
        yield "run twice: bitwise the same"
    elif repeat and not repeat.differences:
        yield "run twice: not bitwise the same"
    elif repeat:
        sizes = {name: math.inf if size is None else size for name, size in repeat.differences.items()}
        name, size = max(sizes.items(), key=lambda each: each[1])
        if math.isinf(size):
            yield f"run twice: it ended at another step, or at numbers that are not finite ({name})"
        else:
            largest = f"largest difference {size:.2g} ({name})"
            yield f"run twice: not bitwise the same, {largest}: the order of additions varies"


def _nonfinite(o: Observation) -> Iterator[str]:
    for name, array in o.recorded.items():
        if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            yield f"{int((~finite).sum())} values of {name} are not finite"


def _leaks(found: Audit, judged: Judgement) -> Iterator[str]:
    """Recorded dtypes below the declared one that the verdict is not about."""
    if judged.verdict != Verdict.PRECISION_LEAK:
        yield from (f"precision leak: {f.reason}" for f in found.leaks)


def _setup(found: Audit, judged: Judgement) -> Iterator[str]:
    """Setup faults that the verdict is not about."""
    if judged.verdict != Verdict.SETUP_FAULT:
        yield from (f"setup fault: {f.reason}" for f in found.faults if f.stage == Stage.SETUP)


def _wide(found: Audit) -> Iterator[str]:
    """A gradient smaller than its tolerance is not really compared: float32 finite differences, a sum that cancels."""
    for c in found.comparisons:
        if c.stage != Stage.GRADIENT or not c.got.size:
            continue
        largest = float(np.abs(c.expected).max())
        if not c.tolerance.max() <= largest and float(np.median(c.tolerance)) > largest:
            what = "what cancels in it, or a kink, leaves open" if c.by == REFERENCE else "the method's own error is"
            yield f"{c.tensor}: {what} more than the gradient, so agreement says nothing"


def _coverage(o: Observation, found: Audit) -> Iterator[str]:
    if found.not_covered:
        yield f"not covered by the oracle: {found.not_covered}"
    elif o.whole_model and o.outcome.resolved.quantum_layers:
        yield "judged at the quantum layers' boundaries"
    said = o.outcome.reference
    if said.steps is not None:
        yield f"whole model judged by the reference (Keras on NumPy) at {said.steps} of {said.of} steps"
        if said.qnodes:
            yield f"circuits that the reference ran tape by tape: {'; '.join(said.qnodes)}"
        if said.told:
            yield f"the model names no NumPy backend: for the reference its code was told that it is on {said.told}"
    elif said.reason:
        yield f"no reference: {said.reason}"
    for backend, juror in o.outcome.jury.items():
        if backend == o.backend:
            steps = f"{juror.steps or 0} steps where others are away from it"
            yield f"{backend} itself was asked what it rounds at {steps}"
        elif juror.reason:
            yield f"no word of {backend} on the steps recorded here: {juror.reason}"
        elif juror.precision and juror.precision != "float64":
            yield f"{backend} computed the steps recorded here anew in {juror.precision}"
    if script := o.scenario.script:
        yield from (f"{script.file}: {note}" for note in script.notes)
    if numbers := sorted(o.by_differences):
        names = ", ".join(weight_name(o, k) for k in numbers)
        yield f"PennyLane's parameter-shift takes finite differences for {names}: a channel there has no shift rule"
    for warning in o.outcome.audit.warnings:
        yield f"PennyLane warned: {warning}"
    if own := o.outcome.resolved.own:
        yield f"the model has its own {', '.join(own)}"
    if still := o.outcome.audit.without_gradient:
        yield f"no gradient reaches {', '.join(weight_name(o, k) for k in still)}: not trained"
    if o.precision not in ("float64", o.dtype):
        yield f"parts of the model compute in {o.precision}"


def _sampling(o: Observation, found: Audit) -> Iterator[str]:
    """The smallest difference that the statistical tests can see."""
    tested = [c for c in found.comparisons if c.stage in (Stage.FORWARD, Stage.GRADIENT)]
    if (shots := o.scenario.shots) and tested:
        tests = sum(c.got.size for c in tested)
        seen = statistical.detectable(shots, statistical.level(tests, o.family))
        yield f"{tests} statistical tests: a difference of {seen:.2g} in an expectation value is found half the time"


APART = 1e-3
"""Relative difference from which on the metrics of two trainings are said to differ."""


def _metrics(o: Observation, block: Sequence[Observation]) -> Iterator[str]:
    """What the script's metrics end at here and on the other variants; they judge nothing."""
    fit = o.outcome.fit
    if fit.metrics_failed:
        yield f"metrics of fit could not be computed: {fit.metrics_failed}"
    for name, values in fit.metrics.items():
        after = "one epoch" if len(values) == 1 else f"{len(values)} epochs"
        logged = {p.variant: p.outcome.fit.metrics.get(name, ()) for p in block}
        told = {variant: other[-1:] for variant, other in logged.items() if len(other) == len(values)}
        ends = {variant: value[0] for variant, value in told.items() if value}
        mine = ends.pop(o.variant, None)
        other = {variant: value for variant, value in ends.items() if not _alike(mine, value)}
        if other:
            there = ", ".join(f"{_number(value)} on {variant}" for variant, value in other.items())
            yield f"another {name} after {after}: {_number(mine)} here, {there} (metrics are not judged)"
        elif values:
            yield f"metric {name} after {after}: {_number(mine)}" + (f", as on {', '.join(ends)}" if ends else "")


def _alike(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and abs(a - b) <= APART * max(abs(a), abs(b)))


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _fit(o: Observation) -> Iterator[str]:
    """Where `fit` ended, compared with the recorded training."""
    compared = ends(o)
    if not compared:
        return
    took, recorded = repeated(o), len(o.recorded.loss)
    fit = "fit ended" if took == recorded else f"fit repeated the first {took} of {recorded} steps, and ended them"
    if all(np.array_equal(mine, audited) for mine, audited in compared):
        yield f"{fit} with bitwise the audit's weights"
        return
    distance = max(float(np.abs(mine - audited).max(initial=0)) for mine, audited in compared)
    yield f"{fit} with weights that differ from the audit's by {distance:.2g}"
