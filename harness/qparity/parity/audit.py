"""The local audit: every step of a cell against the oracle, at the cell's own recorded inputs.

Nothing accumulates that way. Forward: the oracle's predictions at the recorded weights. Loss: at the recorded
predictions. Gradient: the oracle's vector-Jacobian product with the cotangents that belong to the recorded
predictions. Update: the reference optimizer on the recorded gradients, with slots it carries itself. Around a
quantum layer of a larger model, inputs, outputs and cotangents are those recorded at the layer's boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from qparity import oracle
from qparity.oracle.losses import Loss
from qparity.oracle.probes import sampled_steps, seed_of
from qparity.parity import tolerances as tol
from qparity.parity.boundary import boundaries, boundary_comparisons, rows, units
from qparity.parity.comparison import ORACLE, Comparison, compare
from qparity.parity.fit import fit_faults
from qparity.parity.hessian import hessian_comparisons
from qparity.parity.loss import loss_of
from qparity.parity.names import state_name, weight_name
from qparity.parity.reference import reference_comparisons
from qparity.parity.setup import ExactFault, rate_leaks, setup_faults, weight_arrays
from qparity.parity.simulated import Prepared
from qparity.parity.types import Observation, Stage
from qparity.parity.update import Moved, update_comparisons, without_reference
from qparity.records.trace import Trace

AUDIT_ALL_UP_TO_WIRES = 8
SAMPLED_STEPS = 8

Tensor = tuple[Stage, str]


@dataclass(frozen=True)
class Audit:
    """All that an independent reference found of a cell.

    `not_covered` says why the oracle did not judge a circuit, or a loss, of it; `required` are the tensors that every
    step has, each of which somebody should judge.
    """

    comparisons: tuple[Comparison, ...]
    faults: tuple[ExactFault, ...]
    leaks: tuple[ExactFault, ...]
    annotations: tuple[str, ...]
    not_covered: str | None
    steps: int
    required: tuple[Tensor, ...] = ()
    judged_steps: Mapping[Tensor, frozenset[int]] = field(default_factory=dict)

    @property
    def unjudged(self) -> tuple[Tensor, ...]:
        """The tensors that nobody independent judged at any step."""
        return tuple(tensor for tensor in self.required if not self.judged_steps.get(tensor))

    @property
    def judged(self) -> int:
        """How many tensors of all steps were judged."""
        return sum(len(self.judged_steps.get(tensor, ())) for tensor in self.required)

    @property
    def judgeable(self) -> int:
        """How many tensors of all steps there are to judge."""
        return self.steps * len(self.required)


def audit(o: Observation, moved: Sequence[Moved] | None = None, prepared: Prepared | None = None) -> Audit:
    """Compare everything that was recorded of one cell with oracle and reference.

    `moved` and `prepared` are what was computed of it together with other cells (`moved_together`,
    `simulated_together`).
    """
    offsets = np.asarray(o.recorded.offsets)
    steps = len(offsets) - 1
    notes: list[str] = []
    comparisons: list[Comparison] = []
    reasons: list[str] = []
    faults = [*setup_faults(o), *_lost_rows(o), *_stale_weights(o), *fit_faults(o)]
    lost = any(f.stage == Stage.FORWARD for f in faults)
    loss = None
    try:
        loss = None if lost else prepared.loss if prepared else loss_of(o, offsets)
        if loss is not None:
            comparisons += _loss_comparisons(o, loss, offsets)
    except oracle.NotCovered as reason:
        reasons.append(str(reason))
    for boundary in () if lost else [prepared.boundary] if prepared else boundaries(o, loss):
        if isinstance(boundary, oracle.NotCovered):
            reasons.append(str(boundary))
            continue
        chosen = audited_steps(o, boundary.program.axes, offsets)
        if len(chosen) < steps:
            numbers = ", ".join(str(s) for s in chosen)
            notes.append(
                f"{boundary.program.wires} wires: circuit judged at {len(chosen)} of {steps} steps ({numbers})"
            )
        try:
            for comparison in boundary_comparisons(o, boundary, chosen, prepared.simulated if prepared else None):
                comparisons.append(comparison)  # one by one: what came before a refusal stays
        except oracle.NotCovered as reason:
            reasons.append(str(reason))
    if not lost:
        comparisons += reference_comparisons(o)
    if o.own_optimizer:
        notes.append("updates are not judged: the script's optimizer does more than its law knows")
    try:
        left_out = {f"weights/{weight_name(o, k)}" for k in without_reference(o)}
        made = () if o.own_optimizer else update_comparisons(o, units(o), moved)
        comparisons += [c for c in made if c.tensor not in left_out]
        if left_out:
            notes.append(f"updates of {', '.join(sorted(left_out))} not judged: their constraint has no reference")
    except oracle.NotCovered as reason:
        reasons.append(str(reason))
    try:
        for comparison in hessian_comparisons(o):
            comparisons.append(comparison)
    except oracle.NotCovered as reason:
        notes.append(f"second derivatives are not judged: {reason}")
    needed = _required(o)
    return Audit(
        tuple(comparisons),
        tuple(faults),
        tuple(_leaks(o)),
        tuple(notes),
        "; ".join(dict.fromkeys(reasons)) or None,
        steps,
        needed,
        _judged(comparisons, needed),
    )


def without(found: Audit, by: str, note: str) -> Audit:
    """The audit without the comparisons made by one judge (`by`)."""
    kept = tuple(c for c in found.comparisons if c.by != by)
    judged = _judged(kept, found.required)
    return replace(found, comparisons=kept, judged_steps=judged, annotations=(*found.annotations, note))


def first_tolerances(found: Audit) -> dict[Tensor, np.ndarray]:
    """What the oracle allows predictions, loss and gradients at step 0, (rows, elements) each."""
    allowed: dict[Tensor, np.ndarray] = {}
    for c in found.comparisons:
        if c.by == ORACLE and c.stage in (Stage.FORWARD, Stage.LOSS, Stage.GRADIENT) and 0 in c.steps:
            at = int(np.flatnonzero(c.steps == 0)[0])
            allowed[c.stage, c.tensor] = c.tolerance[int(c.offsets[at]) : int(c.offsets[at + 1])]
    return allowed


def _required(o: Observation) -> tuple[Tensor, ...]:
    count = len(weight_arrays(o, "weights"))
    needed: list[Tensor] = [(Stage.FORWARD, "predictions"), (Stage.LOSS, "loss")]
    kinds = [(Stage.GRADIENT, "gradients"), (Stage.UPDATE, "weights")]
    for stage, kind in kinds[:1] if o.own_optimizer else kinds:
        needed += [(stage, f"{kind}/{weight_name(o, k)}") for k in range(count)]
    moving = [
        j for j in _state_numbers(o) if len(o.recorded[f"state/{j}"]) > 1 and o.recorded[f"state/{j}"].dtype.kind == "f"
    ]
    needed += [(Stage.UPDATE, f"state/{state_name(o, j)}") for j in moving]
    return tuple(needed)


def _state_numbers(o: Observation) -> list[int]:
    return sorted(int(n.removeprefix("state/")) for n in o.recorded if n.startswith("state/"))


def _judged(comparisons: Iterable[Comparison], needed: tuple[Tensor, ...]) -> dict[Tensor, frozenset[int]]:
    found: dict[Tensor, frozenset[int]] = {}
    for c in comparisons:
        if (c.stage, c.tensor) in needed and c.got.size:
            found[c.stage, c.tensor] = found.get((c.stage, c.tensor), frozenset()) | {int(t) for t in c.steps}
    return found


def audited_steps(o: Observation, wires: int, offsets: np.ndarray) -> np.ndarray:
    """Which steps the simulation is affordable for: all up to 8 wires, above that 8 of them (`sampled_steps`)."""
    sizes = [int(n) for n in np.diff(offsets)]
    return sampled_steps(sizes, most_steps(wires, len(sizes)), seed_of(o.cell))


def most_steps(wires: int, steps: int) -> int:
    """How many of a training's steps are judged."""
    return steps if wires <= AUDIT_ALL_UP_TO_WIRES else min(steps, SAMPLED_STEPS)


