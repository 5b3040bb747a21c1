"""Forward and gradient: a circuit between what went into it, what came out, and what came back.

That is the whole of a bare model, or a quantum layer in a user's model. It may differ from the oracle by rounding, and
with shots by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qparity import oracle
from qparity.oracle.losses import Loss
from qparity.parity import statistical
from qparity.parity import tolerances as tol
from qparity.parity.comparison import Comparison, compare
from qparity.parity.names import weight_name
from qparity.parity.types import SAMPLED_METHODS, Differentiated, Observation, Stage
from qparity.records import QuantumLayer
from qparity.records.trace import Trace

SHIFTING_METHODS = ("parameter-shift", "finite-diff", "hadamard")
Pair = tuple[np.ndarray, np.ndarray | None]
"""Tolerances of the declared precision class, and of the one below or None."""


@dataclass(frozen=True)
class Boundary:
    """A quantum layer, or a whole bare circuit: what went in, what came out, and what came back."""

    label: str
    program: oracle.GateProgram
    by: Differentiated
    arrays: tuple[str, ...]
    """The trace's names of its weights: `weights/<k>`, or `state/<j>` where they are frozen."""
    offsets: np.ndarray
    """(steps + 1,): which rows are a step's; a layer that is called several times has those of all calls."""
    inputs: np.ndarray
    outputs: np.ndarray
    cotangents: np.ndarray
    input_gradients: np.ndarray | None
    condition: np.ndarray | None = None
    """How far a disturbance of all weights and inputs by 1 moves the cotangents, where a step may have others."""
    differenced: bool = False
    """Whether the inputs set the strength of a channel that parameter-shift differentiates by finite differences."""
    moving: str | None = None
    """Why the step had other cotangents than those that were recorded; None where it had the same."""


class Simulated(NamedTuple):
    """What `oracle.vjp` gives of a boundary: predictions, and gradients by each weight and by the inputs."""

    predictions: np.ndarray
    by_weight: list[np.ndarray]
    by_input: np.ndarray


def boundaries(o: Observation, loss: Loss | None) -> Iterator[Boundary | oracle.NotCovered]:
    """The circuits that the oracle can judge at their recorded boundaries; for each of the others the reason.

    `loss` is that of the recorded predictions: a bare circuit's cotangents are its derivatives.
    """
    t = o.recorded
    estimated = any(each.method in SAMPLED_METHODS for each in o.differentiated)
    moving = "gradients that come back through SPSA are other ones in each pass" if estimated else None
    if not o.whole_model and "layer_outputs/0" not in t:
        yield bare(o, loss)
        return
    for j, layer in enumerate(o.outcome.resolved.quantum_layers):
        if f"layer_outputs/{j}" not in t:
            told = o.outcome.audit.boundaries
            yield oracle.NotCovered(f"the boundary of {layer.name} was not recorded: {told}")
            continue
        if layer.program is None:
            yield oracle.NotCovered(f"no gate program of {layer.name} was recorded")
            continue
        try:
            program = layer.program.simulated
        except oracle.NotCovered as reason:
            yield reason
            continue
        inputs, outputs, bars = (rows(t[f"layer_{kind}/{j}"]) for kind in ("inputs", "outputs", "cotangents"))
        back = t.get(f"layer_input_gradients/{j}")
        offsets = np.asarray(t.get(f"layer_offsets/{j}", t.offsets))
        back = None if back is None else rows(back)
        condition = _condition(t, j, np.diff(offsets))
        by = o.differentiated_by(layer)
        differenced = by.method == "parameter-shift" and "inputs" in layer.program.by_differences
        yield Boundary(
            f"{layer.name}/",
            program,
            by,
            layer.read,
            offsets,
            inputs,
            outputs,
            bars,
            back,
            condition,
            differenced,
            moving,
        )


def _condition(t: Trace, j: int, calls: np.ndarray) -> np.ndarray | None:
    """How far rounding may move the cotangents of layer j, (rows, outputs), where two programs computed them.

    The pass itself was disturbed at every step; the reference, which disturbs what a backward pass computes too, at
    some: for the other steps the largest of those. It knows a step's cotangents along one direction.
    """
    of_pass = t.get(f"layer_cotangents_condition/{j}")
    if of_pass is None:
        return None
    if (found := t.find(Trace.reference_cotangents_condition)) is None:
        return rows(of_pass)
    by_step = np.full(len(calls), found[:, j].max())
    by_step[t.reference_steps] = found[:, j]
    return np.maximum(rows(of_pass), np.repeat(by_step, calls)[:, None])


