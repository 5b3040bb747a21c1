"""PennyLane, default.mixed, backprop: the gradient is NaN where some outcome has no probability at all."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.mixed", wires=2), diff_method="backprop")
def circuit(x):
    """Entangle two wires: 01 and 10 never happen, and <Z(0)> is cos(x)."""
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.expval(qml.Z(0))


def main() -> int:
    """The derivative is -sin(x)."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), -np.sin(X)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, default.mixed, backprop: gradient of <Z>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
