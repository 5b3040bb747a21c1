"""What a state preparation normalises: PennyLane keeps the result alone, of which no form in the features is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pennylane as qml
from scipy.sparse import issparse


@contextmanager
def unnormalised() -> Iterator[dict[int, Any]]:
    """While tapes are made: the padded amplitudes of what is normalised, by the `id` of the normalised array.

    What is said to be normalised already is taken as it is, and not refused where it is not: a probe's numbers are not.
    """
    found: dict[int, Any] = {}
    kept = []  # an id is that of a living object
    original = getattr(qml.StatePrep, "_preprocess", None)
    if original is None:  # of another release: what is normalised goes to the reference, and no more than that
        yield found
        return

    def preprocess(state: Any, wires: Any, pad_with: Any, normalize: bool, validate_norm: bool) -> Any:
        if not normalize and pad_with is None:
            return original(state, wires, None, False, False)
        numbers = state if issparse(state) else np.asarray(state)
        plain = numbers.astype(np.float64) if numbers.dtype == object else state  # PennyLane's norm takes no objects
        result = original(plain, wires, pad_with, normalize, validate_norm)
        if not issparse(state) and numbers.ndim == 1:
            missing = 2 ** len(qml.wires.Wires(wires)) - len(numbers)
            padding = np.full(missing, 0.0 if pad_with is None else pad_with)
            result = np.array(result)  # one that was of norm 1 is passed on as it came
            found[id(result)] = np.concatenate([numbers, padding])
            kept.append(result)
        return result

    qml.StatePrep._preprocess = staticmethod(preprocess)
    try:
        yield found
    finally:
        qml.StatePrep._preprocess = staticmethod(original)