def bare(o: Observation, loss: Loss | None) -> Boundary | oracle.NotCovered:
    """The circuit of a bare cell, or the reason why the oracle cannot judge it."""
    t = o.recorded
    if o.program is None:
        return oracle.NotCovered("no gate program was recorded")
    try:
        program = o.program.simulated
    except oracle.NotCovered as reason:
        return reason
    if loss is None:
        return oracle.NotCovered("the loss has no reference")
    names = tuple(f"weights/{k}" for k in range(len(program.weight_shapes)))
    inputs, offsets = rows(t.x)[t.batch_index], np.asarray(t.offsets)
    by = o.differentiated_by(QuantumLayer())
    return Boundary("", program, by, names, offsets, inputs, rows(t.predictions), loss.cotangents, None)


def values_at(o: Observation, name: str, steps: np.ndarray) -> np.ndarray:
    """`weights/<k>` or `state/<j>` of a trace before the given steps, (steps, ...)."""
    array = np.asarray(o.recorded[name])
    still = name.startswith("state/") and len(array) == 1
    return array[np.zeros_like(steps) if still else steps]


def boundary_comparisons(
    o: Observation, b: Boundary, steps: np.ndarray, simulated: Simulated | None = None
) -> Iterator[Comparison]:
    """Predictions and gradients at the given steps; what cannot be compared raises NotCovered after what can.

    `simulated` is what the oracle gives there, where that has been asked before.
    """
    offsets = b.offsets
    kept = np.concatenate([np.arange(offsets[t], offsets[t + 1]) for t in steps])
    stops = np.cumsum([0, *np.diff(offsets)[steps]])
    weights = [values_at(o, name, steps) for name in b.arrays]
    kind, real = oracle.reference_dtype(o.dtype)
    inputs, cotangents, got = b.inputs[kept], b.cotangents[kept].astype(real), b.outputs[kept]
    if b.outputs.shape[1] != b.program.outputs:
        raise oracle.NotCovered(f"{b.outputs.shape[1]} outputs recorded, the gate program has {b.program.outputs}")
    if o.scenario.shots and (refusal := statistical.refusal(b.program)):
        raise oracle.NotCovered(refusal)
    if simulated is None:
        simulated = Simulated(*oracle.vjp(b.program, weights, inputs, cotangents, stops, kind))
    expected, by_weight, by_input = simulated
    flat = oracle.flatten_weights(b.program, weights, np.float64, len(stops) - 1)
    norms = oracle.norms(b.program, flat, inputs, stops)
    far, steep = oracle.steepness(b.program, flat, inputs, stops, norms, tol.unit(o.dtype))
    sizes, by_row = ((np.abs(cotangents).astype(np.float64) * each).sum(axis=1) for each in (norms, steep))
    of_weights, of_inputs = oracle.chain_factors(b.program, flat, inputs, stops)
    tests = expected.size + sum(g.size for g in by_weight)
    allowed = _Sampling(o, b, tests) if o.scenario.shots else _Rounding(o, b, flat, inputs, stops, far)

    forward = allowed.forward(expected, got)
    yield compare(Stage.FORWARD, f"{b.label}predictions", got, expected, forward, norms, steps, stops)
    if refusal := allowed.refusal() or b.moving:
        raise oracle.NotCovered(refusal)
    scales = np.add.reduceat(sizes, stops[:-1])
    more_by_row = np.zeros(len(by_row))
    if b.condition is not None:  # the step may have used other cotangents than the pass, by their rounding
        more_by_row = tol.MODEL * (b.condition[kept] * norms).sum(axis=1)
    more, differenced = np.add.reduceat(more_by_row, stops[:-1]), o.by_differences
    start = 0
    for array, want in zip(b.arrays, by_weight, strict=True):
        size = int(np.prod(want.shape[1:]))
        factor = of_weights[start : start + size].reshape(want.shape[1:])
        start += size
        group, _, number = array.partition("/")
        if group != "weights":
            continue  # a frozen weight has no gradient
        bounds = _plus(o, allowed.by_step(by_row, stops, int(number) in differenced), more)
        scale, *pair = (None if a is None else a.reshape(-1, *[1] * factor.ndim) * factor for a in (scales, *bounds))
        assert scale is not None
        assert pair[0] is not None
        got = np.asarray(o.recorded[f"gradients/{number}"])[steps]
        if (extra := o.recorded.get(f"extra_gradients/{number}")) is not None:
            want = want + extra[steps]
            pair = [*_plus(o, (pair[0], pair[1]), np.asarray(tol.added(np.abs(extra[steps]) + np.abs(got))))]
        name = f"gradients/{weight_name(o, int(number))}"
        assert pair[0] is not None
        yield compare(Stage.GRADIENT, name, got, want, (pair[0], pair[1]), scale, steps)
    if b.input_gradients is not None:
        scale = sizes[:, None] * of_inputs
        back = _plus(o, allowed.by_row(by_row[:, None] * of_inputs, b.differenced), more_by_row[:, None] * of_inputs)
        name = f"{b.label}input_gradients"
        yield compare(Stage.GRADIENT, name, b.input_gradients[kept], by_input, back, scale, steps, stops)


