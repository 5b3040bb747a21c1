"""Which steps of a training are sampled, and along which directions of weight space its loss is differentiated.

Both are random but fixed by a seed, so that a later judgement uses the same ones as the recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEP_STREAM, DIRECTION_STREAM = 11, 12


def sampled_steps(sizes: Sequence[int], most: int, seed: int) -> np.ndarray:
    """Which of a training's steps to look at, in order, (chosen,) int64.

    All of them up to `most`; else the first, the last, one of each distinct batch size, and random ones up to `most`
    (more, where there are more batch sizes).

    Args:
        sizes: the number of samples of each step.
        most: how many to choose.
        seed: of the choice.
    """
    steps = len(sizes)
    if steps <= most:
        return np.arange(steps, dtype=np.int64)
    order = np.random.Generator(np.random.PCG64([seed, STEP_STREAM])).permutation(steps)
    chosen = {0, steps - 1}
    chosen |= {next(int(t) for t in order if sizes[t] == size) for size in sorted(set(sizes))}
    for t in order:
        if len(chosen) >= most:
            break
        chosen.add(int(t))
    return np.array(sorted(chosen), dtype=np.int64)


def direction(shape: tuple[int, ...], seed: int, step: int, *which: int) -> np.ndarray:
    """A direction at one step: entries of either sign between 1/2 and 3/2, float64, of `shape`.

    `which` is the number of a weight, or those of a quantum layer and of one of its calls.

    No two are alike, so a gradient whose entries are exchanged, or of which one is wrong, has another slope along it.
    """
    rng = np.random.Generator(np.random.PCG64([seed, DIRECTION_STREAM, step, *which]))
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def seed_of(cell: str) -> int:
    """A cell's own seed for both, from its id (hexadecimal digits; any text will do)."""
    return int.from_bytes(cell.encode()[-8:], "little") & 0x7FFFFFFF