def _loss_comparisons(o: Observation, loss: Loss, offsets: np.ndarray) -> Iterator[Comparison]:
    """The loss, with what Keras adds to it as the backend itself recorded that."""
    steps = np.arange(len(offsets) - 1)
    terms = np.diff(offsets) * loss.cotangents.shape[1]
    extra = o.recorded.find(Trace.extra_loss)
    more = 0.0 if extra is None else tol.added(np.abs(extra) + np.abs(o.recorded.loss))
    more = more + (0.0 if o.sample_weights is None else loss.magnitudes)  # weighing a sample rounds once more
    high, low = (None if u is None else np.asarray(tol.loss(u, terms, loss.magnitudes) + u * more) for u in units(o))
    assert high is not None
    expected = loss.steps if extra is None else loss.steps + extra
    yield compare(Stage.LOSS, "loss", o.recorded.loss, expected, (high, low), loss.magnitudes, steps)


def _lost_rows(o: Observation) -> Iterator[ExactFault]:
    """A prediction for every sample, of as many numbers as the circuit measures.

    A batch axis taken for a wire leaves fewer, or more, and nothing else can be compared.
    """
    got, expected = len(o.recorded.predictions), len(o.recorded.batch_index)
    if got != expected:
        reason = f"{got} predictions were recorded for {expected} samples"
        yield ExactFault(Stage.FORWARD, 0, "predictions", str(got), str(expected), reason)
    try:
        measured = o.program.simulated.outputs if o.program and got else None
    except oracle.NotCovered:
        measured = None
    if measured is not None and (outputs := rows(o.recorded.predictions).shape[1]) != measured:
        reason = f"{outputs} numbers were recorded of each sample, the circuit measures {measured}"
        yield ExactFault(Stage.FORWARD, 0, "predictions", str(outputs), str(measured), reason)


