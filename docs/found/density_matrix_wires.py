"""PennyLane, default.mixed: a QubitDensityMatrix at the start of a circuit takes its wires in ascending order."""

import sys

import numpy as np
import pennylane as qml

ONE, OTHER = np.diag([0.9, 0.1]), np.diag([0.2, 0.8])


@qml.qnode(qml.device("default.mixed", wires=2))
def circuit():
    """Put the first matrix on wire 1, the second on wire 0: <Z(0)> is 0.2 - 0.8."""
    qml.QubitDensityMatrix(np.kron(ONE, OTHER), wires=[1, 0])
    return qml.expval(qml.Z(0))


def main() -> int:
    """The value, without any gradient."""
    got, expected = float(circuit()), -0.6
    wrong = not abs(got - expected) < 1e-6
    print(f"pennylane {qml.version()}, default.mixed: <Z> of wire 0")
    print(f"got {got:.6f}, expected {expected:.6f}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
