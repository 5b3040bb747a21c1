"""Second derivatives, where a scenario asks for them: the loss's Hessian times a direction, of a bare circuit.

The oracle differentiates its own gradient, the loss's derivative included, along the same direction. A Hessian's entry
is at most F_i F_j (|dL/df| ||O|| + |d2L/df2| ||O||^2) a sample, with the factors F of `oracle.chain_factors`, and
rounds as a gradient does, twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qparity import oracle
from qparity.oracle.probes import direction
from qparity.oracle.program import Entropy, GateProgram
from qparity.oracle.second import derivative
from qparity.parity import tolerances as tol
from qparity.parity.boundary import rows, units
from qparity.parity.comparison import Comparison, compare
from qparity.parity.names import weight_name
from qparity.parity.types import SAMPLED_METHODS, Observation, Stage
from qparity.records.trace import Trace

PASSES = 2
"""A second derivative rounds as two gradients do."""


def hessian_comparisons(o: Observation) -> Iterator[Comparison]:
    """The recorded products, if a scenario asked for any.

    Raises:
        NotCovered: they were asked for, and are not there or not the oracle's to judge.
    """
    if "hessian" not in (o.scenario.judge or ()):
        return
    t = o.recorded
    steps = t.find(Trace.hessian_steps)
    if steps is None:
        raise oracle.NotCovered(o.outcome.audit.no_hessian or "none were recorded")
    program = _program(o)
    kind, real = oracle.reference_dtype(o.dtype)
    offsets = np.asarray(t.offsets)
    counts = np.diff(offsets)[steps]
    kept = np.concatenate([np.arange(offsets[s], offsets[s + 1]) for s in steps])
    stops = np.cumsum([0, *counts])
    inputs, targets = rows(t.x)[t.batch_index][kept], o.targets[kept].astype(real)
    given = o.sample_weights
    shares = None if given is None else given[kept].astype(real)
    weights = [np.asarray(t[f"weights/{k}"])[steps].astype(real) for k in range(len(program.weight_shapes))]
    along = [
        np.stack([direction(w.shape[1:], o.scenario.seed, int(s), k).astype(t[f"weights/{k}"].dtype) for s in steps])
        for k, w in enumerate(weights)
    ]

    def loss_at(distance: np.floating) -> tuple[list[np.ndarray], np.ndarray]:
        moved = [w + distance * v.astype(real) for w, v in zip(weights, along, strict=True)]
        predictions = oracle.predict(program, moved, inputs, stops, kind)
        return moved, oracle.evaluate_loss(o.loss, predictions, targets, stops, shares).cotangents

    def gradient(distance: np.floating) -> list[np.ndarray]:
        moved, cotangents = loss_at(distance)
        return oracle.vjp(program, moved, inputs, cotangents, stops, kind)[1]

    flat = oracle.flatten_weights(program, weights, np.float64, len(steps))
    factors, _ = oracle.chain_factors(program, flat, inputs, stops)
    reach = np.abs(np.concatenate([v.reshape(len(steps), -1) for v in along], axis=1)) @ factors
    expected, off = derivative(gradient, float(reach.max()), real)

    norms = oracle.norms(program, flat, inputs, stops)
    _, cotangents = loss_at(real(0))
    bent = oracle.evaluate_loss(o.loss, np.ones_like(targets), np.zeros_like(targets), stops, shares).cotangents
    bent = bent if o.loss == "mse" else np.zeros_like(bent)  # the slope of a slope that is linear
    by_row = (np.abs(cotangents) * norms + np.abs(bent) * norms * norms.sum(axis=1, keepdims=True)).sum(axis=1)
    sizes = np.add.reduceat(by_row.astype(np.float64), stops[:-1]) * reach
    gates = np.maximum.reduceat(oracle.operation_counts(program, flat, inputs, stops, shifted=True), stops[:-1])
    first = 0
    for k, want in enumerate(expected):
        size = int(np.prod(want.shape[1:]))
        factor = factors[first : first + size].reshape(want.shape[1:])
        first += size
        scale = sizes.reshape(-1, *[1] * factor.ndim) * factor
        each = gates.reshape(-1, *[1] * factor.ndim)
        high, low = (
            None if u is None else PASSES * np.asarray(tol.gradient(u, each, scale, o.method)) + off[k]
            for u in units(o)
        )
        assert high is not None
        name = f"hessian/{weight_name(o, k)}"
        yield compare(Stage.HESSIAN, name, t[f"hessian_products/{k}"], want, (high, low), scale, np.asarray(steps))


def _program(o: Observation) -> GateProgram:
    """The circuit of which the second derivatives can be judged."""
    if o.whole_model or o.program is None:
        raise oracle.NotCovered("those of a whole model are not judged")
    if o.loss not in ("mse", "energy"):
        raise oracle.NotCovered(f"those of the loss {o.loss} are not judged")
    if o.scenario.shots or o.method in (*SAMPLED_METHODS, *tol.STEPS):
        raise oracle.NotCovered(f"those of {o.method} are no exact ones" if not o.scenario.shots else "shots")
    program = o.program.simulated
    if any(isinstance(m, Entropy) for m in program.measurements):
        raise oracle.NotCovered("those of an entropy are not judged")
    for parameter in program.parameters:
        curved = any(a == b == "w" for a, _, b, _, _ in parameter.products)
        if curved or (parameter.expression and any(kind == "w" for kind, _ in parameter.reads)):
            raise oracle.NotCovered("an angle is no linear function of the weights")
    return program
