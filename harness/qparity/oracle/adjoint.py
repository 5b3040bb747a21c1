"""Predictions and exact vector-Jacobian products of a gate program.

The gradient is the adjoint method's (Jones & Gacon, arXiv:2009.02823). Many training steps are done in one
call: rows of all steps are simulated side by side, each with its own step's weights. Rows are cut into
chunks so that a chunk's states stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qparity.oracle.gates import Operation, apply_word, controlled
from qparity.oracle.program import (
    GateProgram,
    flatten_weights,
    parameter_values,
    pull_back,
    slabs,
    split_weights,
)
from qparity.oracle.statevector import (
    apply,
    inner,
    measure,
    simulate,
    weighted_observable,
)

CHUNK_AMPLITUDES = 2**15
KEPT_STATES = 64
"""So many states of a chunk are kept at the most: 64 MiB in long double."""


def reference_dtype(declared: str) -> tuple[type, type]:
    """The (complex, real) dtypes that judge a declared dtype: one above it, where the platform has one."""
    if declared == "float32":
        return np.complex128, np.float64
    if declared == "float64":
        return np.clongdouble, np.longdouble
    raise ValueError(f"dtype {declared!r}: expected float32 or float64")


def predict(
    program: GateProgram,
    weights: Sequence[np.ndarray],
    inputs: np.ndarray,
    offsets: np.ndarray | None = None,
    dtype: type = np.complex128,
) -> np.ndarray:
    """The circuit's outputs.

    Args:
        program: the circuit.
        weights: one array for each weight: (steps, *shape), or plain (*shape) where `offsets` is None.
        inputs: (rows, features).
        offsets: (steps + 1,): step t owns rows `offsets[t]:offsets[t+1]`; None means one step.
        dtype: complex128 or clongdouble, to compute in.

    Returns:
        (rows, outputs) in the real dtype that belongs to `dtype`.
    """
    flat, x, offsets = _prepare(program, weights, inputs, offsets, dtype)
    return np.concatenate([measure(program, *each) for each in states(program, flat, x, offsets, dtype)])


def infidelity(
    program: GateProgram, weights: tuple[Sequence[np.ndarray], Sequence[np.ndarray]], inputs: np.ndarray
) -> float:
    """The largest `1 - |<a|b>|^2` over all rows of the circuit's states at two sets of weights, at least 0.

    Of density matrices, of their overlap by the sizes of both.

    Each set is one plain array for each weight, `inputs` is (rows, features); in complex128.
    """
    prepared = [_prepare(program, each, inputs, None, np.complex128) for each in weights]
    both = zip(*(states(program, *each, np.complex128) for each in prepared), strict=True)
    return float(max((1 - _overlap(a, b, program.mixed)).max() for (a, _), (b, _) in both).clip(0))


def _overlap(a: np.ndarray, b: np.ndarray, mixed: bool) -> np.ndarray:
    """`|<a|b>|^2` of each row, by the sizes of both where they are density matrices."""
    found = np.abs(inner(a, b)) ** 2
    return np.asarray(found / (inner(a, a) * inner(b, b)).real if mixed else found)


def states(
    program: GateProgram, flat: np.ndarray, x: np.ndarray, offsets: np.ndarray, dtype: type
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The final states of all rows and their angles, a chunk at a time."""
    for slab in slabs(program, offsets):
        theta = parameter_values(program, flat[slab.steps], x[slab.rows], slab.offsets)
        for c in _chunks(program, theta.shape[1]):
            yield simulate(program, theta[:, c], dtype), theta[:, c]


def vjp(
    program: GateProgram,
    weights: Sequence[np.ndarray],
    inputs: np.ndarray,
    cotangents: np.ndarray,
    offsets: np.ndarray | None = None,
    dtype: type = np.complex128,
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Predictions, and the gradient of `sum(cotangents * predictions)`.

    Args:
        cotangents: (rows, outputs). The other arguments are those of `predict`.

    Returns:
        Predictions (rows, outputs); for each weight its gradient, summed over a step's rows, (steps,
        *shape), or (*shape) where `offsets` is None; gradient with respect to the inputs, (rows, features).
    """
    single = offsets is None
    flat, x, offsets = _prepare(program, weights, inputs, offsets, dtype)
    bars = np.asarray(cotangents).astype(x.dtype)
    predictions = np.empty((len(x), program.outputs), x.dtype)
    by_step, by_row = np.zeros_like(flat), np.zeros_like(x)
    for rows, steps, stops in slabs(program, offsets):
        theta = parameter_values(program, flat[steps], x[rows], stops)
        slopes = np.zeros_like(theta)
        for c in _chunks(program, theta.shape[1]):
            saved: list[np.ndarray] = []
            ket = simulate(program, theta[:, c], dtype, saved)
            predictions[rows][c] = measure(program, ket, theta[:, c])
            bra = weighted_observable(program, ket, bars[rows][c], theta[:, c], slopes[:, c])
            _sweep_back(program, theta[:, c], saved, ket, bra, slopes[:, c])
        of_steps, by_row[rows] = pull_back(program, flat[steps], x[rows], stops, slopes)
        by_step[steps] += of_steps
    gradients = split_weights(program, by_step)
    return predictions, [g[0] for g in gradients] if single else gradients, by_row


def _sweep_back(
    program: GateProgram,
    theta: np.ndarray,
    saved: list[np.ndarray],
    ket: np.ndarray,
    bra: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Un-apply the gates one by one: d/dtheta <ket|O|ket> = 2 Re<bra|-i s P|ket> = 2 s Im<bra|P|ket>.

    A density matrix stands in its expectation values once, where a state stands twice. `saved` are the states before
    what cannot be un-applied.
    """
    factor = 1 if program.mixed else 2
    for operation in reversed(program.operations):
        if not isinstance(operation, Operation):
            ket = saved.pop()
            operation.pull(bra, ket, theta, slopes, factor)
            continue
        if operation.parameter is not None:
            on = controlled(ket, operation.controls)
            overlap = inner(controlled(bra, operation.controls), apply_word(on, operation.word))
            slopes[operation.parameter] += factor * operation.scale * overlap.imag
        apply(ket, operation, theta, inverse=True)
        apply(bra, operation, theta, inverse=True)


def _prepare(
    program: GateProgram,
    weights: Sequence[np.ndarray],
    inputs: np.ndarray,
    offsets: np.ndarray | None,
    dtype: type,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    real: type = np.empty(0, dtype).real.dtype.type
    x: np.ndarray = np.asarray(inputs).astype(real)
    if x.ndim != 2 or x.shape[1] < program.features:
        raise ValueError(f"inputs of shape {x.shape}, expected (rows, {program.features})")
    if offsets is None:
        weights, offsets = [np.asarray(w)[None] for w in weights], np.array([0, len(x)])
    return flatten_weights(program, weights, real, len(offsets) - 1), x, np.asarray(offsets)


def chunk_rows(program: GateProgram) -> int:
    """How many rows are simulated in one go."""
    kept = sum(not isinstance(operation, Operation) for operation in program.operations)
    return max(1, (CHUNK_AMPLITUDES >> program.axes) // (1 + kept // KEPT_STATES))


def _chunks(program: GateProgram, rows: int) -> list[slice]:
    size = chunk_rows(program)
    return [slice(start, start + size) for start in range(0, rows, size)]
