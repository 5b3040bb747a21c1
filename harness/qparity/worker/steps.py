"""Chosen steps of a recording, looked at one by one while the time lasts: in which order, and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def first_and_last_first(count: int) -> list[int]:
    """The order in which steps are taken, should time run out: the first, the last, then the rest."""
    return [0, count - 1, *range(1, count - 1)][: max(count, 1)] if count > 1 else [0]


def joined(found: Sequence[dict[str, np.ndarray]], taken: Sequence[int]) -> dict[str, np.ndarray]:
    """The arrays of some steps in one each: rows of predictions one after the other, everything else stacked.

    `taken` are the numbers of the steps in `found`, in which order they are put. What not every step has is left out.
    """
    order = sorted(range(len(found)), key=lambda i: taken[i])
    in_all = [name for name in found[0] if all(name in each for each in found)]
    parts = {name: [found[i][name] for i in order] for name in in_all}
    return {
        name: np.concatenate(arrays) if name == "predictions" else np.stack(arrays) for name, arrays in parts.items()
    }
