"""PennyLane, parameter-shift: a small amplitude of a trained state is lost, even in the value."""

import sys

import pennylane as qml
from pennylane import numpy as pnp

SMALL = 1e-8


@qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
def circuit(state):
    """Prepare SMALL |0> + |1>: <X> is 2 SMALL."""
    qml.StatePrep(state, wires=0, normalize=True)
    return qml.expval(qml.X(0))


def main() -> int:
    """The value: the state is turned into angles, one of them the arcsine of an amplitude near one."""
    got, expected = float(circuit(pnp.array([SMALL, 1.0], requires_grad=True))), 2 * SMALL
    wrong = not abs(got - expected) < 1e-6 * expected
    print(f"pennylane {qml.version()}, default.qubit, parameter-shift: <X> of a prepared state")
    print(f"got {got:.6g}, expected {expected:.6g}: {'wrong' if wrong else 'right'}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
