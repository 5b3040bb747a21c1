"""PennyLane, lightning.qubit, adjoint: the gradient of the adjoint of a PauliRot is zero."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("lightning.qubit", wires=1), diff_method="adjoint")
def circuit(x):
    """Turn by -x about Y: <Z> is cos(x)."""
    qml.adjoint(qml.PauliRot(x, "Y", wires=[0]))
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
