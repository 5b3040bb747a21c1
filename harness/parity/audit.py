"""The local audit: every step of a cell against the oracle, at the cell's own recorded inputs.

Nothing accumulates that way. Forward: the oracle's predictions at the recorded weights. Loss: at the recorded
predictions. Gradient: the oracle's vector-Jacobian product with the cotangents that belong to the recorded
predictions. Update: the reference optimizer on the recorded gradients, with slots it carries itself. Around a
quantum layer of a larger model, inputs, outputs and cotangents are those recorded at the layer's boundary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import oracle
from harness.oracle.losses import Loss
from harness.parity import tolerances as tol
from harness.parity.boundary import boundaries, boundary_comparisons, rows, units
from harness.parity.comparison import Comparison, compare
from harness.parity.setup import ExactFault, setup_faults, weight_arrays
from harness.parity.types import Observation, Stage
from harness.parity.update import update_comparisons

AUDIT_ALL_UP_TO_WIRES = 8
SAMPLED_STEPS = 8


@dataclass(frozen=True)
class Audit:
    """All that the oracle found of a cell; `not_covered` says why forward and gradient were not judged."""

    comparisons: tuple[Comparison, ...]
    faults: tuple[ExactFault, ...]
    leaks: tuple[ExactFault, ...]
    annotations: tuple[str, ...]
    not_covered: str | None
    steps: int


def audit(observation: Observation) -> Audit:
    """Compare everything that was recorded of one cell with the oracle."""
    o = observation
    assert o.trace is not None
    offsets = np.asarray(o.trace["offsets"])
    notes: list[str] = []
    comparisons: list[Comparison] = []
    faults = [*setup_faults(o), *_lost_rows(o), *_stale_weights(o)]
    not_covered: str | None = None
    beyond = beyond_the_oracle(o)
    notes += beyond.notes()
    try:
        loss = _loss(o, offsets)
        if not beyond.losses:
            comparisons += _loss_comparisons(o, loss, offsets)
        for boundary in boundaries(o, loss):
            steps = audited_steps(boundary.program.wires, len(offsets) - 1)
            if len(steps) < len(offsets) - 1:
                notes.append(
                    f"{boundary.program.wires} wires: forward and gradient audited at {len(steps)} of "
                    f"{len(offsets) - 1} steps ({', '.join(str(s) for s in steps)})"
                )
            for comparison in boundary_comparisons(o, boundary, offsets, steps):
                if comparison.tensor not in beyond.gradients:
                    comparisons.append(comparison)  # one by one: what came before a refusal stays
    except ValueError as error:
        not_covered = str(error)
    try:
        comparisons += [c for c in update_comparisons(o, units(o)) if c.tensor not in beyond.updates]
    except ValueError as error:
        not_covered = not_covered or str(error)
    return Audit(tuple(comparisons), tuple(faults), tuple(_leaks(o)), tuple(notes), not_covered, len(offsets) - 1)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What Keras adds to a user's model that the oracle does not know: regularizers, further losses, constraints."""

    losses: int
    gradients: tuple[str, ...]
    updates: tuple[str, ...]

    def notes(self) -> Iterator[str]:
        """What is not compared for it."""
        if self.losses:
            also = f", nor {', '.join(self.gradients)}" if self.gradients else ""
            yield f"loss not compared{also}: the model adds {self.losses} terms to it that the oracle does not know"
        if self.updates:
            yield f"updates of {', '.join(self.updates)} not compared: they are constrained"


def beyond_the_oracle(o: Observation) -> Beyond:
    """As the worker recorded it; nothing for a bare circuit."""
    told = o.outcome.get("audit", {}).get("beyond") or {}
    gradients, updates = (
        tuple(f"{kind}/{int(k)}" for k in told.get(name, ()))
        for kind, name in (("gradients", "regularized"), ("weights", "constrained"))
    )
    return Beyond(int(told.get("losses", 0)), gradients, updates)


def audited_steps(wires: int, steps: int) -> np.ndarray:
    """Which steps the simulation is affordable for: all up to 8 wires, at most 8 log-spaced ones above."""
    if wires <= AUDIT_ALL_UP_TO_WIRES or steps <= SAMPLED_STEPS:
        return np.arange(steps)
    return np.unique(np.round(np.geomspace(1, steps, SAMPLED_STEPS)).astype(int)) - 1


def _loss(o: Observation, offsets: np.ndarray) -> Loss:
    assert o.trace is not None
    _, real = oracle.reference_dtype(o.dtype)
    predictions: np.ndarray = rows(o.trace["predictions"]).astype(real)
    return oracle.evaluate_loss(o.loss, predictions, o.targets.astype(real), offsets)


def _loss_comparisons(o: Observation, loss: Loss, offsets: np.ndarray) -> Iterator[Comparison]:
    assert o.trace is not None
    steps = np.arange(len(offsets) - 1)
    terms = np.diff(offsets) * loss.cotangents.shape[1]
    high, low = (None if u is None else np.asarray(tol.loss(u, terms, loss.magnitudes)) for u in units(o))
    assert high is not None
    yield compare(Stage.LOSS, "loss", o.trace["loss"], loss.steps, (high, low), loss.magnitudes, steps)


def _lost_rows(o: Observation) -> Iterator[ExactFault]:
    """A prediction for every sample: a batch axis taken for a wire leaves fewer, and nothing else can be compared."""
    assert o.trace is not None
    got, expected = len(o.trace["predictions"]), len(o.trace["batch_index"])
    if got != expected:
        reason = f"{got} predictions were recorded for {expected} samples"
        yield ExactFault(Stage.FORWARD, 0, "predictions", str(got), str(expected), reason)


def _stale_weights(o: Observation) -> Iterator[ExactFault]:
    """The weights a step starts from must be, bit for bit, those the step before left."""
    for k, (w, new) in enumerate(zip(weight_arrays(o, "weights"), weight_arrays(o, "new_weights"), strict=True)):
        wrong = np.flatnonzero([not np.array_equal(a, b, equal_nan=True) for a, b in zip(w[1:], new, strict=False)])
        if len(wrong):
            t = int(wrong[0])
            element = int(np.argmax(np.abs(w[t + 1] - new[t])))
            got, expected = w[t + 1].reshape(-1)[element], new[t].reshape(-1)[element]
            reason = f"stale weights: step {t + 1} does not start from what the update of step {t} left"
            yield ExactFault(Stage.UPDATE, t, f"weights/{k}", str(got), str(expected), reason)


def _leaks(o: Observation) -> Iterator[ExactFault]:
    """Tensors whose recorded dtype is below the declared one."""
    assert o.trace is not None
    told: Mapping[str, Any] = o.outcome.get("audit", {}).get("dtypes") or {}
    found: list[tuple[str, str]] = [(n, str(o.trace[n].dtype)) for n in sorted(o.trace)]
    for name, value in told.items():
        values = value if isinstance(value, list | tuple) else [value]
        found += [(name if len(values) == 1 else f"{name}/{k}", str(v)) for k, v in enumerate(values)]
    for name, dtype in found:
        stage = STAGE_OF.get(name.split("/")[0])
        short = dtype.rsplit(".", 1)[-1]
        if stage is not None and DIGITS.get(short, 99) < DIGITS[o.dtype]:
            yield ExactFault(stage, 0, name, short, o.dtype, f"{name} is {short} in a {o.dtype} program")


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
DIGITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
