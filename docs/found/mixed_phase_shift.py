"""PennyLane on torch, default.mixed, backprop: a batch of angles of PhaseShift has no gradient."""

import sys

import numpy as np
import pennylane as qml
import torch

X, PHASES = 0.5, (0.3, 1.1)


@qml.qnode(qml.device("default.mixed", wires=1), interface="torch", diff_method="backprop")
def circuit(x, phases):
    """Turn onto the equator by x, along it by x + phase, and look from there: <Z> is sin(x) cos(x + phase)."""
    qml.RY(x, wires=0)
    qml.PhaseShift(x + phases, wires=0)
    qml.Hadamard(wires=0)
    return qml.expval(qml.Z(0))


def main() -> int:
    """The derivative of the sum over both phases is that of sin(x) cos(x + phase), cos(2 x + phase)."""
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    total = circuit(x, torch.tensor(PHASES, dtype=torch.float64)).sum()
    (slope,) = torch.autograd.grad(total, [x])
    got, expected = float(slope), sum(np.cos(2 * X + phase) for phase in PHASES)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, torch {torch.__version__}, default.mixed, backprop: gradient of <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
