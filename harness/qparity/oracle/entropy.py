"""Entropies of density matrices and what they are to first order, in extended precision.

LAPACK has no long double, so that what it finds is mended by Jacobi's method (Golub & Van Loan, *Matrix Computations*,
section 8.5), of many matrices side by side. An eigenvalue of zero adds nothing to an entropy; its logarithm is left out
of the derivative too, where it is multiplied by how fast the eigenvalue leaves zero, which is zero as well.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

SWEEPS = 10
"""More than Jacobi's method ever takes; one that does not end has met what is no number."""


def eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (n, rows), real, and eigenvectors (n, n, rows) in columns, of Hermitian matrices (n, n, rows)."""
    size = len(matrix)
    vectors = _close(matrix)
    a = np.einsum("iar,ijr,jbr->abr", vectors.conj(), matrix, vectors, optimize=["einsum_path", (0, 1), (0, 1)])
    small = float(np.finfo(a.real.dtype).eps) * 2.0**-10
    for _ in range(SWEEPS):
        if all(float(np.abs(a[p, q]).max(initial=0)) <= small for p, q in combinations(range(size), 2)):
            break
        for p, q in combinations(range(size), 2):
            _rotate(a, vectors, p, q)
    return np.einsum("iik->ik", a).real.copy(), vectors


def _close(matrix: np.ndarray) -> np.ndarray:
    """Eigenvectors as LAPACK has them, (n, n, rows), made orthogonal to the last bit: few sweeps are left then.

    One step of Newton's (Higham, *Functions of Matrices*, section 8.3) doubles the digits to which they are.
    """
    plain = np.moveaxis(np.nan_to_num(matrix.astype(np.complex128)), -1, 0)
    vectors = np.moveaxis(np.linalg.eigh(plain)[1], 0, -1).astype(matrix.dtype)
    product = np.einsum("iar,ibr->abr", vectors.conj(), vectors)
    return np.asarray((3 * vectors - np.einsum("iar,abr->ibr", vectors, product)) / 2)


def _rotate(a: np.ndarray, vectors: np.ndarray, p: int, q: int) -> None:
    """Turn axes p and q so that a[p, q] becomes zero, in place."""
    entry = a[p, q].copy()
    length = np.abs(entry)
    there = length > 0
    safe = np.where(there, length, 1)
    phase = np.where(there, entry / safe, 1)
    half = (a[q, q] - a[p, p]).real / (2 * safe)
    tangent = np.where(half >= 0, 1, -1) / (np.abs(half) + np.sqrt(half**2 + 1))
    tangent = np.where(there, tangent, 0)
    cosine = 1 / np.sqrt(tangent**2 + 1)
    sine = tangent * cosine
    for array in (a, vectors):
        left, right = array[:, p].copy(), array[:, q].copy()
        array[:, p] = cosine * left - sine * phase.conj() * right
        array[:, q] = sine * phase * left + cosine * right
    above, below = a[p].copy(), a[q].copy()
    a[p] = cosine * above - sine * phase * below
    a[q] = sine * phase.conj() * above + cosine * below
    a[p, q] = a[q, p] = 0


def entropy(matrix: np.ndarray) -> np.ndarray:
    """`-tr(rho log rho)` of density matrices (n, n, rows), (rows,), in nats."""
    values, _ = eigen(matrix)
    return np.asarray(-(values * _logarithm(values)).sum(axis=0))


def slope(matrix: np.ndarray) -> np.ndarray:
    """The observable (n, n, rows) whose mean an entropy is to first order: `-(log rho + 1)`."""
    values, vectors = eigen(matrix)
    return -np.einsum("iak,ak,jak->ijk", vectors, np.where(values > 0, _logarithm(values) + 1, 0), vectors.conj())


def _logarithm(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values > 0, values, 1))
