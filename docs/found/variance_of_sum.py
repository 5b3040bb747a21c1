"""PennyLane, parameter-shift: the gradient of the variance of a sum takes the square of the sum for constant."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 0.5


@qml.qnode(qml.device("default.qubit", wires=2), diff_method="parameter-shift")
def circuit(x):
    """Turn one wire of two: Z(1) is always 1, and the variance of Z(0) + Z(1) is that of Z(0), sin(x)^2."""
    qml.RX(x, wires=0)
    return qml.var(qml.Z(0) + qml.Z(1))


def main() -> int:
    """The derivative is sin(2x)."""
    got, expected = float(qml.grad(circuit)(pnp.array(X, requires_grad=True))), np.sin(2 * X)
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, default.qubit, parameter-shift: gradient of var(Z(0) + Z(1))")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
