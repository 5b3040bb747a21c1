"""PennyLane, adjoint and lightning.qubit: the gradient of an observable's coefficient is zero."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("lightning.qubit", wires=2), diff_method="adjoint")
def circuit(x):
    """Measure x Z after a rotation by 0.3: x cos(0.3)."""
    qml.RX(0.3, wires=0)
    return qml.expval(qml.Hamiltonian([x], [qml.Z(0)]))


def main() -> int:
    """The derivative is cos(0.3), whatever x is."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), np.cos(0.3)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, lightning.qubit, adjoint: gradient of x <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
