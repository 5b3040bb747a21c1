"""PennyLane, lightning.qubit, adjoint: a constant DiagonalQubitUnitary before a trainable gate zeroes all gradients."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("lightning.qubit", wires=2), diff_method="adjoint")
def circuit(x):
    """Apply phases to |0>, which change nothing, then RX(x): <Z> is cos(x)."""
    qml.DiagonalQubitUnitary(np.exp([0.1j, 0.4j]), wires=0)
    qml.RX(x, wires=0)
    return qml.expval(qml.Z(0))


def main() -> int:
    """The derivative is -sin(x)."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), -np.sin(X)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, lightning.qubit, adjoint: gradient of <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
