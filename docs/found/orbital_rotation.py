"""PennyLane, lightning.qubit, adjoint: the gradient of an OrbitalRotation is zero."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("lightning.qubit", wires=4), diff_method="adjoint")
def circuit(x):
    """Turn a doubly occupied orbital by x: its first wire has <Z> = -cos(x)."""
    qml.BasisState([1, 1, 0, 0], wires=range(4))
    qml.OrbitalRotation(x, wires=range(4))
    return qml.expval(qml.Z(0))


def main() -> int:
    """The derivative is sin(x)."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), np.sin(X)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, lightning.qubit, adjoint: gradient of <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
