"""The constants have a margin, and not too much of one: correct circuits at scale, in working precision."""

import numpy as np
import pytest

from qparity.oracle import operation_counts, predict, reference_dtype
from qparity.parity import tolerances as tol
from tests.oracle.programs import read as simulated

WEIGHTS, ROWS = 100, 20


def rot(w: np.ndarray, kind: type) -> tuple[np.ndarray, ...]:
    """PennyLane's Rot in working precision: it rounds the sum and the difference of two angles of up to 2 pi."""
    phi, theta, omega = w.T
    cos, sin = np.cos(theta / 2), np.sin(theta / 2)

    def turn(angle: np.ndarray) -> np.ndarray:
        return np.exp(angle.astype(kind) * kind(1j))

    return (turn(-(phi + omega) / 2) * cos, -turn((phi - omega) / 2) * sin,
            turn(-(phi - omega) / 2) * sin, turn((phi + omega) / 2) * cos)  # fmt: skip


@pytest.mark.parametrize(("dtype", "kind"), [("float32", np.complex64), ("float64", np.complex128)])
@pytest.mark.parametrize("layers", [1, 4, 16])
@pytest.mark.parametrize(("turns", "factor"), [(0.02, 1.0), (1, 1.0), (1, np.pi), (40, np.pi)])
def test_reuploading_circuits_stay_inside_the_forward_tolerance(dtype, kind, layers, turns, factor):
    """At 40 turns an angle's own rounding is a hundred times the operation's; a fixed tolerance would alarm there."""
    rng = np.random.default_rng(layers)
    w = rng.uniform(0, 2 * np.pi * turns, (WEIGHTS, layers, 3)).astype(np.float32).astype(dtype)
    x = rng.uniform(-7 * turns, 7 * turns, (WEIGHTS * ROWS, 1)).astype(np.float32).astype(dtype)
    gates = []
    for k in range(layers):
        gates.append({"name": "RX", "wires": [0], "params": [{"inputs": [[0, factor]]}]})
        angles = [{"weights": [[3 * k + i, 1.0]]} for i in range(3)]
        gates.append({"name": "Rot", "wires": [0], "params": angles})
    program = simulated({
        "wires": 1, "features": 1, "weights": [{"name": "w", "shape": [layers, 3]}], "gates": gates,
        "measurements": [{"kind": "expval", "terms": [[1.0, [["Z", 0]]]]}],
    })  # fmt: skip
    expected = predict(program, [w], x, np.arange(WEIGHTS + 1) * ROWS, reference_dtype(dtype)[0])[:, 0]

    up, down = np.ones(len(x), kind), np.zeros(len(x), kind)
    angle = np.dtype(dtype).type(factor) * x[:, 0]
    cos, sin = np.cos(angle / 2), np.sin(angle / 2)
    for k in range(layers):
        up, down = cos * up - kind(1j) * sin * down, cos * down - kind(1j) * sin * up
        m = rot(np.repeat(w[:, k], ROWS, axis=0), kind)
        up, down = m[0] * up + m[1] * down, m[2] * up + m[3] * down
    got = (up.real**2 + up.imag**2) - (down.real**2 + down.imag**2)
    assert got.dtype == np.dtype(dtype)
    offsets = np.arange(WEIGHTS + 1) * ROWS
    counts = operation_counts(program, w.reshape(WEIGHTS, -1).astype(np.float64), x.astype(np.float64), offsets)
    r = (np.abs(got - expected) / tol.forward(tol.unit(dtype), counts, 1.0)).max()
    assert 0.15 < r < 0.75
