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
from harness.parity.comparison import Comparison, compare
from harness.parity.setup import ExactFault, setup_faults, weight_arrays
from harness.parity.types import Observation, Stage
from harness.parity.update import update_comparisons

AUDIT_ALL_UP_TO_WIRES = 8
SAMPLED_STEPS = 8
SAMPLED_METHODS = ("spsa",)
SHIFTING_METHODS = ("parameter-shift", "finite-diff", "hadamard")


@dataclass(frozen=True)
class Audit:
    """All that the oracle found of a cell; `not_covered` says why forward and gradient were not judged."""

    comparisons: tuple[Comparison, ...]
    faults: tuple[ExactFault, ...]
    leaks: tuple[ExactFault, ...]
    annotations: tuple[str, ...]
    not_covered: str | None
    steps: int


@dataclass(frozen=True)
class Boundary:
    """A quantum layer, or a whole bare circuit: what went in, what came out, and what came back."""

    label: str
    program: oracle.GateProgram
    weights: tuple[int, ...]
    inputs: np.ndarray
    outputs: np.ndarray
    cotangents: np.ndarray
    input_gradients: np.ndarray | None


def audit(observation: Observation) -> Audit:
    """Compare everything that was recorded of one cell with the oracle."""
    o = observation
    assert o.trace is not None
    offsets = np.asarray(o.trace["offsets"])
    notes: list[str] = []
    comparisons: list[Comparison] = []
    faults = [*setup_faults(o), *_lost_rows(o), *_stale_weights(o)]
    not_covered: str | None = None
    try:
        loss = _loss(o, offsets)
        comparisons += _loss_comparisons(o, loss, offsets)
        for boundary in _boundaries(o, loss):
            steps = audited_steps(boundary.program.wires, len(offsets) - 1)
            if len(steps) < len(offsets) - 1:
                notes.append(
                    f"{boundary.program.wires} wires: forward and gradient audited at {len(steps)} of "
                    f"{len(offsets) - 1} steps ({', '.join(str(s) for s in steps)})"
                )
            for comparison in _boundary_comparisons(o, boundary, offsets, steps):
                comparisons.append(comparison)  # one by one: what came before a refusal stays
    except ValueError as error:
        not_covered = str(error)
    try:
        comparisons += update_comparisons(o, _units(o))
    except ValueError as error:
        not_covered = not_covered or str(error)
    return Audit(tuple(comparisons), tuple(faults), tuple(_leaks(o)), tuple(notes), not_covered, len(offsets) - 1)


def audited_steps(wires: int, steps: int) -> np.ndarray:
    """Which steps the simulation is affordable for: all up to 8 wires, at most 8 log-spaced ones above."""
    if wires <= AUDIT_ALL_UP_TO_WIRES or steps <= SAMPLED_STEPS:
        return np.arange(steps)
    return np.unique(np.round(np.geomspace(1, steps, SAMPLED_STEPS)).astype(int)) - 1


def _units(o: Observation) -> tuple[float, float | None]:
    return tol.unit(o.dtype), tol.lower_unit(o.dtype, o.outcome.get("resolved", {}).get("flags") or {})


def _loss(o: Observation, offsets: np.ndarray) -> Loss:
    assert o.trace is not None
    _, real = oracle.reference_dtype(o.dtype)
    predictions: np.ndarray = _rows(o.trace["predictions"]).astype(real)
    return oracle.evaluate_loss(o.loss, predictions, o.targets.astype(real), offsets)


def _loss_comparisons(o: Observation, loss: Loss, offsets: np.ndarray) -> Iterator[Comparison]:
    assert o.trace is not None
    steps = np.arange(len(offsets) - 1)
    terms = np.diff(offsets) * loss.cotangents.shape[1]
    bounds = _pair([None if v is None else tol.loss(v, terms, loss.magnitudes) for v in _units(o)])
    yield compare(Stage.LOSS, "loss", o.trace["loss"], loss.steps, bounds, loss.magnitudes, steps)


