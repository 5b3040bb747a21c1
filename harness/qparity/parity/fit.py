"""Whether `model.fit` trains what was recorded: from the same start it must come to the same weights.

It repeats all recorded steps, or the first epochs of many (`runner/cell.py: FEW_STEPS`).

On most variants it ends there bit for bit. Where a compiler fuses otherwise, the worker has trained again with every
weight disturbed by one rounding before each step: `fit_spread/<k>` says how far that moves the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qparity.parity.names import weight_name
from qparity.parity.setup import ExactFault, weight_arrays
from qparity.parity.tolerances import UNITS
from qparity.parity.types import Observation, Stage

MARGIN = 16.0
"""How many times further than the disturbed trainings `fit` may end: they are two, and rounding has more chances."""


def fit_faults(o: Observation) -> Iterator[ExactFault]:
    """A setup fault where `fit` ended elsewhere by more than rounding explains: it is another training then."""
    if o.sampled:
        return  # one more pass anywhere, and all samples after it are other ones
    for k, (mine, audited) in enumerate(ends(o)):
        spread = o.recorded.get(f"fit_spread/{k}")
        distance = np.abs(mine.astype(np.float64) - audited.astype(np.float64))
        if spread is None:  # bit for bit the same, or an older recording: an annotation says how far apart
            continue
        floor = 8 * UNITS[o.dtype] * np.abs(audited).max(initial=0.0)
        allowed = MARGIN * float(np.max(spread, initial=0.0)) + floor
        if not distance.max(initial=0.0) <= allowed:
            at = int(np.argmax(np.nan_to_num(distance, nan=np.inf)))
            how = own_training(o)
            took = repeated(o)
            when = "" if took == len(o.recorded.loss) else f" after {took} steps"
            reason = (
                f"model.fit{how} ends at another {weight_name(o, k)} than the recorded training does{when} "
                f"({distance.max():.2g} apart, rounding explains {allowed:.2g}): what was judged is not what fit trains"
            )
            got, expected = mine.reshape(-1)[at], audited.reshape(-1)[at]
            yield ExactFault(Stage.SETUP, None, f"fit/{weight_name(o, k)}", str(got), str(expected), reason, ())
            return


def ends(o: Observation) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each weight after the last step that `fit` took, and as it was recorded after that step; none without a fit."""
    recorded, final = weight_arrays(o, "new_weights"), weight_arrays(o, "final_weights")
    if not final or len(final) != len(recorded) or not len(recorded[0]):
        return []
    steps = repeated(o)
    return [(mine, audited[steps - 1]) for mine, audited in zip(final, recorded, strict=True)]


def repeated(o: Observation) -> int:
    """How many of the recorded steps `fit` took."""
    recorded, said = len(o.recorded.loss), o.outcome.fit.steps
    return said if said and said <= recorded else recorded


def own_training(o: Observation) -> str:
    """Which parts of Keras' training the model replaces, as words after `fit`."""
    own = [n for n in o.outcome.resolved.own if n != "compute_loss"]
    return f", which uses the model's own {' and '.join(own)}," if own else ""
