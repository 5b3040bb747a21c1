"""PennyLane, parameter-shift: a gate conditioned on a measurement is differenced with a step of 1e-7, shots or not."""

import sys

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

X = 1.1


def circuit(x):
    """Flip a coin, and on 1 turn another wire by x: its <Z> is (1 + cos(x)) / 2."""
    qml.Hadamard(0)
    qml.cond(qml.measure(0), qml.RY)(x, wires=1)
    return qml.expval(qml.Z(1))


def main() -> int:
    """Exactly, the difference is off by 1e-9; with 100 shots, a shift would be off by about 0.1."""
    expected, wrong = -np.sin(X) / 2, 0
    for shots, bound in ((None, 1e-12), (100, 1.0)):
        device = qml.device("default.qubit", wires=3, seed=1)
        qnode = qml.set_shots(qml.QNode(circuit, device, diff_method="parameter-shift"), shots)
        got = float(qml.grad(qnode)(pnp.array(X, requires_grad=True)))
        bad = abs(got - expected) > bound
        wrong += bad
        print(f"pennylane {qml.version()}, parameter-shift, {shots or 'no'} shots: gradient of a conditioned gate")
        print(f"got {got:.12f}, expected {expected:.12f}: {'wrong' if bad else 'right'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