def _boundaries(o: Observation, loss: Loss) -> Iterator[Boundary]:
    """The places where the oracle can stand; raises ValueError where there is none."""
    assert o.trace is not None
    t, index = o.trace, o.trace["batch_index"]
    if o.scenario.get("shots"):
        raise oracle.NotCovered("shots: sampled results have no exact reference")
    if "layer_outputs/0" not in t:
        if o.scenario.get("model"):
            raise oracle.NotCovered("no quantum layer of the model was recorded")
        if o.program is None:
            raise oracle.NotCovered("no gate program was recorded")
        program = oracle.GateProgram.from_dict(o.program)
        weights = tuple(range(len(program.weight_shapes)))
        yield Boundary("", program, weights, _rows(t["x"])[index], _rows(t["predictions"]), loss.cotangents, None)
        return
    layers = o.outcome.get("resolved", {}).get("quantum_layers") or []
    for j, layer in enumerate(layers):
        program = oracle.GateProgram.from_dict(layer["program"])
        if len(t[f"layer_outputs/{j}"]) != len(index):
            raise oracle.NotCovered(f"{layer['name']} is called with other rows than the model's samples")
        inputs, outputs, bars = (_rows(t[f"layer_{kind}/{j}"]) for kind in ("inputs", "outputs", "cotangents"))
        gradients = t.get(f"layer_input_gradients/{j}")
        back = None if gradients is None else _rows(gradients)
        ids = tuple(int(k) for k in layer["weights"])
        yield Boundary(f"{layer['name']}/", program, ids, inputs, outputs, bars, back)


def _boundary_comparisons(o: Observation, b: Boundary, offsets: np.ndarray, steps: np.ndarray) -> Iterator[Comparison]:
    kept = np.concatenate([np.arange(offsets[t], offsets[t + 1]) for t in steps])
    stops = np.cumsum([0, *np.diff(offsets)[steps]])
    every = [np.asarray(w)[steps] for w in weight_arrays(o, "weights")]
    gradients = [np.asarray(g)[steps] for g in weight_arrays(o, "gradients")]
    weights = [every[k] for k in b.weights]
    kind, real = oracle.reference_dtype(o.dtype)
    inputs, cotangents = b.inputs[kept], b.cotangents[kept].astype(real)
    if b.outputs.shape[1] != b.program.outputs:
        raise ValueError(f"{b.outputs.shape[1]} outputs recorded, the gate program has {b.program.outputs}")
    expected, by_weight, by_input = oracle.vjp(b.program, weights, inputs, cotangents, stops, kind)

    norms, flat = b.program.norms, oracle.flatten_weights(b.program, weights, np.float64)
    counts = oracle.operation_counts(b.program, flat, inputs, stops)
    forward = [None if u is None else tol.forward(u, counts[:, None], norms) for u in _units(o)]
    yield compare(
        Stage.FORWARD, f"{b.label}predictions", b.outputs[kept], expected, _pair(forward), norms, steps, stops
    )
    if _method(o) in SAMPLED_METHODS:
        raise oracle.NotCovered(f"{_method(o)}: sampled gradients have no exact reference")
    by_row = (np.abs(cotangents).astype(np.float64) * norms).sum(axis=1)
    chain = oracle.chain_factors(b.program, flat, inputs)
    scales = np.add.reduceat(by_row, stops[:-1])
    if _method(o) in SHIFTING_METHODS:
        counts = oracle.operation_counts(b.program, flat, inputs, stops, shifted=True)
    most = np.maximum.reduceat(counts, stops[:-1])
    start = 0
    for k, want in zip(b.weights, by_weight, strict=True):
        size = int(np.prod(want.shape[1:]))
        factor = chain["w"][start : start + size].reshape(want.shape[1:])
        start += size
        by_step = (-1,) + (1,) * factor.ndim
        scale = scales.reshape(by_step) * factor
        bounds = _gradient(o, most.reshape(by_step), scale)
        yield compare(Stage.GRADIENT, f"gradients/{k}", gradients[k], want, bounds, scale, steps)
    if b.input_gradients is not None:
        scale = by_row[:, None] * chain["i"]
        got, bounds = b.input_gradients[kept], _gradient(o, counts[:, None], scale)
        yield compare(Stage.GRADIENT, f"{b.label}input_gradients", got, by_input, bounds, scale, steps, stops)


def _gradient(o: Observation, gates: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    options = o.scenario.get("diff_options") or {}
    return _pair([None if u is None else tol.gradient(u, gates, scale, _method(o), options) for u in _units(o)])


def _pair(bounds: list[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    return bounds[0], bounds[1]


def _method(o: Observation) -> str:
    return str(o.outcome.get("resolved", {}).get("diff_method") or o.scenario.get("diff_method", "best"))


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


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
