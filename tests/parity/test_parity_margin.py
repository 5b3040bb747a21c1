"""The constants have a margin, and not too much of one: correct circuits at scale, in working precision."""

import numpy as np
import pytest

from harness.oracle import GateProgram, predict, reference_dtype
from harness.parity import tolerances as tol

WEIGHTS, ROWS = 200, 50


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
def test_reuploading_circuits_stay_inside_the_forward_tolerance(dtype, kind, layers):
    rng = np.random.default_rng(layers)
    w = rng.uniform(0, 2 * np.pi, (WEIGHTS, layers, 3)).astype(np.float32).astype(dtype)
    x = rng.uniform(-7, 7, (WEIGHTS * ROWS, 1)).astype(np.float32).astype(dtype)
    gates = []
    for k in range(layers):
        gates.append({"name": "RX", "wires": [0], "params": [{"inputs": [[0, 1.0]]}]})
        angles = [{"weights": [[3 * k + i, 1.0]]} for i in range(3)]
        gates.append({"name": "Rot", "wires": [0], "params": angles})
    program = GateProgram.from_dict({
        "wires": 1, "features": 1, "weights": [{"name": "w", "shape": [layers, 3]}], "gates": gates,
        "measurements": [{"kind": "expval", "terms": [[1.0, [["Z", 0]]]]}],
    })  # fmt: skip
    expected = predict(program, [w], x, np.arange(WEIGHTS + 1) * ROWS, reference_dtype(dtype)[0])[:, 0]

    up, down = np.ones(len(x), kind), np.zeros(len(x), kind)
    cos, sin = np.cos(x[:, 0] / 2), np.sin(x[:, 0] / 2)
    for k in range(layers):
        up, down = cos * up - kind(1j) * sin * down, cos * down - kind(1j) * sin * up
        m = rot(np.repeat(w[:, k], ROWS, axis=0), kind)
        up, down = m[0] * up + m[1] * down, m[2] * up + m[3] * down
    got = (up.real**2 + up.imag**2) - (down.real**2 + down.imag**2)
    assert got.dtype == np.dtype(dtype)
    r = np.abs(got - expected).max() / tol.forward(tol.unit(dtype), len(program.operations), 1.0)
    assert 0.2 < r < 0.75
