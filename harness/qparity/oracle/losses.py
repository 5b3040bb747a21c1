"""The two losses of a scenario, with their derivatives, in the precision of the arguments.

`mse`: l_b = mean over outputs of (f - y)^2. `energy`: l_b = mean over outputs of f (targets are ignored).
The loss of a step is the mean of l_b over its samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WITH_LAW = ("mse", "energy")
"""The losses whose value and derivative are known here; the others are judged by the reference."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss at given predictions: per sample (rows,), weighted, per step (steps,), and d loss / d prediction."""

    samples: np.ndarray
    steps: np.ndarray
    cotangents: np.ndarray
    magnitudes: np.ndarray
    """(steps,): mean of |term| over all outputs of a step, the scale of rounding in the sum."""


def evaluate(
    name: str, predictions: np.ndarray, targets: np.ndarray, offsets: np.ndarray, weights: np.ndarray | None = None
) -> Loss:
    """Evaluate a loss.

    Args:
        name: `mse` or `energy`.
        predictions: (rows, outputs), in the real dtype to compute in.
        targets: (rows, outputs) likewise.
        offsets: (steps + 1,): step t owns rows `offsets[t]:offsets[t+1]`.
        weights: (rows,): what each sample's loss is multiplied by, before the mean over the samples.

    Raises:
        ValueError: the loss is unknown, or there is not one prediction and target for each row.
    """
    if name not in WITH_LAW:
        raise ValueError(f"loss {name!r}: expected one of {', '.join(WITH_LAW)}")
    if name == "mse" and targets.shape != predictions.shape:
        raise ValueError(f"targets of shape {targets.shape} for predictions of shape {predictions.shape}")
    if len(predictions) != offsets[-1]:
        raise ValueError(f"{len(predictions)} predictions for {offsets[-1]} samples")
    terms = (predictions - targets) ** 2 if name == "mse" else predictions
    slopes = 2 * (predictions - targets) if name == "mse" else np.ones_like(predictions)
    if weights is not None:
        terms, slopes = terms * weights[:, None], slopes * weights[:, None]
    counts = np.diff(offsets).astype(predictions.dtype)
    samples = terms.mean(axis=1)
    magnitudes = np.add.reduceat(np.abs(terms).mean(axis=1), offsets[:-1]) / counts
    cotangents = slopes / (predictions.shape[1] * np.repeat(counts, np.diff(offsets))[:, None])
    return Loss(samples, np.add.reduceat(samples, offsets[:-1]) / counts, cotangents, magnitudes)
