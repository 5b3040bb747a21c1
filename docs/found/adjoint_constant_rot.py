"""PennyLane, default.qubit, adjoint: a constant gate of several parameters spoils the gradients of those before it."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit"), diff_method="adjoint")
def circuit(x):
    """Turn by x about X, then by a fixed 0.2 about Y: <Z> is cos(0.2) cos(x)."""
    qml.RX(x, wires=0)
    qml.Rot(0.0, 0.2, 0.0, wires=0)
    return qml.expval(qml.Z(0))


def main() -> int:
    """The derivative is -cos(0.2) sin(x)."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), -np.cos(0.2) * np.sin(X)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, default.qubit, adjoint: gradient of <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
