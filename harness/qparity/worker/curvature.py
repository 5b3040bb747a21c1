"""Second derivatives, where a scenario asks for them: the loss's Hessian times a direction, at some recorded steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from qparity.circuit.errors import one_line
from qparity.oracle.probes import direction, sampled_steps
from qparity.records.trace import Trace
from qparity.worker.audit import Data
from qparity.worker.backends.base import Backend

MOST_STEPS = 4


def hessian_products(
    model: Any, backend: Backend, mode: str, data: Data, recorded: dict[str, np.ndarray], seed: int
) -> tuple[str | None, dict[str, np.ndarray]]:
    """Why there are none, or None, and what a trace has of them (docs/architecture.md).

    `recorded` are the arrays of the audit; the directions are those of `oracle.probes`. What a framework or PennyLane
    cannot differentiate twice costs these products, and nothing else.
    """
    trace = Trace(recorded)
    offsets, weights = trace.offsets, trace.numbered("weights")
    steps = sampled_steps([int(n) for n in np.diff(offsets)], MOST_STEPS, seed)
    found: list[list[np.ndarray]] = []
    try:
        product = backend.hessian_product(model, mode)
        for t in steps:
            for variable, values in zip(model.trainable_weights, weights, strict=True):
                variable.assign(values[t])
            rows = trace.batch_index[offsets[t] : offsets[t + 1]]
            along = [direction(w.shape[1:], seed, int(t), k).astype(w.dtype) for k, w in enumerate(weights)]
            found.append(product(*data.batch(rows), along))
    except Exception as error:  # what cannot be differentiated twice says so in many ways
        return one_line(error)[:300], {}
    stacked = {f"hessian_products/{k}": np.stack(each) for k, each in enumerate(zip(*found, strict=True))}
    return None, {"hessian_steps": steps, **stacked}