def _plus(o: Observation, pair: Pair, more: np.ndarray) -> Pair:
    """Tolerances, and `more` in units of u."""
    high, low = units(o)
    return pair[0] + high * more, None if pair[1] is None or low is None else pair[1] + low * more


class _Rounding:
    """The tolerances of an exact simulation: rounding."""

    def __init__(
        self, o: Observation, b: Boundary, flat: np.ndarray, inputs: np.ndarray, stops: np.ndarray, far: np.ndarray
    ) -> None:
        self.o, self.far = o, far
        self.method, self.options = b.by.asked
        self.counts = oracle.operation_counts(b.program, flat, inputs, stops)
        self.smoothed = tol.SMOOTHING * oracle.smoothing(b.program, flat, inputs, stops)
        self.shifted = self.counts
        if self.method in SHIFTING_METHODS:
            self.shifted = oracle.operation_counts(b.program, flat, inputs, stops, shifted=True)

    def forward(self, expected: np.ndarray, got: np.ndarray) -> Pair:
        """Tolerances of the predictions, (rows, outputs)."""
        return self._pair(lambda u: tol.forward(u, self.counts[:, None], self.far) + self.smoothed * self.far)

    def refusal(self) -> str | None:
        """Why the gradient cannot be judged; None if it can."""
        return f"{self.method}: sampled gradients have no exact reference" if self.method in SAMPLED_METHODS else None

    def by_step(self, by_row: np.ndarray, stops: np.ndarray, differenced: bool) -> Pair:
        """Tolerances of the gradient of a weight that feeds one rotation, (steps,); `differenced`: by differences."""
        scales, most = np.add.reduceat(by_row, stops[:-1]), np.maximum.reduceat(self.shifted, stops[:-1])
        return self._pair(lambda u: self._gradient(u, most, scales, differenced))

    def by_row(self, scale: np.ndarray, differenced: bool) -> Pair:
        """Tolerances of the gradient of inputs, (rows, features)."""
        return self._pair(lambda u: self._gradient(u, self.shifted[:, None], scale, differenced))

    def _gradient(self, u: float, gates: np.ndarray, scale: np.ndarray, differenced: bool) -> tol.Numbers:
        method = "finite-diff" if differenced else self.method
        return tol.gradient(u, gates, scale, method, self.options) + self.smoothed * scale

    def _pair(self, bound: Callable[[float], tol.Numbers]) -> Pair:
        high, low = units(self.o)
        return np.asarray(bound(high)), None if low is None else np.asarray(bound(low))


class _Sampling:
    """The tolerances of a sampled circuit: chance."""

    def __init__(self, o: Observation, b: Boundary, tests: int) -> None:
        self.program, self.shots, self.method = b.program, o.scenario.shots or 0, b.by.method
        self.alpha = statistical.level(tests, o.family)

    def forward(self, expected: np.ndarray, got: np.ndarray) -> Pair:
        """Tolerances of the predictions, (rows, outputs)."""
        return statistical.forward(self.program, expected, got, self.shots, self.alpha), None

    def refusal(self) -> str | None:
        """Why the gradient cannot be judged; None if it can."""
        tested = self.method in statistical.TESTED_METHODS
        return None if tested else f"{self.method} with shots: there is no test of its sampled gradients"

    def by_step(self, by_row: np.ndarray, stops: np.ndarray, differenced: bool) -> Pair:
        """Tolerances of the gradient of a weight that feeds one rotation, (steps,)."""
        return statistical.gradient(by_row, stops[:-1], self.shots, self.alpha), None

    def by_row(self, scale: np.ndarray, differenced: bool) -> Pair:
        """Tolerances of the gradient of inputs, (rows, features)."""
        return scale * statistical.hoeffding(self.shots, self.alpha), None


def units(o: Observation) -> tuple[float, float | None]:
    """Unit roundoff of the declared precision class, and of the one below."""
    return tol.unit(o.dtype), tol.lower_unit(o.dtype, o.outcome.resolved.flags)


def rows(array: np.ndarray) -> np.ndarray:
    """(rows, ...) as (rows, elements)."""
    return array.reshape(len(array), -1)
