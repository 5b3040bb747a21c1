"""PennyLane, reference.qubit: a Hermitian observable is measured without turning to its basis."""

import sys

import numpy as np
import pennylane as qml


@qml.qnode(qml.device("reference.qubit", wires=1))
def circuit(x):
    """Turn by x about X and measure Y, given as a matrix: -sin(x)."""
    qml.RX(x, wires=0)
    return qml.expval(qml.Hermitian(np.array([[0, -1j], [1j, 0]]), wires=0))


def main() -> int:
    """What comes out is -cos(x): Z instead of Y, with the sign of Y's lowest eigenvalue."""
    got, expected = float(circuit(0.5)), -np.sin(0.5)
    wrong = abs(got - expected) > 1e-6
    print(f"pennylane {qml.version()}, reference.qubit: <Hermitian(Y)>")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
