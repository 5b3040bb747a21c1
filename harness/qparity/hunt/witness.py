"""The second witness: a circuit and its rewrite are one function, so one variant must predict the same from both."""

from __future__ import annotations

import numpy as np

from qparity.parity import Observation, Stage
from qparity.parity.audit import audit
from qparity.parity.comparison import ratio
from qparity.parity.verdict import UNREADABLE

PREDICTIONS = "predictions"


def difference(one: Observation, other: Observation) -> tuple[float, str] | None:
    """By how much the predictions of the first step differ, over what rounding allows both; and one line.

    None where nobody says what rounding allows. Both start from the same weights, with the same batch.
    """
    try:
        (got, allowed), (again, beside) = (_first(o) for o in (one, other))
    except UNREADABLE:  # what was recorded is odd, which its own judgement says
        return None
    if allowed is None or beside is None or got.shape != again.shape:
        return None
    r = ratio(np.abs(got - again), allowed + beside)
    worst = np.unravel_index(int(np.argmax(r)), r.shape)
    place = ", ".join(map(str, worst))
    said = (
        f"the rewritten circuit predicts {again[worst]:.17g} in place of {got[worst]:.17g} "
        f"(predictions[{place}] of step 0, r = {r[worst]:.2g})"
    )
    return float(r[worst]), said


def _first(o: Observation) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions (rows, outputs) of step 0, and their tolerances."""
    trace = o.recorded
    rows = slice(0, int(trace.offsets[1]))
    got = trace.predictions[rows].reshape(rows.stop, -1).astype(np.float64)
    for c in audit(o).comparisons:
        if c.stage == Stage.FORWARD and c.tensor == PREDICTIONS and 0 in c.steps:
            at = int(np.flatnonzero(c.steps == 0)[0])
            return got, c.tolerance[int(c.offsets[at]) : int(c.offsets[at + 1])]
    return got, None
