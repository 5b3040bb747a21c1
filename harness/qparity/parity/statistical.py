"""Sampled results against the oracle: how far from the exact expectation so many shots can lead by chance.

A Pauli word is +-1 in every shot and an outcome of `probs` is there or not, so their counts are binomial and the
tolerance is the edge of the exact two-sided test. (A G-test over all outcomes at once is asymptotic: at a level of
1e-6 and a hundred shots its tails are wrong by orders of magnitude.) Sums of words, and gradients, which are sums over
shifted circuits, have Hoeffding's bound (J. Am. Stat. Assoc. 58, 13): valid for any number of shots.

Every number compared in a run is one test, all together at level `ALPHA`. A correct cell is accused if any of its tests
rejects, so the smallest p decides, and Holm's procedure starts with Bonferroni's level for it: that level it is.
"""

from __future__ import annotations

import numpy as np

from qparity.oracle import GateProgram
from qparity.oracle.program import Expval, Probs

ALPHA = 1e-6
TESTED_METHODS = ("parameter-shift",)
"""Differentiation methods whose gradient is a sum of expectations, each weighted by at most 1/2."""


def level(tests: int, cells: int) -> float:
    """The level of one of `tests` tests of a cell, of which a run has `cells`."""
    return ALPHA / (max(tests, 1) * max(cells, 1))


def refusal(program: GateProgram) -> str | None:
    """Why sampled predictions cannot be tested; None if they can."""
    for m in program.measurements:
        if not isinstance(m, Expval | Probs) or (isinstance(m, Expval) and m.coefficients):
            return f"there is no test of a sampled {type(m).__name__.lower()}"
    return None


def forward(program: GateProgram, expected: np.ndarray, got: np.ndarray, shots: int, alpha: float) -> np.ndarray:
    """What |got - expected| may be at level `alpha`, (rows, outputs); it depends on the side that `got` is on."""
    exact, sampled = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    tolerance, column = np.empty_like(exact), 0
    for m in program.measurements:
        if isinstance(m, Probs):
            here = slice(column, column + 2 ** len(m.wires))
            tolerance[:, here] = _binomial(exact[:, here], sampled[:, here] >= exact[:, here], shots, alpha)
            column = here.stop
            continue
        assert isinstance(m, Expval)
        words = [c for c, word in m.terms if word]
        f = exact[:, column] - sum(c for c, word in m.terms if not word)
        if len(words) == 1:
            size = abs(words[0])
            above = sampled[:, column] >= exact[:, column]
            tolerance[:, column] = 2 * size * _binomial((1 + f / size) / 2, above, shots, alpha)
        else:
            tolerance[:, column] = sum(map(abs, words)) * hoeffding(shots, alpha)
        column += 1
    return tolerance


def gradient(by_row: np.ndarray, starts: np.ndarray, shots: int, alpha: float) -> np.ndarray:
    """What a gradient by parameter shift may be off, (steps,), for a weight that feeds one rotation.

    Every row has two circuits of weight 1/2 each: the mean of 2 B circuits with ranges of `by_row`, (rows,), which is
    sum |dL/df| ||O||. `starts` are the steps' first rows.
    """
    squares = np.add.reduceat(by_row**2 / 2, starts)
    return np.asarray(np.sqrt(squares) * hoeffding(shots, alpha))


def hoeffding(shots: int, alpha: float) -> float:
    """How far the mean of so many values in [-1, 1] may be off."""
    return float(np.sqrt(2 * np.log(2 / alpha) / shots))


def detectable(shots: int, alpha: float) -> float:
    """The difference in an expectation value (around 0, where sampling is widest) that is found half of the time."""
    return float(2 * _binomial(np.array([0.5]), np.array([True]), shots, alpha)[0])


def _binomial(p: np.ndarray, above: np.ndarray, shots: int, alpha: float) -> np.ndarray:
    """Half a count beyond the last frequency that the two-sided exact test accepts, as a distance from p."""
    from scipy.stats import binom  # most of a second to import, and few runs sample

    p = np.clip(p, 0.0, 1.0)
    high = binom.isf(alpha / 2, shots, p) + 0.5 - shots * p
    low = shots * p - binom.ppf(alpha / 2, shots, p) + 0.5
    return np.asarray(np.where(above, high, low) / shots)
