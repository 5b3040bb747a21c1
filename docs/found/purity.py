"""PennyLane, parameter-shift: the gradient of a purity is shifted as if it were linear in the state."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit", wires=2), diff_method="parameter-shift")
def circuit(x):
    """Entangle two wires: the first one's purity is (1 + cos(x)^2) / 2."""
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.purity(wires=[0])


def main() -> int:
    """The derivative is -sin(2x) / 2."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), -np.sin(2 * X) / 2
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, default.qubit, parameter-shift: gradient of the purity")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