def _stale_weights(o: Observation) -> Iterator[ExactFault]:
    """The weights a step starts from must be, bit for bit, those the step before left."""
    for k, (w, new) in enumerate(zip(weight_arrays(o, "weights"), weight_arrays(o, "new_weights"), strict=True)):
        if len(w) < 2 or np.array_equal(w[1:], new[: len(w) - 1], equal_nan=True):
            continue
        wrong = np.flatnonzero([not np.array_equal(a, b, equal_nan=True) for a, b in zip(w[1:], new, strict=False)])
        if len(wrong):
            t = int(wrong[0])
            element = int(np.argmax(np.abs(w[t + 1] - new[t])))
            got, expected = w[t + 1].reshape(-1)[element], new[t].reshape(-1)[element]
            reason = f"stale weights: step {t + 1} does not start from what the update of step {t} left"
            yield ExactFault(Stage.UPDATE, t, f"weights/{k}", str(got), str(expected), reason)


def _leaks(o: Observation) -> Iterator[ExactFault]:
    """Tensors whose recorded dtype is below the declared one, and learning rates that are rounded to a lower one."""
    yield from rate_leaks(o)
    found = [(name, _text(array.dtype)) for name, array in sorted(o.recorded.items())]
    for name, value in o.outcome.audit.dtypes.items():
        values = value if isinstance(value, tuple) else (value,)
        found += [(name if len(values) == 1 else f"{name}/{k}", str(v)) for k, v in enumerate(values)]
    least = min(tol.DIGITS[o.dtype], tol.DIGITS.get(o.precision, 99))
    for name, dtype in found:
        stage = STAGE_OF.get(name.partition("/")[0])
        short = dtype.rsplit(".", 1)[-1]
        if stage is not None and tol.DIGITS.get(short, 99) < least:
            yield ExactFault(stage, 0, name, short, o.dtype, f"{name} is {short} in a {o.dtype} program")


_text = cache(str)
"""Of a dtype, which takes NumPy long to say."""
STAGE_OF = {
    "weights": Stage.SETUP,
    "predictions": Stage.FORWARD,
    "layer_outputs": Stage.FORWARD,
    "loss": Stage.LOSS,
    "gradients": Stage.GRADIENT,
    "layer_input_gradients": Stage.GRADIENT,
    "new_weights": Stage.UPDATE,
    "slots": Stage.UPDATE,
}
